"""The time line: spans, gaps and their reasons."""

from tests.streams.clips.conftest import T0, Shown, at
from tests.support.packets import encode_video


async def test_spans_and_gaps(shown: Shown) -> None:
    packets = encode_video("h264", [n * 6000 for n in range(180)])
    await shown.maker.record(packets[:60], T0)
    await shown.maker.record(packets[:60], at(4.2), reason="jump")
    made = await shown.maker.record(packets, at(60), reason="disk")
    await shown.maker.record(packets[:60], at(100), reason="reconnect", is_open=True)
    async with shown.maker.store.connection() as connection:
        await connection.execute("DELETE FROM footage_segments WHERE run = %s AND n = 1", (made[0].row.run,))
    main, sub = await shown.clips.recordings(shown.camera, at(-10), at(3600))
    seconds = [((span.from_us - T0) / 1e6, (span.to_us - T0) / 1e6) for span in main.spans]
    assert seconds == [(0, 8.2), (60, 64), (68, 72), (100, 104)]
    missing = [((gap.from_us - T0) / 1e6, (gap.to_us - T0) / 1e6, gap.reason) for gap in main.gaps]
    assert missing == [
        (-10, 0, "start"), (8.2, 60, "disk"), (64, 68, "deleted"), (72, 100, "reconnect")
    ]  # fmt: skip
    assert [span.is_open for span in main.spans] == [False, False, False, True]
    assert main.length == sum(span.length for span in main.spans) > 0
    assert sub.spans == []
    assert [(gap.reason) for gap in sub.gaps] == [None]


async def test_a_span_is_cut_to_what_is_asked(shown: Shown) -> None:
    await shown.maker.record(encode_video("h264", [n * 6000 for n in range(150)]), T0)
    main, _ = await shown.clips.recordings(shown.camera, at(2), at(6))
    assert [(span.from_us, span.to_us) for span in main.spans] == [(at(2), at(6))]
    assert main.gaps == []
