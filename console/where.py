"""Conditions of lists, bound as parameters, and what the caller may see at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from console.rights import Operator


@dataclass(slots=True)
class Where:
    """AND-ed conditions; SQL text is ours alone, values are bound."""

    conditions: list[str] = field(default_factory=lambda: ["true"])
    values: list[object] = field(default_factory=list)

    def add(self, condition: str, *values: object) -> "Where":
        """One more condition with its values."""
        self.conditions.append(condition)
        self.values += values
        return self

    def given(self, condition: str, value: object) -> "Where":
        """One more condition unless `value` is None."""
        return self if value is None else self.add(condition, value)

    def any_of(self, column: str, values: Sequence[object] | None) -> "Where":
        """`column` is one of `values`, unless none are given."""
        return self.add(f"{column} = ANY(%s)", list(values)) if values else self

    def within(self, column: str, prefix: str | None) -> "Where":
        """`column` begins with a division code; digits only, so no wildcard can be in it."""
        return self.add(f"{column} LIKE %s", f"{prefix}%") if prefix else self

    def seen_by(self, caller: Operator, column: str) -> "Where":
        """Only what lies in the caller's division."""
        return self.within(column, caller.division)

    @property
    def sql(self) -> str:
        """The text behind WHERE."""
        return " AND ".join(self.conditions)
