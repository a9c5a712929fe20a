"""Which refused rows are sent again, and as what. Pure, but for `send`.

A row that was itself sent to replace another is an attempt at that one, its root. At most one message is sent for a
root, and none where one has resolved it or is on its way: whatever silver has not taken yet is read from Kafka.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.errors import LakehouseError
from lakehouse.replacements import HEADER
from producer.client import MAX_MESSAGE_BYTES, Headers, Sender
from producer.produce import SENDING
from producer.quarantine.fixes import Fix
from producer.quarantine.rows import COORDINATES, KEY_BYTES, OTHER_HEADERS, REPLACES, VALUE_BYTES
from producer.stop import Stop

ROOT: Final = "root"
BY_HEADER: Final = frozenset({"replaces_nothing", "unreadable_replaces"})
"""Reasons that are not of what a message says. Its event may be in silver by another message, so that it is sent again
only where somebody asks for this reason, or corrects the row."""

EMPTY: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    COORDINATES: pl.String,
    Q.reasons: pl.List(pl.String),
    REPLACES: pl.String,
    Q.resolved_by: pl.String,
    Q.kafka_timestamp: pl.Datetime("us", "UTC"),
}
THIN: Final = tuple(EMPTY)
"""What a plan is made of."""


@dataclass(frozen=True)
class Outcome:
    """What became of the rows that were selected: each is counted once."""

    selected: int
    sent: int
    """Acknowledged by the broker; in a dry run: that would be sent."""
    resolved: int
    """Replaced before."""
    on_their_way: int
    """Sent before, and not yet taken by silver."""
    other_attempt: int
    """Another row of the same root is the one that is sent."""
    by_header: int
    """Refused for their header alone."""
    unchanged: int
    """In the file of corrections as they were."""
    too_large: int
    """Above the largest message that is sent."""
    dry_run: bool

    @property
    def sentence(self) -> str:
        left = {
            "resolved before": self.resolved,
            "sent before and on their way": self.on_their_way,
            "attempts at a row that is sent": self.other_attempt,
            f"refused for their header (name one of {', '.join(sorted(BY_HEADER))} by --reason)": self.by_header,
            "not changed by the file": self.unchanged,
            "too large to be sent": self.too_large,
        }
        said = ", ".join(f"{count:,} {what}" for what, count in left.items() if count)
        done = "would be sent" if self.dry_run else "sent"
        return f"{self.selected:,} rows: {self.sent:,} {done}{f'; {said}' if said else ''}"


class ReplayStopped(LakehouseError):
    """Somebody asked it to stop: what was sent until then is delivered, and will not be sent again."""

    exit_code = 130

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"stopped: {outcome.sentence}; the rest is sent by the same command")


def with_roots(rows: pl.DataFrame) -> pl.DataFrame:
    """``rows``, all of quarantine (`THIN`), with the coordinates that a replacement has to name.

    A header that names a row which is not there names nothing: then a row is its own root.
    """
    there = rows.select(pl.col(COORDINATES).alias(REPLACES), pl.lit(value=True).alias("there"))
    is_attempt = pl.col("there").is_not_null()
    root = pl.when(is_attempt).then(REPLACES).otherwise(COORDINATES).alias(ROOT)
    return rows.join(there.unique(REPLACES), on=REPLACES, how="left").with_columns(root).drop("there")


def plan(
    rows: pl.DataFrame, on_their_way: Iterable[str], reason: str | None, changed: Iterable[str] | None
) -> tuple[dict[str, str], Outcome]:
    """Of the selected ``rows`` (with `ROOT`) those to be sent, coordinates to root, and what becomes of the others.

    ``on_their_way``: the roots of messages that silver has not taken yet. ``reason``: the one that was asked for.
    ``changed``: the rows that a file corrects, None without a file. Of several of one root the newest is sent. Raises
    LakehouseError where a file corrects two of one root.
    """
    corrects = rows[COORDINATES].is_in(list(changed or ()))
    header_only = (pl.col(Q.reasons).list.set_difference(list(BY_HEADER)).list.len() == 0) & (
        pl.lit(reason is None or reason not in BY_HEADER) & ~pl.col("corrects")
    )
    state = (
        pl.when(pl.col(Q.resolved_by).is_not_null())
        .then(pl.lit("resolved"))
        .when(pl.col(ROOT).is_in(list(on_their_way)))
        .then(pl.lit("on_their_way"))
        .when(pl.lit(changed is not None) & ~pl.col("corrects"))
        .then(pl.lit("unchanged"))
        .when(header_only)
        .then(pl.lit("by_header"))
        .otherwise(pl.lit("sent"))
    )
    judged = rows.with_columns(corrects.alias("corrects")).with_columns(state.alias("state"))
    judged = judged.sort(Q.kafka_timestamp, COORDINATES, descending=True)
    sent = judged.filter(pl.col("state") == "sent")
    first = sent.unique(ROOT, keep="first", maintain_order=True)
    if changed is not None and first.height < sent.height:
        root = sent.filter(pl.col(ROOT).is_duplicated())[ROOT][0]
        both = " and ".join(sent.filter(pl.col(ROOT) == root)[COORDINATES])
        raise LakehouseError(
            f"--fix: {both} are attempts at one row, which can be replaced once; leave all but one out"
        )
    counts = dict(judged["state"].value_counts().iter_rows())
    outcome = Outcome(
        selected=judged.height,
        sent=first.height,
        resolved=counts.get("resolved", 0),
        on_their_way=counts.get("on_their_way", 0),
        other_attempt=sent.height - first.height,
        by_header=counts.get("by_header", 0),
        unchanged=counts.get("unchanged", 0),
        too_large=0,
        dry_run=False,
    )
    return dict(first.select(COORDINATES, ROOT).iter_rows()), outcome


def is_changed(row: Mapping[str, Any], fix: Fix) -> bool:
    """Whether ``fix`` says something else than ``row``, which is in readable form; an empty cell of a CSV is null."""
    is_same_value = (fix.value or "") == (row[Q.value] or "")
    return not is_same_value or (fix.key is not None and fix.key != (row[Q.message_key] or ""))


def message(row: Mapping[str, Any], fix: Fix | None, root: str) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers: as received, but for what ``fix`` changes and the header that names the root."""
    key, value = row[KEY_BYTES], row[VALUE_BYTES]
    if fix is not None and (fix.value or "") != (row[Q.value] or ""):
        value = None if fix.value is None else fix.value.encode()
    if fix is not None and fix.key is not None and fix.key != (row[Q.message_key] or ""):
        key = fix.key.encode()
    kept = [(each["key"], each["value"]) for each in row[OTHER_HEADERS] or () if each["key"] != HEADER]
    return key, value, [*kept, (HEADER, root.encode())]


def send(
    rows: Iterable[pl.DataFrame],
    planned: Mapping[str, str],
    fixes: Mapping[str, Fix],
    outcome: Outcome,
    sender: Sender,
    stop: Stop,
    progress: Callable[[str, int], None],
) -> Outcome:
    """Sends the planned rows and waits until the broker has them.

    Raises ReplayStopped where ``stop`` was set, LakehouseError where the broker does not take a message.
    """
    sent = too_large = 0
    for batch in rows:
        for row in batch.filter(pl.col(COORDINATES).is_in(list(planned))).iter_rows(named=True):
            if stop.is_set():
                sender.flush()
                raise ReplayStopped(replace(outcome, sent=sent, too_large=too_large))
            at = row[COORDINATES]
            key, value, headers = message(row, fixes.get(at), planned[at])
            if value is not None and len(value) > MAX_MESSAGE_BYTES:
                too_large += 1
                continue
            sender.send(key, value, headers)
            sent += 1
            progress(SENDING, sent)
    sender.flush()
    return replace(outcome, sent=sent, too_large=too_large)
