"""wangge: the command line, the configuration, and the one place that wires the rooms together.

In: a TOML file, the environment, a command. Out: the running service (`up`, `serve`) or an answer on stdout.
`settings` composes the rooms' settings, `configuration` reads them, `service` wires the parts, `cli/` holds one module
a command group. Nothing is decided here that a room could decide.
"""
