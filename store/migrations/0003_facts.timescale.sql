-- TimescaleDB (community licence): hypertables of one-day chunks, columnstore behind the back-fill window, roll-ups as
-- continuous aggregates. Rows are dropped by store.retention, not by a retention policy: a policy knows no cursors.
CREATE TABLE fixes (LIKE fixes_shape INCLUDING ALL);
CREATE TABLE pos_records (LIKE pos_records_shape INCLUDING ALL);
CREATE TABLE quarantine (LIKE quarantine_shape INCLUDING ALL);
CREATE TABLE security_facts (LIKE security_facts_shape INCLUDING ALL);
CREATE TABLE device_messages (LIKE device_messages_shape INCLUDING ALL);
DROP TABLE fixes_shape, pos_records_shape, quarantine_shape, security_facts_shape, device_messages_shape;

SELECT create_hypertable('fixes', by_range('fixed_at', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('pos_records', by_range('at', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('quarantine', by_range('received_at', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('security_facts', by_range('at', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('device_messages', by_range('received_at', INTERVAL '1 day'), create_default_indexes => false);

ALTER TABLE fixes SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'device', timescaledb.orderby = 'fixed_at, digest'
);
ALTER TABLE pos_records SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'device', timescaledb.orderby = 'at, boot, seq'
);
CALL add_columnstore_policy('fixes', after => INTERVAL '7 days');
CALL add_columnstore_policy('pos_records', after => INTERVAL '7 days');

-- Real-time aggregates: what was refreshed plus the rows since. A refresh must not reach chunks that retention dropped
-- (it would empty the hours); store.timescale keeps start_offset inside the retention.
CREATE MATERIALIZED VIEW fix_hours
    WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = true) AS
SELECT device, time_bucket(INTERVAL '1 hour', fixed_at) AS hour, count(*) AS fixes, min(battery) AS least_battery
FROM fixes GROUP BY device, time_bucket(INTERVAL '1 hour', fixed_at) WITH NO DATA;
CREATE MATERIALIZED VIEW pos_hours
    WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = true) AS
SELECT device, time_bucket(INTERVAL '1 hour', at) AS hour, count(*) AS transactions,
       count(*) FILTER (WHERE result = 0) AS approved, count(*) FILTER (WHERE result = 1) AS declined,
       coalesce(sum(amount_fen) FILTER (WHERE result = 0), 0)::bigint AS amount_fen
FROM pos_records WHERE kind = 1 GROUP BY device, time_bucket(INTERVAL '1 hour', at) WITH NO DATA;
SELECT add_continuous_aggregate_policy('fix_hours', start_offset => INTERVAL '179 days',
                                       end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '10 minutes');
SELECT add_continuous_aggregate_policy('pos_hours', start_offset => INTERVAL '399 days',
                                       end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '10 minutes');
CREATE VIEW fixes_per_hour AS SELECT device, hour, fixes, least_battery FROM fix_hours;
CREATE VIEW transactions_per_hour AS SELECT device, hour, transactions, approved, declined, amount_fen FROM pos_hours;
