-- Footage: which files there are, what is in them, and how their media time maps to UTC (design §4). Written by the
-- streams workers under a camera's lease, read by clips, HLS, cleaner and sweep.

-- Folders that hold footage. id: written into the file `.wangge-root` of the folder. url: of the worker that serves it.
CREATE TABLE media_roots (
    id         text PRIMARY KEY,
    host       text NOT NULL,
    path       text NOT NULL,
    url        text,
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    bytes_free  bigint,
    bytes_total bigint
);

-- Workers that are alive: cameras are divided by their number. expires_at is moved forward every few seconds.
-- holder: one process life. worker: its place (host and number), the same after a restart.
CREATE TABLE stream_workers (
    holder     text PRIMARY KEY,
    worker     text NOT NULL,
    host       text NOT NULL,
    url        text NOT NULL,
    root       text NOT NULL REFERENCES media_roots,
    expires_at timestamptz NOT NULL
);

-- What workers and consoles show each other on the internal media port.
INSERT INTO meta (name, value) VALUES
    ('media_key', encode(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'hex'));

-- One unbroken recording of one stream. id: made by the recorder, sortable by time, so that it needs no store.
-- stream: 0 main, 1 sub. reason: why a new run began (start, reconnect, jump, drift, clock_step, overload, disk).
-- gone: numbers of segments that were deleted, so that a row which comes late (a journal) does not bring them back.
CREATE TABLE footage_runs (
    id         text PRIMARY KEY CHECK (id ~ '^[0-9A-Z]{26}$'),
    camera     integer NOT NULL REFERENCES devices,
    stream     smallint NOT NULL CHECK (stream IN (0, 1)),
    root       text NOT NULL REFERENCES media_roots,
    epoch      bigint NOT NULL,
    began_at   timestamptz NOT NULL,
    reason     text NOT NULL,
    gone       int4multirange NOT NULL DEFAULT '{}'
);
CREATE INDEX footage_runs_camera ON footage_runs (camera, stream, began_at);

-- Clock map of a run: media time → UTC, straight between the points, at their last slope after the last one.
-- kind `map`: what is used. kind `rtcp`: the camera's own statement, kept as evidence.
CREATE TABLE footage_clocks (
    run     text NOT NULL REFERENCES footage_runs ON DELETE CASCADE,
    kind    text NOT NULL CHECK (kind IN ('map', 'rtcp')),
    pts_90k bigint NOT NULL,
    utc_us  bigint NOT NULL,
    PRIMARY KEY (run, kind, pts_90k)
);

-- Initialisation sections (ftyp + moov without samples), shared by all segments with the same parameters.
CREATE TABLE footage_inits (
    digest  bytea PRIMARY KEY CHECK (length(digest) = 32),
    codecs  text NOT NULL,               -- RFC 6381, as HLS and MSE name them
    width   integer NOT NULL,
    height  integer NOT NULL,
    init    bytea NOT NULL
);

-- One file: <root>/<camera id>/<main|sub>/<UTC day>/<run>-<n>.mp4. state: 0 open, 1 closed, 2 deleting.
-- Everything here describes the first `bytes` bytes, which are whole fragments; more may be on disk already.
-- durable_until: footage before it survives a power cut. start_at, end_at: by the clock map.
-- sample_index: streams.mp4.index. Kept small and rewritten while the segment is open.
CREATE TABLE footage_segments (
    run          text NOT NULL REFERENCES footage_runs,
    n            integer NOT NULL CHECK (n >= 0),
    camera       integer NOT NULL,
    stream       smallint NOT NULL,
    root         text NOT NULL,
    day          date NOT NULL,
    state        smallint NOT NULL CHECK (state IN (0, 1, 2)),
    init_digest  bytea NOT NULL REFERENCES footage_inits,
    start_pts    bigint NOT NULL,
    end_pts      bigint NOT NULL,
    start_at     timestamptz NOT NULL,
    end_at       timestamptz NOT NULL,
    durable_until timestamptz NOT NULL,
    bytes        bigint NOT NULL,
    samples      integer NOT NULL,
    sample_index bytea NOT NULL,
    PRIMARY KEY (run, n)
);
ALTER TABLE footage_segments ALTER COLUMN sample_index SET STORAGE EXTERNAL;
CREATE INDEX footage_segments_time ON footage_segments (camera, stream, start_at);
CREATE INDEX footage_segments_oldest ON footage_segments (root, stream, start_at) WHERE state <> 2;
CREATE INDEX footage_segments_unfinished ON footage_segments (root, state) WHERE state <> 1;

-- Footage that the cleaner leaves alone, with whose wish it is. until NULL: until it is taken back.
CREATE TABLE footage_protections (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    camera     integer NOT NULL REFERENCES devices,
    from_at    timestamptz NOT NULL,
    to_at      timestamptz NOT NULL CHECK (to_at > from_at),
    reason     text NOT NULL,
    who        text NOT NULL,
    event_id   text,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    until      timestamptz,
    ended_at   timestamptz
);
CREATE INDEX footage_protections_camera ON footage_protections (camera, from_at) WHERE ended_at IS NULL;

-- What a camera's own picture looks like when all is well, learned, per light (0 day, 1 night): streams.quality.
CREATE TABLE camera_references (
    camera     integer NOT NULL REFERENCES devices,
    light      smallint NOT NULL CHECK (light IN (0, 1)),
    version    integer NOT NULL,
    learned_at timestamptz NOT NULL,
    reference  bytea NOT NULL,
    PRIMARY KEY (camera, light)
);

-- Health of cameras and of media roots as facts (family `camera`): what streams saw, which rules of alerts judge.
-- kind: core.camera.KindCode. device NULL: about a media root (`root`). digest makes a row written twice one row.
CREATE TABLE camera_facts_shape (
    at          timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    digest      bigint NOT NULL,
    batch_id    bigint NOT NULL,
    device      integer,
    kind        smallint NOT NULL,
    light       smallint,
    score       real,
    root        text,
    figures     jsonb NOT NULL DEFAULT '{}',
    picture     text,
    PRIMARY KEY (at, digest)
);
CREATE INDEX camera_facts_shape_batch ON camera_facts_shape (batch_id);
CREATE INDEX camera_facts_shape_device ON camera_facts_shape (device, at);
