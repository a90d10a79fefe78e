"""Query parameters that many lists share: time and division."""

from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime

Since = Annotated[AwareDatetime | None, Query(description="From this instant on (RFC 3339 with offset).")]
Until = Annotated[AwareDatetime | None, Query(description="Before this instant (RFC 3339 with offset).")]
DivisionCode = Annotated[
    str | None, Query(pattern=r"^[0-9]{2,15}$", description="Division or grid code, or the beginning of one.")
]
