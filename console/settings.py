"""Settings of the room console: the HTTP server (`http`) and what people may do (`console`)."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class HttpSettings(BaseModel):
    """Section `http`: the one HTTP server for the page, the operators' API and devices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every one.")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; 0 lets the system choose.")
    tls_certificate: Path | None = Field(
        default=None, description="PEM file with the certificate chain; unset: plain HTTP."
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the private key of tls_certificate.")
    body_limit: int = Field(
        default=1 << 20, ge=1024, description="Greatest body of a request to the operators' API, bytes."
    )
    import_limit: int = Field(
        default=64 << 20, ge=1024, description="Greatest file that the operators' API imports into the registry, bytes."
    )
    body_wait_s: float = Field(
        default=30.0, gt=0, description="A body that takes longer than so many seconds is given up (408)."
    )
    head_limit: int = Field(
        default=64 << 10, ge=4096, description="Greatest request line with headers, bytes; 431 beyond."
    )
    connections: int = Field(default=12_000, ge=10, description="Most connections open at once; beyond, 503.")
    keep_alive_s: float = Field(
        default=30.0, gt=0, description="A connection without a whole request is closed after so many seconds."
    )


class ConsoleSettings(BaseModel):
    """Section `console`: sign-in, sessions, the audit seal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(default="网格", min_length=1, max_length=80, description="Name shown on the page.")
    session_hours: float = Field(
        default=12.0, gt=0, le=720, description="A session of the page ends after so many hours."
    )
    sign_in_attempts: int = Field(
        default=10, ge=1, description="Refused sign-ins of one name or one address until it must wait."
    )
    sign_in_window_s: float = Field(
        default=300.0, gt=0, description="Window over which refused sign-ins are counted, seconds."
    )
    password_length: int = Field(default=12, ge=8, le=128, description="Least length of a password, characters.")
    page_limit: int = Field(default=500, ge=1, le=5000, description="Most rows of one page of the operators' API.")
    stream_connections: int = Field(default=200, ge=1, description="Most live streams (SSE) open at once.")
    stream_ping_s: float = Field(
        default=15.0, gt=0, description="A silent live stream sends a comment every so many seconds."
    )
    seal_folder: Path | None = Field(
        default=None,
        description="Folder for the signed heads of the audit log; unset: `audit` in the data folder.",
    )
    seal_head_s: float = Field(
        default=60.0, ge=1, description="How often the head of the audit log is signed into a file, seconds."
    )
