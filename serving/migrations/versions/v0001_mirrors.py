"""The mirrors of silver and gold, their ledger, and the state of the pipeline."""

from alembic import op

revision = "0001"
down_revision = None

RAW_EVENTS = """
CREATE TABLE public.raw_events (
    event_id        text        NOT NULL,
    user_id         text        NOT NULL,
    event_type      text        NOT NULL,
    event_time      timestamptz NOT NULL,
    session_id      text,
    product_id      text,
    category        text,
    price           numeric(18, 4),
    quantity        integer,
    currency        text,
    properties      text,
    source_id       text        NOT NULL,
    "partition"     integer     NOT NULL,
    "offset"        bigint      NOT NULL,
    kafka_timestamp timestamptz NOT NULL,
    received_date   date        NOT NULL,
    PRIMARY KEY (received_date, event_id, event_time)
) PARTITION BY RANGE (received_date);

CREATE INDEX raw_events_event_time ON public.raw_events (event_time);
CREATE INDEX raw_events_user ON public.raw_events (user_id, event_time);

COMMENT ON TABLE public.raw_events IS
    'Mirror of silver.events; one partition for each day received, kept for a set number of days.';
COMMENT ON COLUMN public.raw_events.properties IS
    'JSON object, as text: jsonb refuses \\u0000 and json what is nested too deep, and one event must not stop all.';
COMMENT ON COLUMN public.raw_events.received_date IS 'Day (UTC) of kafka_timestamp.';
"""

# The writer owns nothing. It makes and drops days through these two, which run as the owner; hence the fixed
# search_path and the full names.
#
# A day is attached, not created in place: ATTACH lets others read the other days meanwhile, CREATE … PARTITION OF
# and DROP wait for them and keep them waiting. So the drop gives up soon and is tried again later.
MAKE_DAY = """
CREATE FUNCTION public.make_raw_events_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'raw_events_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(format('public.%I', name)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.raw_events INCLUDING DEFAULTS)', name);
    EXECUTE format('ALTER TABLE public.raw_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   name, day, day + 1);
END
$$;
REVOKE EXECUTE ON FUNCTION public.make_raw_events_day(date) FROM PUBLIC;
"""

DROP_EXPIRED = """
CREATE FUNCTION public.drop_expired_raw_events(keep_days integer) RETURNS SETOF date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    newest date := (SELECT max(received_date) FROM public.raw_events);
    child  name;
    day    date;
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION USING MESSAGE = 'keep_days must be at least 1, not ' || keep_days;
    END IF;
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.raw_events'::regclass ORDER BY c.relname
    LOOP
        day := to_date(right(child, 8), 'YYYYMMDD');
        IF day <= newest - keep_days THEN
            EXECUTE format('DROP TABLE public.%I', child);
            RETURN NEXT day;
        END IF;
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION public.drop_expired_raw_events(integer) FROM PUBLIC;
"""

FUNNEL_SUMMARY = """
CREATE TABLE public.funnel_summary (
    window_start     timestamptz NOT NULL,
    window_end       timestamptz NOT NULL,
    user_id          text        NOT NULL,
    num_views        bigint      NOT NULL,
    num_add_to_cart  bigint      NOT NULL,
    num_purchases    bigint      NOT NULL,
    num_events       bigint      NOT NULL,
    sessions         bigint      NOT NULL,
    first_event_time timestamptz NOT NULL,
    last_event_time  timestamptz NOT NULL,
    late_events      bigint      NOT NULL,
    is_final         boolean     NOT NULL,
    session_ids      text[]      NOT NULL,
    sessions_capped  boolean     NOT NULL,
    window_date      date        NOT NULL,
    PRIMARY KEY (user_id, window_start)
);
CREATE INDEX funnel_summary_window_start ON public.funnel_summary (window_start);
COMMENT ON TABLE public.funnel_summary IS 'Mirror of gold.funnel_summary: a user''s funnel in one window.';
"""

FUNNEL_WINDOWS = """
CREATE TABLE public.funnel_windows (
    window_start timestamptz NOT NULL,
    window_end   timestamptz NOT NULL,
    event_type   text        NOT NULL,
    num_events   bigint      NOT NULL,
    window_date  date        NOT NULL,
    PRIMARY KEY (window_start, event_type)
);
COMMENT ON TABLE public.funnel_windows IS 'Mirror of gold.funnel_windows: the funnel of all users in one window.';
"""

MIRROR_LEDGER = """
CREATE TABLE public.mirror_ledger (
    query          text        NOT NULL,
    generation     integer     NOT NULL,
    batch_id       bigint      NOT NULL,
    source_version bigint,
    rows           bigint      NOT NULL,
    applied_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (query, generation, batch_id)
);
COMMENT ON TABLE public.mirror_ledger IS
    'The batches that are in the mirrors: each row was committed together with the rows of its batch.';
"""

PIPELINE_STATUS = """
CREATE TABLE public.pipeline_status (
    stream             text PRIMARY KEY,
    state              text        NOT NULL,
    rows_total         bigint      NOT NULL,
    last_batch_id      bigint,
    last_batch_rows    bigint,
    last_batch_seconds double precision,
    watermark          timestamptz,
    lag_events         bigint,
    lag_seconds        double precision,
    error              text,
    since              timestamptz,
    updated_at         timestamptz NOT NULL
);
COMMENT ON TABLE public.pipeline_status IS 'What each stream last said of itself.';
COMMENT ON COLUMN public.pipeline_status.since IS 'Since when the error lasts.';
"""


def upgrade() -> None:
    # The driver's own cursor: alembic's would read the percent signs of format() as parameters.
    cursor = op.get_bind().connection.cursor()
    for step in (RAW_EVENTS, MAKE_DAY, DROP_EXPIRED, FUNNEL_SUMMARY, FUNNEL_WINDOWS, MIRROR_LEDGER, PIPELINE_STATUS):
        cursor.execute(step)


def downgrade() -> None:
    raise NotImplementedError("the mirrors are made anew from the Delta tables, never taken back")
