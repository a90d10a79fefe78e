CREATE TABLE camera_facts (LIKE camera_facts_shape INCLUDING ALL);
DROP TABLE camera_facts_shape;
SELECT create_hypertable('camera_facts', by_range('at', INTERVAL '1 day'), create_default_indexes => false);

-- kind 1: a quality sample (core.camera.KindCode).
CREATE MATERIALIZED VIEW camera_hours
    WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = true) AS
SELECT device, time_bucket(INTERVAL '1 hour', at) AS hour, count(*) AS samples, sum(score)::double precision AS score_sum,
       min(score) AS least_score
FROM camera_facts WHERE kind = 1 AND device IS NOT NULL AND score IS NOT NULL
GROUP BY device, time_bucket(INTERVAL '1 hour', at) WITH NO DATA;
SELECT add_continuous_aggregate_policy('camera_hours', start_offset => INTERVAL '89 days',
                                       end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '10 minutes');
CREATE VIEW camera_quality_per_hour AS
    SELECT device, hour, samples, score_sum / samples AS score, least_score FROM camera_hours;
