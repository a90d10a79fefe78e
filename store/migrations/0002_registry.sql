-- What exists: divisions, grids, people, places, devices and their credentials (room devices/).
-- "Who had which handset, which grid, which shift" are rows with a validity interval [valid_from, valid_to); that
-- intervals of one subject do not overlap is checked by the room devices/ under a lock of the subject's row.

CREATE TABLE divisions (
    code    text PRIMARY KEY CHECK (code ~ '^[0-9]{2,12}$'),
    name    text NOT NULL,
    name_en text,
    kind    text NOT NULL CHECK (kind IN ('province', 'city', 'district', 'street', 'township', 'community', 'village'))
);

CREATE TABLE grids (
    code     text PRIMARY KEY CHECK (code ~ '^[0-9]{15}$'),
    name     text NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('urban', 'rural')),
    polygon  jsonb NOT NULL,             -- GeoJSON Polygon or MultiPolygon, WGS-84, lon before lat
    min_lat  double precision NOT NULL,
    min_lon  double precision NOT NULL,
    max_lat  double precision NOT NULL,
    max_lon  double precision NOT NULL,
    households integer CHECK (households >= 0),
    residents  integer CHECK (residents >= 0)
);
CREATE INDEX grids_scope ON grids (code text_pattern_ops);

CREATE TABLE departments (
    id   text PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE components (
    id         text PRIMARY KEY,
    kind       text NOT NULL,
    name       text,
    lat        double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon        double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    grid       text REFERENCES grids,
    department text REFERENCES departments
);
CREATE INDEX components_grid ON components (grid);

-- kind work: standing still here is work (TRK-07); checkpoint: 必到点, reached within radius_m for dwell_s.
CREATE TABLE places (
    id       text PRIMARY KEY,
    grid     text NOT NULL REFERENCES grids,
    kind     text NOT NULL CHECK (kind IN ('work', 'checkpoint')),
    name     text NOT NULL,
    lat      double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon      double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    radius_m real NOT NULL DEFAULT 50 CHECK (radius_m > 0),
    dwell_s  integer NOT NULL DEFAULT 0 CHECK (dwell_s >= 0),
    ordinal  integer
);
CREATE INDEX places_grid ON places (grid);

CREATE TABLE roads (
    id   text PRIMARY KEY,
    grid text NOT NULL REFERENCES grids,
    name text,
    line jsonb NOT NULL                  -- GeoJSON LineString, WGS-84
);
CREATE INDEX roads_grid ON roads (grid);

CREATE TABLE workers (
    id         text PRIMARY KEY CHECK (id ~ '^[^[:space:][:cntrl:]]{1,64}$'),
    name       text NOT NULL,
    phone      text,
    team       text,
    retired_at timestamptz
);

CREATE TABLE worker_grids (
    worker     text NOT NULL REFERENCES workers,
    grid       text NOT NULL REFERENCES grids,
    valid_from timestamptz NOT NULL CHECK (isfinite(valid_from)),
    valid_to   timestamptz CHECK (valid_to > valid_from AND isfinite(valid_to)),
    PRIMARY KEY (worker, grid, valid_from)
);
CREATE INDEX worker_grids_grid ON worker_grids (grid);

-- Weekly plan in site time; weekday 1 = Monday … 7; ends_at at or before starts_at means the next day.
CREATE TABLE shift_plans (
    worker     text NOT NULL REFERENCES workers,
    weekday    smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    starts_at  time NOT NULL,
    ends_at    time NOT NULL,
    valid_from date NOT NULL CHECK (isfinite(valid_from)),
    valid_to   date CHECK (valid_to > valid_from AND isfinite(valid_to)),
    PRIMARY KEY (worker, weekday, starts_at, valid_from)
);

-- A day that differs from the plan: off (no times) or other times, several rows for several shifts that day.
CREATE TABLE shift_exceptions (
    worker    text NOT NULL REFERENCES workers,
    day       date NOT NULL CHECK (isfinite(day)),
    kind      text NOT NULL CHECK (kind IN ('off', 'shift')),
    starts_at time,
    ends_at   time,
    reason    text,
    CHECK ((kind = 'off') = (starts_at IS NULL) AND (starts_at IS NULL) = (ends_at IS NULL)),
    UNIQUE NULLS NOT DISTINCT (worker, day, starts_at)
);

-- Every device; `key` is the short surrogate that fact rows carry.
CREATE TABLE devices (
    key        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL UNIQUE CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$'),
    kind       text NOT NULL CHECK (kind IN ('handset', 'terminal', 'camera')),
    name       text,
    model      text,
    datum      text NOT NULL DEFAULT 'wgs84' CHECK (datum IN ('wgs84', 'gcj02', 'bd09')),
    url        text,                     -- cameras: RTSP address without credentials
    settings   jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);

-- Under which name a protocol knows a device that cannot use its id (JT/T 808 terminal phone, OwnTracks user/device).
CREATE TABLE device_aliases (
    protocol text NOT NULL CHECK (protocol ~ '^[a-z0-9]{1,16}$'),
    alias    text NOT NULL CHECK (alias <> ''),
    device   integer NOT NULL REFERENCES devices,
    PRIMARY KEY (protocol, alias)
);
CREATE INDEX device_aliases_device ON device_aliases (device);

-- Where a device stands (terminals, cameras; handsets without a worker), for an interval.
CREATE TABLE device_sites (
    device     integer NOT NULL REFERENCES devices,
    grid       text NOT NULL REFERENCES grids,
    lat        double precision CHECK (lat BETWEEN -90 AND 90),
    lon        double precision CHECK (lon BETWEEN -180 AND 180),
    valid_from timestamptz NOT NULL CHECK (isfinite(valid_from)),
    valid_to   timestamptz CHECK (valid_to > valid_from AND isfinite(valid_to)),
    PRIMARY KEY (device, valid_from),
    CHECK ((lat IS NULL) = (lon IS NULL))
);
CREATE INDEX device_sites_grid ON device_sites (grid);

CREATE TABLE handset_workers (
    handset    integer NOT NULL REFERENCES devices,
    worker     text NOT NULL REFERENCES workers,
    valid_from timestamptz NOT NULL CHECK (isfinite(valid_from)),
    valid_to   timestamptz CHECK (valid_to > valid_from AND isfinite(valid_to)),
    PRIMARY KEY (handset, valid_from)
);
CREATE INDEX handset_workers_worker ON handset_workers (worker);

-- 256 random bits a device, only their SHA-256 kept. At most one not revoked row a device.
CREATE TABLE credentials (
    device       integer NOT NULL REFERENCES devices,
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
CREATE UNIQUE INDEX credentials_valid ON credentials (device) WHERE revoked_at IS NULL;

-- Last sign of life, written in bulk every few seconds by the collectors; facts stay the truth.
CREATE TABLE presence (
    device      integer PRIMARY KEY REFERENCES devices,
    received_at timestamptz,
    fixed_at    timestamptz,
    lat         double precision,
    lon         double precision,
    battery     real,
    online      boolean,
    online_at   timestamptz,
    via         text
) WITH (fillfactor = 70);

-- Registry changes wake the in-memory registries of every role: one message a statement, {"table", "keys"}, never one a
-- row. keys: what the change belongs to (the trigger's argument names the column), null when there are over 200.
CREATE FUNCTION registry_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    source text := CASE TG_OP
        WHEN 'INSERT' THEN 'new_rows'
        WHEN 'DELETE' THEN 'old_rows'
        WHEN 'UPDATE' THEN format('(SELECT %1$I FROM old_rows UNION SELECT %1$I FROM new_rows) AS both_rows', TG_ARGV[0])
        END;
    keys jsonb;
BEGIN
    IF TG_OP <> 'TRUNCATE' THEN
        EXECUTE format('SELECT jsonb_agg(k) FROM (SELECT DISTINCT %I AS k FROM %s LIMIT 201) AS few', TG_ARGV[0], source)
            INTO keys;
        IF keys IS NULL THEN RETURN NULL; END IF;
        IF jsonb_array_length(keys) > 200 OR octet_length(keys::text) > 7500 THEN keys := NULL; END IF;
    END IF;
    PERFORM pg_notify('wangge_registry', jsonb_build_object('table', TG_TABLE_NAME, 'keys', keys)::text);
    RETURN NULL;
END $$;
DO $$
DECLARE t record;
BEGIN
    FOR t IN SELECT * FROM (VALUES
        ('divisions', 'code'), ('grids', 'code'), ('places', 'grid'), ('workers', 'id'), ('worker_grids', 'worker'),
        ('shift_plans', 'worker'), ('shift_exceptions', 'worker'), ('devices', 'key'), ('device_aliases', 'device'),
        ('device_sites', 'device'), ('handset_workers', 'handset'), ('credentials', 'device')) AS v (name, key)
    LOOP
        EXECUTE format('CREATE TRIGGER registry_inserted AFTER INSERT ON %I REFERENCING NEW TABLE AS new_rows '
                       'FOR EACH STATEMENT EXECUTE FUNCTION registry_changed(%L)', t.name, t.key);
        EXECUTE format('CREATE TRIGGER registry_updated AFTER UPDATE ON %I REFERENCING OLD TABLE AS old_rows '
                       'NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION registry_changed(%L)', t.name, t.key);
        EXECUTE format('CREATE TRIGGER registry_deleted AFTER DELETE ON %I REFERENCING OLD TABLE AS old_rows '
                       'FOR EACH STATEMENT EXECUTE FUNCTION registry_changed(%L)', t.name, t.key);
        EXECUTE format('CREATE TRIGGER registry_truncated AFTER TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION registry_changed(%L)', t.name, t.key);
    END LOOP;
END $$;
