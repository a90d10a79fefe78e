"""A dump of what a database looks like (tables, indexes, views, functions …), as text that two databases can share."""

import psycopg

_QUERIES = {
    "relation": """
        SELECT c.relname, c.relkind, pg_get_partkeydef(c.oid),
               CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND c.relkind NOT IN ('i', 'I')
        ORDER BY 1""",
    "column": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
            LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'v')
            AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY 1, 2""",
    "constraint": """
        SELECT c.relname, o.conname, pg_get_constraintdef(o.oid)
        FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition ORDER BY 1, 2""",
    "index": """
        SELECT c.relname, pg_get_indexdef(c.oid)
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('i', 'I') AND NOT c.relispartition
        ORDER BY 1""",
    "trigger": """
        SELECT c.relname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition ORDER BY 1, 2""",
    "function": """
        SELECT p.proname, pg_get_functiondef(p.oid) FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS
            (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1, 2""",
    "sequence": """
        SELECT s.sequencename, s.data_type::text, s.start_value, s.increment_by, s.max_value, s.cycle
        FROM pg_sequences s WHERE s.schemaname = 'public' ORDER BY 1""",
}


def catalogue(dsn: str) -> list[str]:
    """One line an object, sorted by kind and name; partitions are left out."""
    with psycopg.connect(dsn) as connection:
        return [
            f"{kind}: " + " | ".join("" if value is None else str(value) for value in row)
            for kind, query in _QUERIES.items()
            for row in connection.execute(query.encode())
        ]
