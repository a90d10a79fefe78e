"""Who may do what: one table of rights, one function that asks it.

A right names the roles that hold it. A role acts within a division: a prefix of grid codes, '' is everything; what lies
outside is as if it did not exist (404) when read, and refused (403) when changed. A *worker* is bound to one worker and
sees only what is that worker's own.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from core.errors import NotAllowed

Role = Literal["viewer", "operator", "dispatcher", "supervisor", "administrator", "auditor", "worker"]
ROLES: tuple[str, ...] = get_args(Role)

_COMMAND = frozenset({"dispatcher", "supervisor", "administrator"})
_HANDLING = _COMMAND | {"operator"}
_SEEING = _HANDLING | {"viewer", "auditor"}

RIGHTS: dict[str, frozenset[str]] = {
    "self": frozenset(ROLES),
    "health.read": _SEEING,
    "events.read": _SEEING | {"worker"},
    "events.accept": _HANDLING,
    "events.reject": _COMMAND,
    "events.dispatch": _COMMAND,
    "events.answer": _HANDLING | {"worker"},
    "events.verify": _COMMAND,
    "events.archive": _COMMAND,
    "registry.read": _SEEING,
    "registry.write": frozenset({"administrator"}),
    "devices.read": _SEEING,
    "tracks.read": _COMMAND | {"auditor", "worker"},
    "footage.read": _HANDLING | {"auditor"},
    "footage.protect": _HANDLING,
    "quarantine.read": frozenset({"supervisor", "administrator", "auditor"}),
    "operators.read": frozenset({"supervisor", "administrator", "auditor"}),
    "operators.write": frozenset({"administrator"}),
    "audit.read": frozenset({"administrator", "auditor"}),
    "simulation.manifest": frozenset({"administrator"}),
}
"""Right → roles. Every route names one of these; the table of roles and routes in the tests is made from it."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is asking. id None: the local administrator (token file in the data folder). peer: the address."""

    name: str
    role: Role
    division: str = ""
    worker: str | None = None
    id: int | None = None
    peer: str | None = None

    @property
    def who(self) -> str:
        """The name as the audit log and event changes write it."""
        if self.id is None:
            return "local administrator"
        return f"worker:{self.worker}" if self.role == "worker" else f"operator:{self.name}"

    def sees(self, code: str | None) -> bool:
        """Whether a division or grid code lies inside the own scope."""
        return not self.division or (code or "").startswith(self.division)


def require(operator: Operator, right: str, scope: str | None = None) -> Operator:
    """Raises NotAllowed unless `operator` holds `right`, and within `scope` (a division or grid code) where given."""
    if operator.role not in RIGHTS[right]:
        raise NotAllowed(f"The role {operator.role} may not do this ({right}); ask an administrator.", right=right)
    if scope is not None and not operator.sees(scope):
        raise NotAllowed(f"{scope} lies outside your division {operator.division}.", right=right)
    return operator
