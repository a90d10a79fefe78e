-- People who use the service, and the append-only record of what they looked at and changed.

CREATE TABLE operators (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$'),
    role          text NOT NULL CHECK (role IN ('viewer', 'operator', 'dispatcher', 'supervisor', 'administrator', 'auditor', 'worker')),
    division      text NOT NULL DEFAULT '' CHECK (division ~ '^[0-9]{0,15}$'),  -- scope: a prefix of grid codes; '' is everything
    worker        text REFERENCES workers,
    password_hash text,                        -- argon2id; NULL: tokens only
    created_at    timestamptz NOT NULL DEFAULT now(),
    password_changed_at timestamptz,           -- by the person; NULL: still the one that was given
    disabled_at   timestamptz,
    CHECK ((role = 'worker') = (worker IS NOT NULL))
);

-- Bearer tokens of programs and sessions of the page: 256 random bits each, only the SHA-256 kept.
CREATE TABLE operator_tokens (
    token_sha256 bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    operator     integer NOT NULL REFERENCES operators,
    purpose      text NOT NULL CHECK (purpose IN ('bearer', 'session')),
    csrf_sha256  bytea CHECK (length(csrf_sha256) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    CHECK ((purpose = 'session') = (csrf_sha256 IS NOT NULL))
);
CREATE INDEX operator_tokens_operator ON operator_tokens (operator);

-- Append-only: written in the request's transaction. The sealer chains committed rows (hash) in the order it sees them.
CREATE TABLE audit_log (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    who      text NOT NULL,
    role     text,
    action   text NOT NULL,
    object   text,
    scope    text,
    purpose  text,
    peer     text,
    details  jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE INDEX audit_log_who ON audit_log (who, seq);
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('wangge.audit_retention', true) = 'on' THEN RETURN OLD; END IF;
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE FUNCTION audit_not_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER audit_not_truncated BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_not_truncated();

-- The chain over committed audit rows, in the order the sealer saw them: head n = sha256(head n-1 ‖ row).
-- Retention drops rows from the beginning of the chain with their seals and keeps the last dropped seal as the anchor.
CREATE TABLE audit_seals (
    n        bigint PRIMARY KEY,
    seq      bigint NOT NULL UNIQUE,
    head     bytea NOT NULL CHECK (length(head) = 32),
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
