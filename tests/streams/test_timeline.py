"""Time stamps: missing, jumping and reordered ones, in the order in which packets come."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.timeline import Timeline

FRAME = 6000


def played(stamps: list[tuple[int | None, int | None, float, bool]]) -> list[tuple[int, int, bool]]:
    line = Timeline(1.0)
    return [line.place(*stamp) for stamp in stamps]


def test_an_even_stream_stays_as_it_is() -> None:
    stamps = [(n * FRAME, n * FRAME, n / 15, n % 15 == 0) for n in range(60)]
    assert played(list(stamps)) == [(n * FRAME, n * FRAME, False) for n in range(60)]


def test_missing_stamps_go_on_at_the_usual_step() -> None:
    placed = played([(None, None, 0, True), (FRAME, FRAME, 0.07, False), (None, None, 0.13, False)])
    assert placed == [(0, 0, False), (FRAME, FRAME, False), (2 * FRAME, 2 * FRAME - FRAME + 1, False)]


def test_a_leap_moves_the_rest_of_the_gop_and_begins_a_session_with_the_next_key() -> None:
    for leap in (3_600 * 90_000, -5 * 90_000):
        stamps = []
        for n in range(45):
            pts = 10_000_000 + n * FRAME + (leap if n >= 20 else 0)
            stamps.append((pts, pts, n / 15, n % 15 == 0))
        placed = played(list(stamps))
        assert [begins for *_, begins in placed].index(True) == 30
        assert sum(begins for *_, begins in placed) == 1
        assert [pts for pts, *_ in placed[:30]] == [10_000_000 + n * FRAME for n in range(30)]
        assert [pts for pts, *_ in placed[30:]] == [stamp[0] for stamp in stamps[30:]]


def test_a_stall_of_the_network_and_a_burst_are_no_leap() -> None:
    burst = [(n * FRAME, n * FRAME, 5.0 + n * 0.001, n % 15 == 0) for n in range(90)]
    late = [(n * FRAME, n * FRAME, (n + 75) / 15, n % 15 == 0) for n in range(90, 150)]
    lost = [((n + 60) * FRAME, (n + 60) * FRAME, (n + 135) / 15, n % 15 == 0) for n in range(150, 200)]
    assert not any(begins for *_, begins in played([*burst, *late, *lost]))


def test_reordered_pictures_decode_before_they_show() -> None:
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    dts = [None, None, None, 1, 2, 3, 4, 5, 6, 7]
    stamps = [
        (pts * FRAME, None if at is None else at * FRAME, n / 15, n == 0)
        for n, (pts, at) in enumerate(zip(order, dts, strict=True))
    ]
    placed = played(list(stamps))
    assert all(dts <= pts for pts, dts, _ in placed)
    assert all(one[1] < two[1] for one, two in pairwise(placed))


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(1 << 40), 1 << 40),
            st.none() | st.integers(-(1 << 40), 1 << 40),
            st.floats(0, 3),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_decoding_time_never_goes_back_within_a_session(
    stamps: list[tuple[int | None, int | None, float, bool]],
) -> None:
    line, now_s, last = Timeline(1.0), 0.0, None
    for pts, dts, wait_s, is_key in stamps:
        now_s += wait_s
        _, placed, begins = line.place(pts, dts, now_s, is_key)
        assert last is None or begins or placed > last
        last = placed
