-- works with 1
-- What became of requests, of all hosts: as in a host's own ledger, a row with numbers and free text, and what has few values beside it.
CREATE TABLE origins (
    id uuid PRIMARY KEY,
    host text COLLATE "C" NOT NULL,
    "key" text COLLATE "C" NOT NULL,
    team text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    provider_key text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    upstream_model text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    dialect text COLLATE "C" NOT NULL,
    environment text COLLATE "C" NOT NULL,
    error text COLLATE "C" NOT NULL,
    settlement text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    tier text COLLATE "C" NOT NULL,
    cache text COLLATE "C" NOT NULL,
    semantic text COLLATE "C" NOT NULL,
    status bigint NOT NULL,
    stream bigint NOT NULL
);
COMMENT ON COLUMN origins.id IS 'a hash of all other columns, so that hosts need not agree on it';

CREATE TABLE events (
    id_high bigint NOT NULL,
    id_low bigint NOT NULL,
    started_us bigint NOT NULL,
    origin uuid NOT NULL,
    duration_us bigint,
    upstream_us bigint,
    ttft_us bigint,
    overhead_us bigint,
    attempts bigint,
    cost_nano bigint,
    hold_nano bigint,
    overrun_nano bigint,
    saved_nano bigint,
    input_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    cache_write_1h_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    audio_input_tokens bigint,
    audio_output_tokens bigint,
    image_input_tokens bigint,
    web_searches bigint,
    cache_read_audio_tokens bigint,
    cache_read_image_tokens bigint,
    file_searches bigint,
    audio_us bigint,
    characters bigint,
    similarity_e4 bigint,
    cache_age_s bigint,
    "user" text COLLATE "C" NOT NULL,
    "session" text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    tags text COLLATE "C" NOT NULL,
    cache_entry text COLLATE "C" NOT NULL,
    PRIMARY KEY (id_high, id_low, started_us)
) PARTITION BY RANGE (started_us);
COMMENT ON TABLE events IS 'a partition for each day (UTC); a number that is 0 is NULL, which takes no room';
CREATE INDEX events_started ON events USING brin (started_us);
CREATE INDEX events_origin ON events (origin, id_high);
CREATE INDEX events_user ON events ("user", id_high) WHERE "user" <> '';
CREATE INDEX events_session ON events ("session", id_high) WHERE "session" <> '';

CREATE TABLE shipped (
    host text COLLATE "C" PRIMARY KEY,
    place bigint NOT NULL,
    high bigint NOT NULL,
    low bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE shipped IS 'up to which row each host''s own ledger is here: written with the rows themselves';
COMMENT ON COLUMN shipped.high IS 'with low: the ids of all rows up to there, by XOR, which tell that ledger from another';
