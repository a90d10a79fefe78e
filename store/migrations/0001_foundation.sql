-- The ground everything stands on: what this database is, leases, cursors, and the commit-ordered list of batches.

-- One row a fact about the database itself (flavour, digest key, schema owner). Read at start.
CREATE TABLE meta (
    name  text PRIMARY KEY,
    value text NOT NULL
);

-- Secret of this store that keys the digests of facts, so that a digest does not betray a stripped position.
INSERT INTO meta (name, value) VALUES
    ('digest_key', encode(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'hex'));

-- Fenced leases (design §5). `epoch` grows with every holder; a write under a lease checks it in its transaction.
CREATE TABLE leases (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    epoch      bigint NOT NULL,
    acquired_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    details    jsonb NOT NULL DEFAULT '{}'
);

-- Durable positions of the tails: (reader, family, lane) has handled every batch up to `seq`.
CREATE TABLE cursors (
    reader     text NOT NULL,
    family     text NOT NULL,
    lane       smallint NOT NULL,
    seq        bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reader, family, lane)
);

-- One row a committed batch of facts; `seq` is drawn under the family's advisory lock as the last statement of the
-- transaction, so seq order is commit order and a tail has no holes. lane: 0 urgent, 1 live, 2 back-fill.
CREATE TABLE batches (
    family    text NOT NULL,
    lane      smallint NOT NULL,
    seq       bigint NOT NULL,
    batch_id  bigint NOT NULL,
    rows      integer NOT NULL,
    least     timestamptz NOT NULL,
    greatest  timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (family, lane, seq)
);
CREATE SEQUENCE batch_ids;
CREATE SEQUENCE batch_seqs;

-- Last statement of every transaction that writes facts. Empty batches leave no row (and no wake-up). NOTIFY only wakes.
CREATE FUNCTION commit_batch(a_family text, a_lane smallint, a_batch_id bigint, a_rows bigint, a_least timestamptz,
                             a_greatest timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE drawn bigint;
BEGIN
    IF a_rows = 0 THEN RETURN NULL; END IF;
    PERFORM pg_advisory_xact_lock(8017, hashtext(a_family));
    drawn := nextval('batch_seqs');
    INSERT INTO batches (family, lane, seq, batch_id, rows, least, greatest)
        VALUES (a_family, a_lane, drawn, a_batch_id, a_rows, a_least, a_greatest);
    PERFORM pg_notify('wangge_facts', a_family || ':' || a_lane);
    RETURN drawn;
END $$;

-- Heartbeats of our own parts: absence of a device is judged only for time in which the collector was ready.
-- One row an unbroken interval of readiness of one role; `until` is moved forward every few seconds.
CREATE TABLE ready_spans (
    role       text NOT NULL,
    holder     text NOT NULL,
    since      timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    PRIMARY KEY (role, holder, since)
);
CREATE INDEX ready_spans_until ON ready_spans (role, until);
