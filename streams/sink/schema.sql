-- The tables of the sink. Each statement may run on a database that has them already.

-- The changes of `segment-changes`, each once.
CREATE TABLE IF NOT EXISTS segment_changes (
    change_id text PRIMARY KEY,
    customer_id text NOT NULL,
    segment text NOT NULL,
    change text NOT NULL,
    occurred_at timestamptz NOT NULL,
    sequence bigint NOT NULL,
    segments text[] NOT NULL,
    cause text NOT NULL,
    event_id text,
    reason jsonb NOT NULL,
    said jsonb NOT NULL,
    data jsonb,
    definition text NOT NULL,
    late boolean NOT NULL,
    backfill boolean NOT NULL,
    emitted_at timestamptz
);
CREATE INDEX IF NOT EXISTS segment_changes_of_a_customer ON segment_changes (customer_id, sequence);
CREATE INDEX IF NOT EXISTS segment_changes_of_a_segment ON segment_changes (segment, occurred_at);

-- Each stay of a customer in a segment.
CREATE TABLE IF NOT EXISTS segment_memberships (
    customer_id text NOT NULL,
    segment text NOT NULL,
    -- NULL: the entry is not on the topic any more.
    entered_at timestamptz,
    -- NULL: the customer is in the segment.
    left_at timestamptz,
    -- The sequence of the first and of the last change of the customer by which the stay is known.
    entered_sequence bigint NOT NULL,
    left_sequence bigint,
    -- A correction may end a stay before its beginning; such a stay was at no time.
    during tstzrange NOT NULL GENERATED ALWAYS AS (
        CASE WHEN left_at < entered_at THEN 'empty'::tstzrange ELSE tstzrange(entered_at, left_at) END
    ) STORED,
    PRIMARY KEY (customer_id, segment, entered_sequence)
);
CREATE INDEX IF NOT EXISTS segment_memberships_of_a_segment ON segment_memberships (segment, entered_at);
CREATE INDEX IF NOT EXISTS segment_memberships_of_now ON segment_memberships (customer_id) WHERE left_sequence IS NULL;

-- The decisions of `trigger-decisions`, each once.
CREATE TABLE IF NOT EXISTS trigger_decisions (
    decision_id text PRIMARY KEY,
    trigger text NOT NULL,
    change_id text NOT NULL,
    customer_id text NOT NULL,
    sequence bigint NOT NULL,
    channel text NOT NULL,
    decision text NOT NULL,
    at timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    reason text,
    attempts integer NOT NULL,
    until timestamptz,
    redelivery jsonb,
    variant text,
    arm text,
    exposed_at timestamptz,
    hold_out text
);
CREATE INDEX IF NOT EXISTS trigger_decisions_of_a_customer ON trigger_decisions (customer_id, at);
CREATE INDEX IF NOT EXISTS trigger_decisions_of_a_trigger ON trigger_decisions (trigger, at);
CREATE INDEX IF NOT EXISTS trigger_decisions_of_a_change ON trigger_decisions (change_id);

-- How far each customer's changes were read; `needs_row`: something of the customer was on the topics for longer than
-- a day when the sink began, and no row of `segment-memberships` was read yet.
CREATE TABLE IF NOT EXISTS sink_customers (
    customer_id text PRIMARY KEY,
    kafka_partition integer NOT NULL,
    sequence bigint NOT NULL,
    needs_row boolean NOT NULL
);
-- Under a hash of the id: decisions on changes up to this sequence are not kept.
CREATE TABLE IF NOT EXISTS sink_erasures (
    customer_hash bytea PRIMARY KEY,
    sequence bigint NOT NULL
);
-- The Kafka cluster from which all of this was read, and the prefix of its topics.
CREATE TABLE IF NOT EXISTS sink_source (cluster text NOT NULL, topic_prefix text NOT NULL);
-- How far each partition of a topic was read, in the transaction that wrote what was read.
-- `first_end`: the end of the partition when the sink read it for the first time; NULL: that first reading is over.
CREATE TABLE IF NOT EXISTS sink_progress (
    topic text NOT NULL,
    kafka_partition integer NOT NULL,
    next_offset bigint NOT NULL,
    first_end bigint,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, kafka_partition)
);
-- Records which are no changes, rows or decisions, as another program wrote them. Their values are not kept.
CREATE TABLE IF NOT EXISTS sink_refusals (
    topic text NOT NULL,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    why text NOT NULL,
    PRIMARY KEY (topic, kafka_partition, kafka_offset)
);
