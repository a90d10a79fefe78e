"""Tests of the simulated cameras, by foreign players where that is possible."""
