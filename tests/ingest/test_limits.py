"""Token buckets: rate, burst, and sizes larger than the bucket."""

import pytest

from ingest.limits import Buckets


def test_burst_then_rate() -> None:
    buckets = Buckets(rate=10, burst_s=2)
    assert [buckets.take("a", 5, 100.0) for _ in range(4)] == [0, 0, 0, 0]
    assert buckets.take("a", 5, 100.0) == pytest.approx(0.5)
    assert buckets.take("b", 5, 100.0) == 0
    assert buckets.take("a", 5, 100.4) > 0
    assert buckets.take("a", 5, 100.5) == 0


def test_more_than_a_bucket_is_given_when_it_is_full() -> None:
    buckets = Buckets(rate=10, burst_s=1)
    assert buckets.take("a", 50, 0.0) == 0
    assert buckets.take("a", 50, 0.0) == pytest.approx(5.0)
    assert buckets.take("a", 50, 5.0) == 0


def test_quiet_devices_are_forgotten() -> None:
    buckets = Buckets(rate=1000, burst_s=1)
    for key in range(50_000):
        buckets.take(key, 1, 0.0)
    buckets.take("new", 1, 10.0)
    assert len(buckets._full_at) == 1
