"""The table contracts: the single place where a column of a table is named, typed and explained.

Those of `TABLES` are Delta tables. A mirror in Postgres has its table's columns; `ChurnPrediction` is a table of
Postgres alone, described in the same words.

A column is a ``str``, so it is used wherever Spark, polars or SQL want a name, and a misspelt one fails at
import. Types are those of Delta's schema JSON, which Spark and delta-rs both read, so that nothing here needs
a JVM. Times are timestamps in UTC with microseconds; counts are 64-bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

DeltaType = str | dict[str, Any]


def _array(element: DeltaType) -> DeltaType:
    return {"type": "array", "elementType": element, "containsNull": True}


def _structs(**fields: DeltaType) -> DeltaType:
    named = [{"name": name, "type": type, "nullable": True, "metadata": {}} for name, type in fields.items()]
    return _array({"type": "struct", "fields": named})


STRINGS = _array("string")
TIMES = _array("timestamp")
HEADERS = _structs(key="string", value="binary")
DIMENSION_VALUES = _structs(name="string", value="string", time="timestamp")


CHANGE_FEED: Mapping[str, str] = {"delta.enableChangeDataFeed": "true"}
"""For tables that are followed, by the next layer or by a mirror."""


class Column(str):
    """A column's name that knows its type, comment and whether it may be null."""

    type: DeltaType
    comment: str
    nullable: bool

    def __new__(cls, name: str, type: DeltaType, comment: str, *, nullable: bool = True) -> Column:
        column = super().__new__(cls, name)
        column.type = type
        column.comment = comment
        column.nullable = nullable
        return column


class Table:
    """A contract: subclasses name the table, its key, its partitioning and its columns, in order."""

    name: ClassVar[str]
    comment: ClassVar[str]
    key: ClassVar[tuple[Column, ...]]
    partition_by: ClassVar[tuple[Column, ...]] = ()
    layout: ClassVar[tuple[Column, ...]] = ()
    """Columns that are there only to lay out files: derived from others, and not mirrored."""
    table_properties: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def columns(cls) -> tuple[Column, ...]:
        return tuple(value for value in vars(cls).values() if isinstance(value, Column))

    @classmethod
    def mirrored_columns(cls) -> tuple[Column, ...]:
        """The columns that a mirror in Postgres has."""
        return tuple(column for column in cls.columns() if column not in cls.layout)

    @classmethod
    def schema_json(cls, columns: Iterable[Column] | None = None) -> str:
        """The schema of ``columns``, of all by default, as Delta's JSON, comments included."""
        fields = [
            {"name": str(c), "type": c.type, "nullable": c.nullable, "metadata": {"comment": c.comment}}
            for c in (cls.columns() if columns is None else columns)
        ]
        return json.dumps({"type": "struct", "fields": fields})


class BronzeEvents(Table):
    name = "bronze.user_events"
    comment = "Everything received from Kafka, as it came; append-only; nothing judged."

    source_id = Column("source_id", "string", "The topic's id: a topic made anew is another source.", nullable=False)
    partition = Column("partition", "integer", "Kafka partition.", nullable=False)
    offset = Column("offset", "long", "Kafka offset within the partition.", nullable=False)
    message_key = Column("key", "binary", "Message key as received.")
    value = Column("value", "binary", "Message value as received, malformed bytes too.")
    headers = Column("headers", HEADERS, "Message headers as received.")
    topic = Column("topic", "string", "Topic's name.", nullable=False)
    kafka_timestamp = Column("kafka_timestamp", "timestamp", "The broker's time of append.", nullable=False)
    ingested_at = Column("ingested_at", "timestamp", "Start of the micro-batch that took it.", nullable=False)
    ingest_date = Column("ingest_date", "date", "Day (UTC) of ingested_at.", nullable=False)

    key = (source_id, partition, offset)
    partition_by = (ingest_date,)
    table_properties: ClassVar = CHANGE_FEED


