-- Devices behind a foreign broker: which of their numbers are stored, so that a receipt never covers one that is not.

-- One row a device and power cycle (boot; '' where facts have none). [start, up_to] is covered; NULL while it waits whether
-- numbers before the first one are still to come. beyond: stored numbers after a gap. waited_ms: how long the present
-- gap was waited for while the device was heard; all gaps below mark have been waited for as long.
CREATE TABLE receipts (
    device    integer NOT NULL REFERENCES devices,
    boot      text NOT NULL,
    start     bigint,
    up_to     bigint,
    beyond    int8multirange NOT NULL DEFAULT '{}',
    waited_ms bigint NOT NULL DEFAULT 0,
    mark      bigint NOT NULL DEFAULT 0,
    heard_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device, boot),
    CHECK ((start IS NULL) = (up_to IS NULL) AND start <= up_to)
) WITH (fillfactor = 50);
