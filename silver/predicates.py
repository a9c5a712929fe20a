"""What makes an event valid: a list of named predicates, each a condition that is true where it FAILS.

A row carries the names of all that it fails; none, and it is an event. Predicates judge rows; whole batches are
judged elsewhere. Conditions are SQL text, because each call of the column API is a round trip to the JVM: 1,200 of
them, half a second for each micro-batch, went into the same predicates written with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse import event
from lakehouse.settings import Settings

EVENT_ID_REUSED = "event_id_reused"
"""Found against other rows, so no predicate of one: a known id came with another time."""

TEXTS = (
    event.EVENT_ID,
    event.USER_ID,
    event.EVENT_TYPE,
    event.SESSION_ID,
    event.PRODUCT_ID,
    event.CATEGORY,
    event.CURRENCY,
)

MAX_TEXT = 512
"""Characters of an id or a name: longer ones fit into no index of the mirror, which would stop at them for ever."""


@dataclass(frozen=True)
class Predicate:
    """``fails`` reads the columns of ``silver.transforms.parse``: ``raw_NAME`` is a field's text, and null where the
    message has none; ``fields`` are all of them; ``readable`` says whether there are any."""

    reason: str
    why: str
    fails: str


def predicates(settings: Settings) -> tuple[Predicate, ...]:
    """The contract of ``silver.events``, in the order in which its reasons are given."""
    types = ", ".join(text_literal(name) for name in settings.event_types)
    floor = f"to_timestamp({text_literal(settings.oldest_event_time)})"
    tolerance = f"INTERVAL {int(settings.future_tolerance_minutes * 60)} SECONDS"
    return (
        Predicate("too_large", f"larger than {settings.max_event_bytes} bytes", "too_large"),
        Predicate("unreadable_json", "not one JSON object in UTF-8", "NOT readable AND NOT too_large"),
        Predicate("missing_user", "no user_id, or a blank one", "readable AND coalesce(trim(raw_user_id), '') = ''"),
        Predicate(
            "unknown_type", "no known event_type", f"readable AND NOT coalesce(raw_event_type IN ({types}), false)"
        ),
        Predicate(
            "unreadable_time", "timestamp is neither ISO 8601 nor epoch milliseconds", "readable AND event_time IS NULL"
        ),
        Predicate("implausible_time", f"before {settings.oldest_event_time}", f"event_time < {floor}"),
        Predicate(
            "future_time", "further after the broker's time than allowed", f"event_time > kafka_timestamp + {tolerance}"
        ),
        *(Predicate(f"wrong_type:{name}", "an object or a list where text is due", _nested(name)) for name in TEXTS),
        *(Predicate(f"null_character:{name}", "text with U+0000", f"contains(raw_{name}, char(0))") for name in TEXTS),
        *(
            Predicate(f"too_long:{name}", f"more than {MAX_TEXT} characters", f"char_length(raw_{name}) > {MAX_TEXT}")
            for name in TEXTS
        ),
        Predicate(
            "wrong_type:price",
            "not a number of at most 14 digits before the point, or negative",
            "raw_price IS NOT NULL AND NOT coalesce(price >= 0, false)",
        ),
        Predicate(
            "wrong_type:quantity",
            "not a whole number, or negative",
            "raw_quantity IS NOT NULL AND NOT coalesce(quantity >= 0, false)",
        ),
    )


def reasons(settings: Settings) -> str:
    """SQL for the names of all predicates that a row fails, as an array; empty where it is valid."""
    failed = ", ".join(f"CASE WHEN {p.fails} THEN {text_literal(p.reason)} END" for p in predicates(settings))
    return f"array_compact(array({failed}))"


def text_literal(text: str) -> str:
    """``text`` as a SQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _nested(name: str) -> str:
    # The first character is looked at first: asking each of seven fields for its type took 40 % of a batch's time.
    return f"left(raw_{name}, 1) IN ('{{', '[') AND schema_of_variant(fields['{name}']) RLIKE '^(OBJECT|ARRAY)'"