class SilverEvents(Table):
    name = "silver.events"
    comment = "One row for each real event: typed, valid, unique."

    event_id = Column("event_id", "string", "The producer's id, else a SHA-256 of the content.", nullable=False)
    user_id = Column("user_id", "string", "Who acted.", nullable=False)
    event_type = Column("event_type", "string", "One of the known event types.", nullable=False)
    event_time = Column("event_time", "timestamp", "When the user acted.", nullable=False)
    session_id = Column("session_id", "string", "The session, where the producer has one.")
    product_id = Column("product_id", "string", "The product.")
    category = Column("category", "string", "The product's category.")
    price = Column("price", "decimal(18,4)", "Price of one item, in the event's currency.")
    quantity = Column("quantity", "integer", "Number of items.")
    currency = Column("currency", "string", "ISO 4217 code.")
    properties = Column("properties", "string", "Every other field of the event, as a JSON object.")
    source_id = Column("source_id", "string", "Coordinates: the source.", nullable=False)
    partition = Column("partition", "integer", "Coordinates: Kafka partition.", nullable=False)
    offset = Column("offset", "long", "Coordinates: Kafka offset.", nullable=False)
    kafka_timestamp = Column("kafka_timestamp", "timestamp", "The broker's time of append.", nullable=False)
    event_date = Column("event_date", "date", "Day (UTC) of event_time.", nullable=False)
    arrival = Column(
        "arrival", "string", "on_time or late, so that files of events on time span few minutes.", nullable=False
    )

    key = (event_id, event_time)
    partition_by = (event_date, arrival)
    layout = (event_date, arrival)
    table_properties: ClassVar = CHANGE_FEED


class SilverDuplicates(Table):
    name = "silver.duplicates"
    comment = "The copies: valid rows whose event is already in silver.events under other coordinates."

    source_id = Column("source_id", "string", "Coordinates: the source.", nullable=False)
    partition = Column("partition", "integer", "Coordinates: Kafka partition.", nullable=False)
    offset = Column("offset", "long", "Coordinates: Kafka offset.", nullable=False)
    event_id = Column("event_id", "string", "The event that it copies.", nullable=False)
    event_time = Column("event_time", "timestamp", "The time of that event.", nullable=False)

    key = (source_id, partition, offset)


class SilverQuarantine(Table):
    name = "silver.quarantine"
    comment = "Every row refused, as received, with all its reasons."

    source_id = Column("source_id", "string", "The topic's id.", nullable=False)
    partition = Column("partition", "integer", "Kafka partition.", nullable=False)
    offset = Column("offset", "long", "Kafka offset within the partition.", nullable=False)
    message_key = Column("key", "binary", "Message key as received.")
    value = Column("value", "binary", "Message value as received.")
    headers = Column("headers", HEADERS, "Message headers as received.")
    topic = Column("topic", "string", "Topic's name.", nullable=False)
    kafka_timestamp = Column("kafka_timestamp", "timestamp", "The broker's time of append.", nullable=False)
    ingested_at = Column("ingested_at", "timestamp", "Start of the micro-batch that took it.", nullable=False)
    ingest_date = Column("ingest_date", "date", "Day (UTC) of ingested_at.", nullable=False)
    reasons = Column("reasons", STRINGS, "Every predicate that it failed, by name.", nullable=False)
    quarantined_at = Column("quarantined_at", "timestamp", "Start of the micro-batch that refused it.", nullable=False)
    resolved_by = Column("resolved_by", "string", "Coordinates of the corrected row that replaces it.")

    key = (source_id, partition, offset)
    partition_by = (ingest_date,)
    table_properties: ClassVar = CHANGE_FEED


