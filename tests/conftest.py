"""Fixtures that every test may use; each lives in tests/support and is only registered here."""

pytest_plugins = ["tests.support.postgres", "tests.support.rtsp", "tests.support.store"]
