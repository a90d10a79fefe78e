"""The hub: rings begin with a key frame, full ones are emptied, nobody holds up anybody."""

from hypothesis import given
from hypothesis import strategies as st

from core.media import VIDEO, Packet, TrackFormats, VideoFormat
from streams.hub import Hub

FORMATS = TrackFormats(VideoFormat("h264", 16, 16, b""))


def packet(number: int, *, key: bool = False, size: int = 10) -> Packet:
    return Packet(VIDEO, number, number, 1, key, bytes(size), 0, 0.0, 1, FORMATS)


def publish(hub: Hub, numbers: range, every: int = 10) -> None:
    for number in numbers:
        hub.publish(packet(number, key=number % every == 0))


def numbers(packets: list[Packet]) -> list[int]:
    return [one.pts_90k for one in packets]


def test_a_new_reader_has_the_gop_in_progress_at_once_or_waits_for_a_key() -> None:
    hub = Hub()
    publish(hub, range(14))
    woken: list[int] = []
    eager = hub.reader("eager", 100, 1 << 20, lambda: woken.append(1))
    patient = hub.reader("patient", 100, 1 << 20, from_gop=False)
    assert woken == [1]
    publish(hub, range(14, 22))
    assert numbers(eager.take()) == list(range(10, 22))
    assert numbers(patient.take()) == [20, 21]
    assert eager.take() == []


def test_wake_comes_only_when_the_ring_stops_being_empty() -> None:
    hub, woken = Hub(), []
    reader = hub.reader("one", 100, 1 << 20, lambda: woken.append(len(woken)))
    publish(hub, range(5))
    assert len(woken) == 1
    reader.take()
    publish(hub, range(5, 9))
    assert len(woken) == 2


def test_a_full_ring_is_emptied_and_goes_on_at_the_next_key_every_loss_counted() -> None:
    hub = Hub()
    slow, quick = hub.reader("slow", 15, 1 << 20), hub.reader("quick", 1000, 1 << 20)
    publish(hub, range(45))
    taken = numbers(slow.take())
    assert taken == list(range(40, 45))
    assert slow.dropped + len(taken) == 45
    assert numbers(quick.take()) == list(range(45))
    assert quick.dropped == 0


def test_bytes_bound_ring_and_gop_cache() -> None:
    hub = Hub(most_gop_packets=5, most_gop_bytes=1000)
    reader = hub.reader("small", 1000, 100)
    publish(hub, range(8))
    assert hub.gop() == []
    assert reader.waiting * 10 <= 100
    hub.publish(packet(8, size=400))
    assert reader.take() == []
    assert reader.dropped == 9


def test_a_closed_reader_gets_nothing_and_a_lost_camera_leaves_no_picture() -> None:
    hub = Hub()
    reader = hub.reader("one", 100, 1 << 20)
    publish(hub, range(5))
    reader.close()
    publish(hub, range(5, 8))
    assert reader.take() == []
    assert hub.readers == ()
    hub.clear()
    assert hub.gop() == []
    assert hub.formats is None


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60), st.booleans()), max_size=120), st.integers(2, 12))
def test_nothing_is_lost_uncounted(steps: list[tuple[bool, int, bool]], most: int) -> None:
    hub = Hub()
    reader = hub.reader("any", most, 200)
    taken: list[Packet] = []
    begun = False
    sent = 0
    for number, (key, size, takes) in enumerate(steps):
        begun = begun or key
        sent += begun
        hub.publish(packet(number, key=key, size=size))
        if takes:
            part = reader.take()
            assert not part or taken[-1:] == [] or part[0].is_key or part[0].pts_90k == taken[-1].pts_90k + 1
            taken += part
    taken += reader.take()
    assert len(taken) + reader.dropped == sent
    assert numbers(taken) == sorted(set(numbers(taken)))


def test_what_was_lost_stays_counted_when_a_reader_leaves() -> None:
    hub = Hub()
    slow = hub.reader("slow", 15, 1 << 20)
    publish(hub, range(45))
    lost = slow.dropped
    assert hub.dropped == lost > 0
    slow.close()
    slow.close()
    assert hub.dropped == lost