class FunnelSummary(Table):
    name = "gold.funnel_summary"
    comment = "A user's funnel in one window of event time; exact for events of any lateness."

    window_start = Column("window_start", "timestamp", "Start of the window, inclusive.", nullable=False)
    window_end = Column("window_end", "timestamp", "End of the window, exclusive.", nullable=False)
    user_id = Column("user_id", "string", "The user.", nullable=False)
    num_views = Column("num_views", "long", "Events of type view.", nullable=False)
    num_add_to_cart = Column("num_add_to_cart", "long", "Events of type add_to_cart.", nullable=False)
    num_purchases = Column("num_purchases", "long", "Events of type purchase.", nullable=False)
    num_events = Column("num_events", "long", "Events of any type.", nullable=False)
    sessions = Column("sessions", "long", "Distinct sessions; a lower bound once sessions_capped.", nullable=False)
    first_event_time = Column("first_event_time", "timestamp", "Earliest event.", nullable=False)
    last_event_time = Column("last_event_time", "timestamp", "Latest event.", nullable=False)
    late_events = Column(
        "late_events", "long", "Events older than the watermark when their batch began; of this run.", nullable=False
    )
    is_final = Column("is_final", "boolean", "The watermark has passed window_end; of this run.", nullable=False)
    session_ids = Column("session_ids", STRINGS, "The distinct sessions, sorted, up to a cap.", nullable=False)
    sessions_capped = Column("sessions_capped", "boolean", "session_ids has reached its cap.", nullable=False)
    window_date = Column("window_date", "date", "Day (UTC) of window_start.", nullable=False)

    key = (user_id, window_start)
    partition_by = (window_date,)
    table_properties: ClassVar = CHANGE_FEED


class FunnelWindows(Table):
    name = "gold.funnel_windows"
    comment = "The funnel of all users in one window, so that a page reads a row and not every user's."

    window_start = Column("window_start", "timestamp", "Start of the window, inclusive.", nullable=False)
    window_end = Column("window_end", "timestamp", "End of the window, exclusive.", nullable=False)
    event_type = Column("event_type", "string", "Event type.", nullable=False)
    num_events = Column("num_events", "long", "Events of the type in the window.", nullable=False)
    window_date = Column("window_date", "date", "Day (UTC) of window_start.", nullable=False)

    key = (window_start, event_type)
    partition_by = (window_date,)
    table_properties: ClassVar = CHANGE_FEED


class UserDays(Table):
    name = "gold.user_days"
    comment = "A user's day, exact for events of any lateness: what the churn features are computed from."

    user_id = Column("user_id", "string", "The user.", nullable=False)
    date = Column("date", "date", "Day (UTC) of the events.", nullable=False)
    num_views = Column("num_views", "long", "Events of type view.", nullable=False)
    num_add_to_cart = Column("num_add_to_cart", "long", "Events of type add_to_cart.", nullable=False)
    num_purchases = Column("num_purchases", "long", "Events of type purchase.", nullable=False)
    num_events = Column("num_events", "long", "Events of any type.", nullable=False)
    sessions = Column("sessions", "long", "Distinct sessions; a lower bound once sessions_capped.", nullable=False)
    first_event_time = Column("first_event_time", "timestamp", "Earliest event.", nullable=False)
    last_event_time = Column("last_event_time", "timestamp", "Latest event.", nullable=False)
    last_purchase_time = Column("last_purchase_time", "timestamp", "Latest purchase; null without one.")
    revenue = Column(
        "revenue",
        "decimal(18,4)",
        "Sum of price x quantity (1 where null) of the purchases, in the events' currency; stops at its type's limit.",
        nullable=False,
    )
    active_hours = Column(
        "active_hours", "long", "Hours (UTC) with an event, as bits: bit 0 is midnight to one.", nullable=False
    )
    session_ids = Column("session_ids", STRINGS, "The distinct sessions, sorted, up to a cap.", nullable=False)
    sessions_capped = Column("sessions_capped", "boolean", "session_ids has reached its cap.", nullable=False)

    key = (user_id, date)
    partition_by = (date,)
    table_properties: ClassVar = CHANGE_FEED


