-- works with 1
-- What operators create. Writers take turns by the lock on the row of `head`, so that changes become visible in the order of their numbers.
CREATE TABLE head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    lineage text NOT NULL DEFAULT gen_random_uuid()::text,
    change bigint NOT NULL DEFAULT 0,
    seal text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN head.lineage IS 'tells this database from any other';
COMMENT ON COLUMN head.seal IS 'opens with the key with which all hosts seal secrets; empty: nothing is sealed yet';
INSERT INTO head DEFAULT VALUES;

CREATE TABLE objects (
    collection text NOT NULL,
    id text NOT NULL,
    change bigint NOT NULL,
    gone boolean NOT NULL,
    document text NOT NULL,
    version bigint NOT NULL,
    created_us bigint NOT NULL,
    updated_us bigint NOT NULL,
    secrets text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (collection, id)
);
COMMENT ON TABLE objects IS 'documents as operators wrote them; those that were deleted stay as gone, so that all hosts hear of it';
COMMENT ON COLUMN objects.secrets IS 'of a key: SHA-256 in hexadecimal digits, when it was made, when it ends';
COMMENT ON COLUMN objects.sealed IS 'of a provider: its secrets, encrypted';
CREATE UNIQUE INDEX objects_change ON objects (change);

CREATE TABLE audit (
    seq bigint PRIMARY KEY,
    at_us bigint NOT NULL,
    host text NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    collection text NOT NULL,
    id text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    hash bytea NOT NULL
);
COMMENT ON TABLE audit IS 'who changed what, in one chain for all hosts';
