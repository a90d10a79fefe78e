"""GNSS error: as large as its place says, correlated in time, larger between buildings."""

import numpy as np

from simulators.noise import OPEN_SIGMA_M, Noise, canyon_factor


def test_error_is_correlated_over_seconds_and_forgotten_over_minutes() -> None:
    n, steps = 400, 120
    noise = Noise(n, np.random.default_rng(5))
    still = np.zeros(n)
    track = np.array([noise.advance(0, n, 10.0, still, still)[0] for _ in range(steps)])

    def correlation(lag: int) -> float:
        a, b = track[20:-lag], track[20 + lag :]
        return float(np.mean([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(n)]))

    assert correlation(1) > 0.6
    assert correlation(1) > correlation(3) > correlation(12)
    assert abs(correlation(24)) < 0.25


def test_error_is_as_large_as_the_place_says() -> None:
    n = 3000
    noise = Noise(n, np.random.default_rng(6))
    x = np.arange(n) * 60.0 + 5.0
    y = np.zeros(n)
    factor = canyon_factor(x, y, noise._salt)
    for _ in range(60):
        east, north, accuracy = noise.advance(0, n, 10.0, x, y)
    open_sky, canyon = factor == 1.0, factor > 3.0
    assert 0.5 < open_sky.mean() < 0.7
    assert abs(np.std(east[open_sky]) - OPEN_SIGMA_M) < 0.3
    assert np.std(east[canyon]) > 2.5 * np.std(east[open_sky])
    assert np.mean(accuracy[canyon]) > 2 * np.mean(accuracy[open_sky])
    assert accuracy.min() > 0
    assert accuracy.max() < 100
    assert np.abs(np.concatenate([east, north])).max() < 60


def test_indoors_is_worse() -> None:
    n = 500
    noise = Noise(n, np.random.default_rng(7))
    noise.indoor[:] = True
    zero = np.zeros(n)
    for _ in range(30):
        east, _, _ = noise.advance(0, n, 10.0, zero, zero)
    assert np.std(east) > 2 * OPEN_SIGMA_M