class ChurnFeatures(Table):
    name = "gold.churn_features"
    comment = "What a churn model sees of each user, now: nothing at or after as_of. Counts are of the lookback."

    user_id = Column("user_id", "string", "The user.", nullable=False)
    as_of = Column("as_of", "timestamp", "The cut: only events before it are seen.", nullable=False)
    num_views = Column("num_views", "long", "Events of type view.", nullable=False)
    num_add_to_cart = Column("num_add_to_cart", "long", "Events of type add_to_cart.", nullable=False)
    num_purchases = Column("num_purchases", "long", "Events of type purchase.", nullable=False)
    num_events = Column("num_events", "long", "Events of any type.", nullable=False)
    sessions = Column("sessions", "long", "Distinct sessions; a lower bound beyond the cap of a day.", nullable=False)
    active_days = Column("active_days", "long", "Days (UTC) with an event.", nullable=False)
    active_hours = Column("active_hours", "long", "Hours (UTC) with an event.", nullable=False)
    view_to_cart_rate = Column(
        "view_to_cart_rate", "double", "num_add_to_cart / num_views, at most 1; 0 without views.", nullable=False
    )
    cart_to_purchase_rate = Column(
        "cart_to_purchase_rate",
        "double",
        "num_purchases / num_add_to_cart, at most 1; or 0.",
        nullable=False,
    )
    view_to_purchase_rate = Column(
        "view_to_purchase_rate", "double", "num_purchases / num_views, at most 1; 0 without views.", nullable=False
    )
    recency_days = Column("recency_days", "double", "Days since the last event, however long ago.", nullable=False)
    tenure_days = Column("tenure_days", "double", "Days since the first event, however long ago.", nullable=False)
    frequency = Column(
        "frequency", "double", "active_days per day that the user was known within the lookback.", nullable=False
    )
    trend = Column(
        "trend",
        "double",
        "(events of the lookback's later half - of its earlier half) / num_events: -1 fading to 1 growing, 0 without.",
        nullable=False,
    )
    days_between_visits = Column(
        "days_between_visits", "double", "Mean days from one active day to the next; null with fewer than two."
    )
    days_since_purchase = Column(
        "days_since_purchase", "double", "Days since the last purchase, however long ago; null without one."
    )
    events_per_session = Column(
        "events_per_session", "double", "num_events / sessions; null where no session is known."
    )
    minutes_per_day = Column(
        "minutes_per_day", "double", "Mean minutes from a day's first event to its last; null without active days."
    )
    revenue = Column("revenue", "double", "Value of the purchases, in the events' currency.", nullable=False)

    first_event_time = Column(
        "first_event_time", "timestamp", "The user's first event, however long ago.", nullable=False
    )
    last_event_time = Column("last_event_time", "timestamp", "The user's last event, however long ago.", nullable=False)
    last_purchase_time = Column("last_purchase_time", "timestamp", "The user's last purchase; null without one.")

    key = (user_id,)
    table_properties: ClassVar = CHANGE_FEED


class SessionDays(Table):
    name = "gold.session_days"
    comment = (
        "What a user did in one session on one day (UTC), exact for events of any lateness. A session that goes on "
        "past midnight has a row on each day. Events without a session are one row: a user's visits of that day "
        "without one."
    )

    user_id = Column("user_id", "string", "The user.", nullable=False)
    session_id = Column("session_id", "string", "The session; empty for events without one.", nullable=False)
    date = Column("date", "date", "Day (UTC) of the events.", nullable=False)
    num_views = Column("num_views", "long", "Events of type view.", nullable=False)
    num_add_to_cart = Column("num_add_to_cart", "long", "Events of type add_to_cart.", nullable=False)
    num_purchases = Column("num_purchases", "long", "Events of type purchase.", nullable=False)
    num_events = Column("num_events", "long", "Events of any type.", nullable=False)
    first_event_time = Column("first_event_time", "timestamp", "Earliest event.", nullable=False)
    last_event_time = Column("last_event_time", "timestamp", "Latest event.", nullable=False)
    first_view_time = Column("first_view_time", "timestamp", "Earliest view; null without one.")
    cart_times = Column(
        "cart_times",
        TIMES,
        "Times of events of type add_to_cart: distinct, sorted, the first up to a cap.",
        nullable=False,
    )
    purchase_times = Column(
        "purchase_times",
        TIMES,
        "Times of events of type purchase: distinct, sorted, the first up to a cap.",
        nullable=False,
    )
    steps_capped = Column(
        "steps_capped",
        "boolean",
        "cart_times or purchase_times has reached the cap: later ones are not told.",
        nullable=False,
    )
    revenue = Column(
        "revenue",
        "decimal(18,4)",
        "Sum of price x quantity (1 where null) of the purchases, in the events' currency; stops at its type's limit.",
        nullable=False,
    )
    dimensions = Column(
        "dimensions",
        DIMENSION_VALUES,
        "For each declared dimension its value in the earliest event that has one, and that event's time; of several "
        "at that time the least value; null where no event has one. Sorted by name.",
        nullable=False,
    )

    key = (user_id, session_id, date)
    partition_by = (date,)
    table_properties: ClassVar = CHANGE_FEED


