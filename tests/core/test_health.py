"""The board keeps since-when across repeated reasons and reports only what changed."""

import threading

from structlog.testing import capture_logs

from core.clock import FakeClock
from core.health import STARTING, Board, PartHealth


def test_since_moves_with_the_state_only() -> None:
    clock = FakeClock(1_000)
    board = Board(clock)
    board.set("store", "down", "refused")
    clock.advance_ms(500)
    board.set("store", "down", "timed out")
    assert board.get("store") == PartHealth("store", "down", "timed out", 1_000)
    board.set("store", "ok")
    assert board.get("store") == PartHealth("store", "ok", "", 1_500)


def test_ready_needs_only_what_is_needed() -> None:
    board = Board()
    board.set("camera.1", "down", "no route", needed=False)
    board.set("store", "degraded", "slow")
    assert board.unready() == []
    assert board.worst() == "down"
    board.set("store", "down", "away")
    assert [p.part for p in board.unready()] == ["store"]
    board.set("camera.1", "down", "still no route")
    assert [p.part for p in board.unready()] == ["store"]


def test_listeners_hear_changes_only() -> None:
    board, heard = Board(FakeClock()), list[tuple[str, str]]()
    board.listen(lambda p: heard.append((p.state, p.why)))
    for state, why in (("ok", ""), ("ok", ""), ("down", "a"), ("down", "a"), ("down", "b")):
        board.set("x", state, why)  # type: ignore[arg-type]
    assert heard == [("ok", ""), ("down", "a"), ("down", "b")]


def test_restarts_are_counted_and_parts_can_go() -> None:
    board = Board()
    board.count_restart("unknown")
    board.set("x", "ok")
    board.count_restart("x")
    board.set("x", "down", "again")
    assert [(p.part, p.restarts) for p in board.parts()] == [("x", 1)]
    board.remove("x")
    board.remove("x")
    assert board.parts() == []
    assert board.worst() == "ok"


def test_threads_may_use_it() -> None:
    board = Board()

    def work(name: str) -> None:
        for _ in range(200):
            board.set(name, "down", "x")
            board.set(name, "ok")

    threads = [threading.Thread(target=work, args=(f"part.{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.state for p in board.parts()] == ["ok"] * 4


def test_an_orderly_start_is_no_news() -> None:
    with capture_logs() as logs:
        board = Board()
        board.set("x", "down", STARTING)
        board.set("x", "ok")
        board.set("x", "down", "no route")
        board.set("y", "down", STARTING)
        board.set("y", "down", "refused")
        board.set("y", "ok")
    assert [(line["part"], line["state"], line["log_level"]) for line in logs if line["log_level"] != "debug"] == [
        ("x", "down", "warning"),
        ("y", "ok", "info"),
    ]
