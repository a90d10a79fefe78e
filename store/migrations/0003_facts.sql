-- Facts: what devices sent, as admitted. Shapes first; the flavour file beside this one makes them day-partitioned
-- tables (plain) or hypertables (timescale). Every unique key holds the partition column.

-- A fix. fixed_at: device time as admitted; sent_at: as sent where admission repaired it, else NULL.
-- digest: keyed 64-bit digest of the decoded content. lat/lon: WGS-84, NULL when stripped or not sent.
-- raw_lat/raw_lon: as sent where the datum was not WGS-84. flags: bits of core.fix.Flag. lane: 0 urgent 1 live 2 back-fill.
CREATE TABLE fixes_shape (
    fixed_at    timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    digest      bigint NOT NULL,
    batch_id    bigint NOT NULL,
    lat         double precision,
    lon         double precision,
    device      integer NOT NULL,
    flags       integer NOT NULL,
    accuracy_m  real,
    altitude_m  real,
    speed_mps   real,
    heading_deg real,
    battery     real,
    satellites  smallint,
    lane        smallint NOT NULL,
    source      smallint,
    alarm       smallint,
    datum       smallint NOT NULL,
    seq         bigint,
    sent_at     timestamptz,
    raw_lat     double precision,
    raw_lon     double precision,
    extra       text,
    PRIMARY KEY (device, fixed_at, digest)
);
CREATE INDEX fixes_shape_batch ON fixes_shape (batch_id);
CREATE INDEX fixes_shape_alarm ON fixes_shape (fixed_at, device) WHERE alarm IS NOT NULL;

-- A POS record; key (terminal, at, boot, seq), the same key with another digest is refused.
CREATE TABLE pos_records_shape (
    at          timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    digest      bigint NOT NULL,
    batch_id    bigint NOT NULL,
    seq         bigint NOT NULL,
    device      integer NOT NULL,
    flags       integer NOT NULL,
    lane        smallint NOT NULL,
    kind        smallint NOT NULL,
    boot        text NOT NULL,
    sent_at     timestamptz,
    amount_fen  bigint,
    service     smallint,
    result      smallint,
    decline_code text,
    card_ref    text,
    latency_ms  integer,
    paper       smallint,
    battery     real,
    signal_dbm  real,
    firmware    text,
    cell_id     text,
    component   text,
    code        text,
    sensor      text,
    lat         double precision,
    lon         double precision,
    extra       text,
    PRIMARY KEY (device, at, boot, seq)
);
CREATE INDEX pos_records_shape_batch ON pos_records_shape (batch_id);

-- What could not be accepted: reason, raw bytes (masked, bounded), where it came from. device NULL: unknown sender.
CREATE TABLE quarantine_shape (
    received_at timestamptz NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    batch_id    bigint NOT NULL,
    device      integer,
    via         text NOT NULL,
    topic       text,
    kind        text NOT NULL,
    reason      text NOT NULL,
    raw         bytea NOT NULL,
    cut         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (received_at, id)
);
CREATE INDEX quarantine_shape_batch ON quarantine_shape (batch_id);

-- Facts about trust, in order, for SEC-01 and the audit: refused credentials, forbidden topics, masked card numbers.
CREATE TABLE security_facts_shape (
    at        timestamptz NOT NULL,
    id        bigint GENERATED ALWAYS AS IDENTITY,
    batch_id  bigint NOT NULL,
    kind      text NOT NULL,
    device    integer,
    claimed   text,                      -- the id that was claimed, cut to 64 characters
    peer      text,
    via       text NOT NULL,
    detail    text,
    PRIMARY KEY (at, id)
);
CREATE INDEX security_facts_shape_batch ON security_facts_shape (batch_id);

-- What devices say beyond measurements: answers to tasks, reports, state. Nothing reads the family yet; its batches stay
-- as long as its rows, for the cursor of a reader to come.
CREATE TABLE device_messages_shape (
    received_at timestamptz NOT NULL,
    digest      bigint NOT NULL,
    batch_id    bigint NOT NULL,
    device      integer NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('answer', 'report', 'state')),
    client_id   text NOT NULL,
    body        jsonb NOT NULL,
    PRIMARY KEY (received_at, device, kind, client_id)
);
CREATE INDEX device_messages_shape_batch ON device_messages_shape (batch_id);

-- The same client_id of a device is one message however often it is sent (the fact table's key needs its time).
CREATE TABLE device_message_keys (
    device      integer NOT NULL,
    kind        text NOT NULL,
    client_id   text NOT NULL,
    digest      bigint NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (device, kind, client_id)
);

-- Hourly roll-ups behind views of the same names in both flavours.
