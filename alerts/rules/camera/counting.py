"""Hysteresis: a condition is there after n bad samples of the last m, and gone after k good ones in a row."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Counts(BaseModel):
    """How many samples open and end a condition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bad: int = Field(default=3, ge=1, le=16, description="Samples that open, of the last `of`.")
    of: int = Field(default=5, ge=1, le=16, description="Samples that are looked at.")
    good: int = Field(default=3, ge=1, le=16, description="Good samples in a row that end.")

    @model_validator(mode="after")
    def _fits(self) -> "Counts":
        if self.bad > self.of:
            raise ValueError("bad must not be more than of")
        return self


KEPT = 16
"""Samples that are remembered."""


def opens(marks: tuple[int, ...], mark: int, counts: Counts) -> bool:
    """Whether `mark` was found often enough among the newest samples (newest last)."""
    return marks[-counts.of :].count(mark) >= counts.bad


def ends(marks: tuple[int, ...], counts: Counts, good: int = 0) -> bool:
    """Whether enough samples in a row were good."""
    newest = marks[-counts.good :]
    return len(newest) == counts.good and all(mark == good for mark in newest)


def appended(marks: tuple[int, ...], mark: int) -> tuple[int, ...]:
    """The marks with one more."""
    return (*marks[-KEPT + 1 :], mark)