class SessionFunnel(Table):
    name = "gold.session_funnel"
    comment = (
        "The ordered funnel of the rows of gold.session_days that begin in one hour (UTC), of all and by the value of "
        "each dimension: sums, so that hours can be added up."
    )

    hour = Column("hour", "timestamp", "Hour (UTC) of the sessions' first event of their day.", nullable=False)
    dimension = Column("dimension", "string", "Name of the dimension; empty for all sessions.", nullable=False)
    value = Column("value", "string", "Its value; empty for all, and for sessions without one.", nullable=False)
    sessions = Column("sessions", "long", "Sessions: rows of gold.session_days.", nullable=False)
    viewed = Column("viewed", "long", "Sessions with a view.", nullable=False)
    carted = Column("carted", "long", "Of viewed: with an add_to_cart at or after the first view.", nullable=False)
    purchased = Column("purchased", "long", "Of carted: with a purchase at or after the first such.", nullable=False)
    bought = Column("bought", "long", "Sessions with a purchase, whatever came before.", nullable=False)
    num_events = Column("num_events", "long", "Events of any type.", nullable=False)
    revenue = Column("revenue", "decimal(38,4)", "Sum of the sessions' revenue.", nullable=False)
    seconds_to_cart = Column(
        "seconds_to_cart",
        "long",
        "Of carted: sum of whole seconds from the first view to that add_to_cart.",
        nullable=False,
    )
    seconds_to_purchase = Column(
        "seconds_to_purchase",
        "long",
        "Of purchased: sum of whole seconds from the first view to that purchase.",
        nullable=False,
    )
    purchased_1m = Column("purchased_1m", "long", "Of purchased: up to 1 minute after the first view.", nullable=False)
    purchased_5m = Column("purchased_5m", "long", "Of purchased: later, up to 5 minutes after it.", nullable=False)
    purchased_15m = Column("purchased_15m", "long", "Of purchased: later, up to 15 minutes after it.", nullable=False)
    purchased_1h = Column("purchased_1h", "long", "Of purchased: later, up to 1 hour after it.", nullable=False)
    purchased_6h = Column("purchased_6h", "long", "Of purchased: later, up to 6 hours after it.", nullable=False)
    purchased_later = Column("purchased_later", "long", "Of purchased: later than all these.", nullable=False)
    date = Column("date", "date", "Day (UTC) of hour.", nullable=False)

    key = (hour, dimension, value)
    partition_by = (date,)
    table_properties: ClassVar = CHANGE_FEED


COHORT_UNITS: Mapping[str, int] = {"day": 1, "week": 7}
"""Lengths of a cohort and of its periods, with their days."""


class Cohorts(Table):
    name = "gold.cohorts"
    comment = "Retention: how many users of a cohort, those who came first in one day or week, acted in a period."

    unit = Column("unit", "string", "day or week: the length of the cohort and of its periods.", nullable=False)
    cohort = Column(
        "cohort",
        "date",
        "First day (UTC) of the unit in which its users had their first event; weeks begin on Mondays.",
        nullable=False,
    )
    period = Column("period", "long", "Units since: 0 is the cohort's own.", nullable=False)
    users = Column("users", "long", "Distinct users of the cohort with an event in the period.", nullable=False)

    key = (unit, cohort, period)
    table_properties: ClassVar = CHANGE_FEED


