CREATE TABLE camera_facts (LIKE camera_facts_shape INCLUDING ALL) PARTITION BY RANGE (at);
DROP TABLE camera_facts_shape;

CREATE TABLE camera_hours (
    device      integer NOT NULL,
    hour        timestamptz NOT NULL,
    samples     bigint NOT NULL,
    score_sum   double precision NOT NULL,
    least_score real,
    PRIMARY KEY (device, hour)
);
CREATE INDEX camera_hours_hour ON camera_hours (hour);
CREATE VIEW camera_quality_per_hour AS
    SELECT device, hour, samples, score_sum / samples AS score, least_score FROM camera_hours;
