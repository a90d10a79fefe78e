-- Grid events, the rules' memory, and what goes back to devices.

-- key: deterministic (rule, subject, opening fact in commit order); id: ULID derived from the first began_at and key.
-- While a condition lasts its rule remembers the key, so that repetitions merge into the open event.
CREATE TABLE grid_events (
    id          text PRIMARY KEY,
    key         text NOT NULL UNIQUE,
    code        text NOT NULL,
    severity    smallint NOT NULL CHECK (severity BETWEEN 1 AND 4),
    level       text NOT NULL CHECK (level IN ('grid', 'district', 'city')),
    division    text NOT NULL,           -- longest known code of the place: the grid, else a division
    grid        text,
    subject     text NOT NULL,           -- device id, worker id, or a division code
    subject_kind text NOT NULL,         -- handset, terminal, worker, division, sender, cursor
    worker      text,
    lat         double precision,
    lon         double precision,
    began_at    timestamptz NOT NULL,
    detected_at timestamptz NOT NULL,
    ended_at    timestamptz,
    count       integer NOT NULL DEFAULT 1,
    late        boolean NOT NULL DEFAULT false,
    step        text NOT NULL DEFAULT 'reported' CHECK (step IN ('reported', 'accepted', 'dispatched', 'in_progress',
                    'answered', 'verified', 'archived', 'rejected', 'merged', 'self_ended')),
    due_at      timestamptz,
    evidence    jsonb NOT NULL DEFAULT '[]',
    causes      jsonb NOT NULL DEFAULT '{}',
    version     integer NOT NULL DEFAULT 1,
    changed_seq bigint NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX grid_events_detected ON grid_events (detected_at DESC, id);
CREATE INDEX grid_events_subject ON grid_events (subject, code, began_at DESC);
CREATE INDEX grid_events_division ON grid_events (division text_pattern_ops, detected_at DESC);
CREATE INDEX grid_events_changed ON grid_events (changed_seq);
CREATE INDEX grid_events_open ON grid_events (code, detected_at) WHERE step NOT IN ('archived', 'rejected', 'merged', 'self_ended');

-- Every change of an event, append-only, in commit order (drawn under the advisory lock 8017/event): what SSE, watch and
-- notification tail. `event` is the event as others see it after the change.
CREATE TABLE event_changes (
    seq      bigint PRIMARY KEY,
    event_id text NOT NULL REFERENCES grid_events,
    version  integer NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    what     text NOT NULL,              -- opened, repeated, corrected, ended, or a step of the loop
    who      text NOT NULL,              -- rule:TRK-02@1, operator:NAME, worker:ID
    details  jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX event_changes_event ON event_changes (event_id, version);
CREATE SEQUENCE event_seqs;

-- What a rule remembers, one row a subject, all rules of the engine in one value; committed with cursor and findings.
-- Rewritten all the time and never by an indexed column: free space in each page keeps the updates inside it (HOT).
CREATE TABLE rule_states (
    engine  text NOT NULL,
    subject text NOT NULL,
    state   bytea NOT NULL,
    PRIMARY KEY (engine, subject)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

-- A large back-fill batch is handled in parts, so that urgent and live facts never wait for it: of the batch after
-- `seq`, the first `part` rows (in the order of store.tail) have been handled.
ALTER TABLE cursors ADD COLUMN part integer NOT NULL DEFAULT 0;

-- Findings counted against the daily budget of a rule in a division.
CREATE TABLE rule_budgets (
    day      date NOT NULL,
    code     text NOT NULL,
    division text NOT NULL,
    found    integer NOT NULL,
    PRIMARY KEY (day, code, division)
);

-- Messages to devices; the ingest instance that holds the device's connection sends them and records the outcome.
CREATE TABLE downlink (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device       integer NOT NULL REFERENCES devices,
    topic        text NOT NULL,
    payload      bytea NOT NULL,
    qos          smallint NOT NULL DEFAULT 1 CHECK (qos IN (0, 1)),
    retain       boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    sent_at      timestamptz,
    delivered_at timestamptz,
    attempts     integer NOT NULL DEFAULT 0,
    answer       jsonb
);
CREATE INDEX downlink_waiting ON downlink (device, id) WHERE delivered_at IS NULL;
CREATE FUNCTION downlink_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wangge_downlink', '');
    RETURN NULL;
END $$;
CREATE TRIGGER downlink_added AFTER INSERT ON downlink FOR EACH STATEMENT EXECUTE FUNCTION downlink_added();

-- MQTT sessions kept on request (clean session 0), retained messages, wills.
CREATE TABLE mqtt_sessions (
    owner         text NOT NULL,         -- device id or operator name
    client_id     text NOT NULL,
    subscriptions jsonb NOT NULL DEFAULT '{}',
    inflight      jsonb NOT NULL DEFAULT '[]',
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (owner, client_id)
);
CREATE TABLE mqtt_retained (
    topic      text PRIMARY KEY,
    payload    bytea NOT NULL,
    qos        smallint NOT NULL,
    stored_at  timestamptz NOT NULL DEFAULT now()
);
