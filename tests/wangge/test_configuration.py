"""The configuration: defaults, file, environment, unknown keys, secrets."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from wangge import configuration
from wangge.settings import Settings


def load(tmp_path: Path, text: str = "", **environment: str) -> Settings:
    file = tmp_path / "wangge.toml"
    file.write_text(text, encoding="utf-8")
    return configuration.load(file, environment)


def test_every_key_has_a_default_and_a_description() -> None:
    assert configuration.load(None, {}) == Settings()
    for path, info in configuration.every_key():
        assert not info.is_required(), path
        assert info.description, f"{'.'.join(path)} has no description"


def test_environment_overrides_the_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path, "[http]\nport = 81\nhost = '0.0.0.0'\n", WANGGE_HTTP__PORT="82", WANGGE_CONSOLE__TITLE="12"
    )
    assert (settings.http.port, settings.http.host, settings.console.title) == (82, "0.0.0.0", "12")
    assert configuration.was_set(settings, "http", "port")
    assert not configuration.was_set(settings, "http", "body_limit")
    assert not configuration.was_set(settings, "devices", "gather_s")


@pytest.mark.parametrize(
    ("text", "named", "nearest"),
    [
        ("[http]\nprot = 1\n", "http.prot", "http.port"),
        ("[htp]\nport = 1\n", "htp", "http"),
        ("[console]\nsession_hour = 1\n", "console.session_hour", "console.session_hours"),
        ("nonsense = 1\n", "nonsense", "console"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest(tmp_path: Path, text: str, named: str, nearest: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert f"`{named}`" in str(caught.value)
    if named != "nonsense":
        assert f"`{nearest}`" in str(caught.value)


@pytest.mark.parametrize("name", ["WANGGE_HTTP__PROT", "WANGGE_HTP__PORT", "WANGGE_HTTP__PORT__X"])
def test_unknown_variable_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"nearest known key is `http\.port`"):
        load(tmp_path, "", **{name: "1"})


@pytest.mark.parametrize(
    "text",
    ["[http]\nport = 'x'\n", "[http]\nport = 70000\n", "http = 1\n", "[site]\ntime_zone = 'Mars/Base'\n", "[http\n"],
)
def test_wrong_values_are_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value).strip().replace("\n", " ", 1)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        configuration.load(tmp_path / "nowhere.toml", {})


def test_which_file_is_read(tmp_path: Path) -> None:
    assert configuration.file_for(None, tmp_path, {}) is None
    beside = tmp_path / "wangge.toml"
    beside.touch()
    assert configuration.file_for(None, tmp_path, {}) == beside
    assert configuration.file_for(None, tmp_path, {"WANGGE_CONFIG": "/x"}) == Path("/x")
    assert configuration.file_for(Path("/y"), tmp_path, {"WANGGE_CONFIG": "/x"}) == Path("/y")


def test_no_secret_in_what_is_wrong(tmp_path: Path) -> None:
    for text in (
        "[store]\ndsn = 'postgresql://u:verysecret@h/db'\ndsn_file = 'x'\n",
        "[store]\ndsn = ['verysecret']\n",
        "[store]\nsettings = {work_mem = ['verysecret']}\n",
    ):
        with pytest.raises(ConfigurationError) as caught:
            load(tmp_path, text)
        assert "verysecret" not in str(caught.value)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff[http]\nport = 81\n").http.port == 81
