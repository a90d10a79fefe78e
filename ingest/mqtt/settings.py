"""Section `ingest.mqtt` of the configuration: our own listener and the consumer of a foreign broker."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class MqttSettings(BaseModel):
    """Every key has a default; times in seconds, sizes in bytes, rates a second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether our own MQTT listener runs.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=1883, ge=0, le=65535, description="TCP port; 0 lets the system choose.")
    tls_cert: Path | None = Field(
        default=None, description="Certificate chain (PEM); with tls_key, the port speaks TLS."
    )
    tls_key: Path | None = Field(default=None, description="Private key (PEM) of tls_cert.")
    backlog: int = Field(default=16384, ge=1, description="Connections that may wait to be accepted.")
    max_connections: int = Field(default=20_000, ge=1, description="Open connections; more are closed at once.")
    connect_timeout_s: float = Field(default=10.0, gt=0, description="Time for the CONNECT packet and a TLS handshake.")
    authenticate_timeout_s: float = Field(
        default=5.0, gt=0, description="Time for the store at CONNECT; then CONNACK 3."
    )
    idle_timeout_s: float = Field(default=600.0, gt=0, description="Silence allowed to clients with keep alive 0.")
    max_packet_bytes: int = Field(default=1 << 20, ge=1024, description="Largest packet body of a device.")
    messages_per_s: float = Field(
        default=2000.0, gt=0, description="Messages of one device; beyond, it is read more slowly."
    )
    burst_s: float = Field(default=10.0, gt=0, description="How many seconds' worth of messages may come at once.")
    write_buffer_bytes: int = Field(
        default=262_144, ge=4096, description="Unread bytes towards a client; beyond, it is closed."
    )
    write_stall_s: float = Field(default=60.0, gt=0, description="How long a client may leave its answers unread.")
    downlink_in_flight: int = Field(
        default=20, ge=1, le=65535, description="Unacknowledged QoS 1 messages to one connection."
    )
    downlink_queued: int = Field(default=200, ge=1, description="Messages that wait behind them.")
    subscriptions: int = Field(default=64, ge=1, description="Topic filters of one session.")
    session_expiry_s: float = Field(
        default=604_800.0, gt=0, description="How long a session with clean session 0 is kept."
    )

    broker_url: str | None = Field(
        default=None, description="A foreign broker to read: mqtt://host:1883 or mqtts://host:8883."
    )
    broker_user: str | None = Field(default=None, description="User name at the broker.")
    broker_password_file: Path | None = Field(default=None, description="File that holds the password at the broker.")
    broker_ca: Path | None = Field(
        default=None, description="CA certificates (PEM) for mqtts; the system's without it."
    )
    broker_client_id: str = Field(
        default="wangge-consumer", min_length=1, description="Own client id, unique to an instance."
    )
    broker_group: str | None = Field(default=None, description="Shared subscription group when several instances read.")
    broker_window: int = Field(
        default=1000, ge=1, le=65535, description="Messages taken from the broker and not yet stored."
    )
    broker_gap_s: float = Field(
        default=86_400.0,
        gt=0,
        description="Numbers that the broker lost hold a device's receipts back for this long, counted while it is "
        "heard; then they are given up.",
    )
    broker_begin_s: float = Field(
        default=60.0,
        gt=0,
        description="The first receipt of a device whose numbers begin above 1 waits this long for those before.",
    )
    broker_keep_alive_s: int = Field(default=60, ge=5, le=65535, description="Keep alive towards the broker.")
