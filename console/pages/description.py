"""The API's description as one plain page, made from the OpenAPI document; works without internet and script."""

from html import escape
from typing import Any

from console.pages.layout import page, section

_METHODS = ("get", "post", "put", "patch", "delete")


def description_page(title: str, document: dict[str, Any]) -> str:
    """Every route by tag: method, path, what it does, parameters, body, answers."""
    by_tag: dict[str, list[str]] = {}
    for path, item in document.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                tag = (operation.get("tags") or ["service"])[0]
                by_tag.setdefault(tag, []).append(_operation(path, method, operation))
    intro = (
        f"<header><h1>{escape(title)} · API</h1><span class=right><a href=/api/openapi.json>openapi.json</a></span>"
        "</header><section><p>会话 Cookie 或 <code>Authorization: Bearer</code> 令牌。错误为 RFC 9457 "
        "<code>application/problem+json</code>，含 <code>kind</code>。列表以 <code>next</code> 游标翻页。</p>"
        '<p lang="en" class="dim">Session cookie (with <code>X-CSRF-Token</code> for changes) or bearer token. '
        "Errors are problem details with <code>kind</code>. Lists are paged by <code>next</code>.</p></section>"
    )
    schemas = document.get("components", {}).get("schemas", {})
    bodies = "".join(_schema(name, schema) for name, schema in schemas.items())
    parts = [section(tag, "", "".join(operations)) for tag, operations in by_tag.items()]
    return page(f"{title} API", intro + "".join(parts) + section("数据", "Objects", bodies))


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td class=dim>{escape(one['in'])}"
        f"{' *' if one.get('required') else ''}</td><td class=dim>{escape(_kind(one.get('schema', {})))} "
        f"{escape(one.get('description') or '')}</td></tr>"
        for one in operation.get("parameters", [])
    )
    content = operation.get("requestBody", {}).get("content", {})
    sent = "".join(
        f"<tr><td><code>{escape(media)}</code></td><td class=dim>body</td><td class=dim>{escape(_kind(one['schema']))}"
        "</td></tr>"
        for media, one in content.items()
    )
    answers = ", ".join(escape(code) for code in operation.get("responses", {}))
    table = f"<table>{rows}{sent}</table>" if rows or sent else ""
    return (
        f"<details><summary><code><b>{method.upper()}</b> {escape(path)}</code> "
        f"<small>{escape(operation.get('summary') or '')}</small></summary>"
        f"<p class=dim>{escape(operation.get('description') or '')}</p>{table}<p class=dim>→ {answers}</p></details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td class=dim>{escape(_kind(one))}</td>"
        f"<td class=dim>{escape(one.get('description') or '')}</td></tr>"
        for field, one in schema.get("properties", {}).items()
    )
    about = escape(schema.get("description") or "")
    anchor = escape(name)
    head = f"<summary><code>{anchor}</code> <small>{about}</small></summary>"
    return f'<details id="{anchor}">{head}<table>{rows}</table></details>'


def _kind(schema: dict[str, Any]) -> str:
    """A reader's word for a JSON schema."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return " / ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "value")
