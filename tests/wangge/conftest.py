"""The real program in real processes; see tests/support/service.py."""

from tests.support.service import ENVIRONMENT, Running, start, until, wangge

__all__ = ["ENVIRONMENT", "Running", "start", "until", "wangge"]
