"""What makes an event valid: a list of named predicates, each a condition that is true where it FAILS.

A row carries the names of all that it fails; none, and it is an event. Predicates judge rows; whole batches are
judged elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import compress

import polars as pl

from lakehouse import event
from lakehouse.contracts import SilverEvents as S
from lakehouse.replacements import HEADER, UNREADABLE
from lakehouse.settings import Settings
from silver.messages import NESTED, RAW, READABLE, TOO_LARGE

EVENT_ID_REUSED = "event_id_reused"
ALREADY_REPLACED = "already_replaced"
REPLACES_NOTHING = "replaces_nothing"
AGAINST_OTHERS = {
    EVENT_ID_REUSED: "a known id came with another time",
    ALREADY_REPLACED: "the row that its header names has been replaced before",
    REPLACES_NOTHING: "its header names a row that is not in quarantine",
}
"""Reasons that are found against other rows, so that they are no predicates of one."""

REPLACES = "replaces"
"""What the header of `lakehouse.replacements` names; null without one."""

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
    """``fails`` reads the columns of ``silver.messages.read``, the typed ones, what the message replaces and the
    broker's time; null is false."""

    reason: str
    why: str
    fails: pl.Expr


def predicates(settings: Settings) -> tuple[Predicate, ...]:
    """The contract of ``silver.events``, in the order in which its reasons are given."""
    readable, too_large = pl.col(READABLE), pl.col(TOO_LARGE)
    time, known = pl.col(S.event_time), list(settings.event_types)
    oldest = settings.oldest_moment
    tolerance = timedelta(minutes=settings.future_tolerance_minutes)
    return (
        Predicate("too_large", f"larger than {settings.max_event_bytes} bytes", too_large),
        Predicate("unreadable_json", "not one JSON object in UTF-8", ~readable & ~too_large),
        Predicate("unreadable_replaces", f"the header {HEADER} names no coordinates", pl.col(REPLACES) == UNREADABLE),
        Predicate("missing_user", "no user_id, or a blank one", readable & blank(raw(event.USER_ID))),
        Predicate(
            "unknown_type", "no known event_type", readable & ~raw(event.EVENT_TYPE).is_in(known).fill_null(value=False)
        ),
        Predicate("unreadable_time", "timestamp is neither ISO 8601 nor epoch milliseconds", readable & time.is_null()),
        Predicate("implausible_time", f"before {settings.oldest_event_time}", time < oldest),
        Predicate(
            "future_time", "further after the broker's time than allowed", time > pl.col(S.kafka_timestamp) + tolerance
        ),
        *(Predicate(f"wrong_type:{name}", "an object or a list where text is due", nested(name)) for name in TEXTS),
        *(
            Predicate(f"null_character:{name}", "text with U+0000", raw(name).str.contains("\0", literal=True))
            for name in TEXTS
        ),
        *(
            Predicate(f"too_long:{name}", f"more than {MAX_TEXT} characters", raw(name).str.len_chars() > MAX_TEXT)
            for name in TEXTS
        ),
        Predicate(
            "wrong_type:price",
            "not a number of at most 14 digits before the point, or negative",
            raw(event.PRICE).is_not_null() & ~(pl.col(S.price) >= 0).fill_null(value=False),
        ),
        Predicate(
            "wrong_type:quantity",
            "not a whole number, or negative",
            raw(event.QUANTITY).is_not_null() & ~(pl.col(S.quantity) >= 0).fill_null(value=False),
        ),
    )


def reasons(rows: pl.DataFrame, settings: Settings) -> pl.Series:
    """For each row the names of all predicates that it fails, as a list; empty where it is valid."""
    judged = rows.select(each.fails.fill_null(value=False).alias(each.reason) for each in predicates(settings))
    refused = judged.select(pl.any_horizontal(pl.all())).to_series()
    names = [list(compress(judged.columns, fails)) for fails in judged.filter(refused).rows()]
    # A list for each of the many valid rows is dear: 0.5 s of 0.6 s for 200,000.
    none = pl.lit([], dtype=pl.List(pl.String))
    found = pl.DataFrame({"row": refused.arg_true(), "names": pl.Series(names, dtype=pl.List(pl.String))})
    numbered = pl.DataFrame({"row": pl.int_range(len(rows), eager=True, dtype=pl.UInt32)})
    return (
        numbered.join(found, on="row", how="left", maintain_order="left")
        .select(pl.col("names").fill_null(none))
        .to_series()
    )


def raw(name: str) -> pl.Expr:
    """A field's text; null where the message has none."""
    return pl.col(RAW.format(name))


def nested(name: str) -> pl.Expr:
    """Whether a field is an object or a list."""
    return pl.col(NESTED).list.contains(name)


def blank(text: pl.Expr) -> pl.Expr:
    return (text.str.strip_chars() == "").fill_null(value=True)