SIMULATED_MODEL = "simulated-"
"""A model_version begins so where the model has seen simulated events only."""


class ChurnPrediction(Table):
    name = "churn_prediction"
    comment = "In Postgres: the newest score of each user of gold.churn_features."

    user_id = Column("user_id", "string", "The user.", nullable=False)
    churn_probability = Column("churn_probability", "double", "Probability of no event within the horizon.")
    churned = Column("churned", "boolean", "Whether the probability reaches the threshold.")
    threshold = Column("threshold", "double", "The model's threshold.")
    model_version = Column("model_version", "string", "The model that scored.")
    as_of = Column("as_of", "timestamp", "The cut of the features.", nullable=False)
    scored_at = Column("scored_at", "timestamp", "When the answer came, or the refusal.", nullable=False)
    features = Column("features", "string", "The features that were scored, as a JSON object.", nullable=False)
    reasons = Column("reasons", STRINGS, "What moved the score most, in words; empty unless churned.", nullable=False)
    error = Column("error", "string", "Why the API refused the user's row; then there is no score.")

    key = (user_id,)


class ChurnPredictionHistory(Table):
    name = "churn_prediction_history"
    comment = "In Postgres: a user's last score of each day and model, where it differs from the one before."

    user_id = Column("user_id", "string", "The user.", nullable=False)
    scored_at = Column("scored_at", "timestamp", "When the answer came.", nullable=False)
    as_of = Column("as_of", "timestamp", "The cut of the features.", nullable=False)
    churn_probability = Column(
        "churn_probability", "double", "Probability of no event within the horizon.", nullable=False
    )
    model_version = Column("model_version", "string", "The model that scored.", nullable=False)
    as_of_date = Column("as_of_date", "date", "Day (UTC) of as_of.", nullable=False)

    key = (user_id, as_of_date, model_version)


class ChurnScoreDays(Table):
    name = "churn_score_days"
    comment = "In Postgres: users by model, score and verdict, as they stood at the end of each day; the newest is now."

    as_of_date = Column("as_of_date", "date", "Day (UTC) that the scores had come to, in event time.", nullable=False)
    model_version = Column("model_version", "string", "The model that scored.", nullable=False)
    bucket = Column(
        "bucket", "short", "The probability in twentieths: 0 is below 0.05, 19 from 0.95 to 1.", nullable=False
    )
    churned = Column("churned", "boolean", "Whether the probability reached the model's threshold.", nullable=False)
    num_users = Column("num_users", "long", "Users.", nullable=False)

    key = (as_of_date, model_version, bucket, churned)


class QualityResults(Table):
    name = "quality.results"
    comment = "Every verdict: one row for each expectation of each run of the validator."

    run_id = Column("run_id", "string", "TABLE@FIRST-LAST where it followed the table, else unique.", nullable=False)
    table_name = Column("table_name", "string", "The table that was judged.", nullable=False)
    mode = Column("mode", "string", "new: the rows of the versions; full: the table at last_version.", nullable=False)
    first_version = Column("first_version", "long", "First Delta version whose rows were judged.", nullable=False)
    last_version = Column("last_version", "long", "Last Delta version whose rows were judged.", nullable=False)
    num_rows = Column("num_rows", "long", "Rows judged.", nullable=False)
    started_at = Column("started_at", "timestamp", "When the run began.", nullable=False)
    duration_seconds = Column("duration_seconds", "double", "How long the whole run took.", nullable=False)
    expectation = Column("expectation", "string", "Its name within the table's suite.", nullable=False)
    expectation_type = Column("expectation_type", "string", "What Great Expectations calls it.", nullable=False)
    column_name = Column("column_name", "string", "The column that it is on, where it is on one.")
    severity = Column("severity", "string", "What a failure does: warn, alarm or halt.", nullable=False)
    success = Column("success", "boolean", "Whether it was met; null where it could not be judged.")
    observed = Column("observed", "string", "The observed value, as JSON.")
    unexpected_count = Column("unexpected_count", "long", "Rows that failed; null where it is not about single rows.")
    examples = Column("examples", STRINGS, "Keys of rows that failed, as JSON objects, a few.", nullable=False)
    description = Column("description", "string", "What it requires, and why.", nullable=False)
    error = Column("error", "string", "Why it could not be judged.")
    run_date = Column("run_date", "date", "Day (UTC) of started_at.", nullable=False)

    key = (run_id, expectation)
    partition_by = (run_date,)
    layout = (run_date,)
    table_properties: ClassVar = CHANGE_FEED


