"""Faults: the real service in its own process is killed, stopped, starved and fed rubbish while real clients send."""
