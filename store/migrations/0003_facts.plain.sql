-- Plain PostgreSQL: native day partitions, made ahead and on first need by store.partitions; roll-ups in tables that the
-- roll-up job fills from its own cursor, exactly once a batch.
CREATE TABLE fixes (LIKE fixes_shape INCLUDING ALL) PARTITION BY RANGE (fixed_at);
CREATE TABLE pos_records (LIKE pos_records_shape INCLUDING ALL) PARTITION BY RANGE (at);
CREATE TABLE quarantine (LIKE quarantine_shape INCLUDING ALL) PARTITION BY RANGE (received_at);
CREATE TABLE security_facts (LIKE security_facts_shape INCLUDING ALL) PARTITION BY RANGE (at);
CREATE TABLE device_messages (LIKE device_messages_shape INCLUDING ALL) PARTITION BY RANGE (received_at);
DROP TABLE fixes_shape, pos_records_shape, quarantine_shape, security_facts_shape, device_messages_shape;

CREATE TABLE fix_hours (
    device integer NOT NULL,
    hour   timestamptz NOT NULL,
    fixes  bigint NOT NULL,
    least_battery real,
    PRIMARY KEY (device, hour)
);
CREATE INDEX fix_hours_hour ON fix_hours (hour);
CREATE TABLE pos_hours (
    device       integer NOT NULL,
    hour         timestamptz NOT NULL,
    transactions bigint NOT NULL,
    approved     bigint NOT NULL,
    declined     bigint NOT NULL,
    amount_fen   bigint NOT NULL,
    PRIMARY KEY (device, hour)
);
CREATE INDEX pos_hours_hour ON pos_hours (hour);
CREATE VIEW fixes_per_hour AS SELECT device, hour, fixes, least_battery FROM fix_hours;
CREATE VIEW transactions_per_hour AS SELECT device, hour, transactions, approved, declined, amount_fen FROM pos_hours;