class QualityDecisions(Table):
    name = "quality.decisions"
    comment = "What was done about a run that halted the layers after a table; append-only."

    run_id = Column("run_id", "string", "The run of quality.results.", nullable=False)
    decision = Column("decision", "string", "accepted: as they are; rebuilt: made anew.", nullable=False)
    decided_at = Column("decided_at", "timestamp", "When.", nullable=False)
    note = Column("note", "string", "Why, in the words of whoever decided.")

    key = (run_id, decided_at)


class GoldSnapshots(Table):
    name = "gold.snapshots"
    comment = "Every partition of gold that a daily snapshot copied, because it had changed."

    table_name = Column("table_name", "string", "The table it was copied from.", nullable=False)
    window_date = Column("window_date", "date", "The partition.", nullable=False)
    snapshot_date = Column("snapshot_date", "date", "The day (UTC) at whose end it was so.", nullable=False)
    source_version = Column("source_version", "long", "The table's version that was copied.", nullable=False)
    as_of = Column("as_of", "timestamp", "When that version was committed.", nullable=False)
    num_rows = Column("num_rows", "long", "Rows copied; 0 where the partition had gone.", nullable=False)
    fingerprint = Column("fingerprint", "string", "Sums that tell whether the partition changed.", nullable=False)

    key = (table_name, window_date, snapshot_date)


def _copies_of(source: type[Table]) -> type[Table]:
    """The contract of a table of gold's daily copies: its columns, and the day of the snapshot."""
    snapshot_date = Column("snapshot_date", "date", "The day (UTC) at whose end it was so.", nullable=False)
    columns = {str(column): column for column in source.columns()}
    return type(
        f"{source.__name__}Snapshots",
        (Table,),
        {
            "name": f"{source.name}_snapshots",
            "comment": f"Daily copies of the partitions that changed; read them by {source.name}_daily.",
            "snapshot_date": snapshot_date,
            **columns,
            "key": (snapshot_date, *source.key),
            "partition_by": (snapshot_date, columns["window_date"]),
        },
    )


FunnelSummarySnapshots = _copies_of(FunnelSummary)
FunnelWindowsSnapshots = _copies_of(FunnelWindows)


@dataclass(frozen=True)
class Snapshot:
    """A table of which daily snapshots are kept."""

    source: type[Table]
    copies: type[Table]

    @property
    def view(self) -> str:
        """The name under which `sql` knows them."""
        return f"{self.source.name}_daily"


SNAPSHOTS: tuple[Snapshot, ...] = (
    Snapshot(FunnelSummary, FunnelSummarySnapshots),
    Snapshot(FunnelWindows, FunnelWindowsSnapshots),
)

PIPELINE: tuple[type[Table], ...] = (
    BronzeEvents,
    SilverEvents,
    SilverDuplicates,
    SilverQuarantine,
    FunnelSummary,
    FunnelWindows,
    UserDays,
    ChurnFeatures,
    SessionDays,
    SessionFunnel,
    Cohorts,
)
"""The tables that the stages write."""

TABLES: tuple[type[Table], ...] = (
    *PIPELINE,
    QualityResults,
    QualityDecisions,
    GoldSnapshots,
    *(snapshot.copies for snapshot in SNAPSHOTS),
)
