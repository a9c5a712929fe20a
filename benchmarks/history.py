"""Months of a shop, made as fast as a broker takes them: what a dashboard has behind it when it is measured.

Vectorised, where `producer.simulator` makes one event after the other: 10,000,000 take a minute in place of three.
Pure but for `fill`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from lakehouse import event
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.topic import end_offsets, ensure_topic
from producer.client import ConfluentSender

CHUNK: Final = 200_000

COPIES: Final = 0.01
"""Share of the events that are sent twice, byte for byte."""
BROKEN: Final = 0.002
"""Messages that cannot be read, for each event: events cut in half."""
LATE: Final = 0.01
"""Share of the events that come up to a day late."""

_DAY_US: Final = 86_400_000_000
_THINK_US: Final = 25_000_000
"""Mean time between two steps of a session."""
_SESSION_STEPS: Final = (3, 9)
_TYPES: Final = (event.VIEW, event.ADD_TO_CART, event.PURCHASE)
_SHARES: Final = (0.6, 0.3, 0.1)
_SPELLS: Final = 3
"""How often a user comes back after an absence, at most, the first time included."""
_SPELL_DAYS, _ABSENCE_DAYS, _MOST_ACTIVE = 12.0, 120.0, 200.0
_PRODUCTS: Final = 400
_CATEGORIES: Final = ("apparel", "bags", "drinkware", "electronics", "home", "office", "shoes", "toys")


@dataclass(frozen=True)
class History:
    """What to make. The same values, the same messages."""

    events: int = 10_000_000
    """Distinct and valid ones; copies and broken messages come on top."""
    days: int = 90
    """Of event time that they span."""
    users: int = 50_000
    """Who may act; some come once, and some never."""
    seed: int = 7


@dataclass(frozen=True)
class Filled:
    """What a topic got of a history."""

    events: int
    messages: int
    days: int
    users: int
    """Who acted."""
    seconds: float


def fill(
    bootstrap: str, settings: Settings, history: History, end: datetime, say: Callable[[str], None] = lambda _: None
) -> Filled:
    """Sends the history that ends at ``end`` (aware) to the settings' topic, which it makes where it is not there.

    Raises LakehouseError where the topic has messages already, or does not hold then what was sent.
    """
    ensure_topic(bootstrap, settings)
    if there := sum(end_offsets(bootstrap, settings.topic).values()):
        raise LakehouseError(f"the topic has {there:,} messages already; let the history begin with an empty home")
    sender = ConfluentSender(bootstrap, settings.topic)
    began = time.monotonic()
    users: set[bytes] = set()
    for number, chunk in enumerate(messages(history, end)):
        keys = chunk["key"].to_list()
        users.update(keys)
        for key, value in zip(keys, chunk["value"].to_list(), strict=True):
            sender.send(key, value)
        if number % 10 == 9:
            say(f"{sender.sent:,} messages sent")
    sender.flush()
    held = sum(end_offsets(bootstrap, settings.topic).values())
    if held != sender.sent:
        raise LakehouseError(f"the broker holds {held:,} messages, not the {sender.sent:,} that were sent")
    return Filled(history.events, sender.sent, history.days, len(users), round(time.monotonic() - began, 1))


def messages(history: History, end: datetime) -> Iterator[pl.DataFrame]:
    """The messages in the order in which they are sent, some `CHUNK` at a time: columns ``key`` and ``value``, bytes.

    Events go up in time over the days before ``end``, but for those that come late.
    """
    random = np.random.default_rng(history.seed)
    user, session, kind, since_us = _steps(history, random)
    late = random.random(history.events) < LATE
    due_us = since_us + np.where(late, random.random(history.events) * _DAY_US, 0).astype(np.int64)
    order = np.argsort(due_us, kind="stable")
    start_us = int(end.timestamp() * 1_000_000) - history.days * _DAY_US
    run = f"{history.seed:x}-{start_us:x}"
    for first in range(0, history.events, CHUNK):
        picked = order[first : first + CHUNK]
        yield _messages(run, first, user[picked], session[picked], kind[picked], start_us + since_us[picked], random)


Whole = npt.NDArray[np.int64]


def _steps(history: History, random: np.random.Generator) -> tuple[Whole, Whole, Whole, Whole]:
    """User, session, type and microseconds since the start, of each event: session by session."""
    low, high = _SESSION_STEPS
    count = 2 * history.events // (low + high) + 1
    steps = random.integers(low, high + 1, count)
    while (missing := history.events - int(steps.sum())) > 0:
        steps = np.append(steps, random.integers(low, high + 1, missing // low + 1))
    steps = steps[: int(np.searchsorted(np.cumsum(steps), history.events)) + 1]
    steps[-1] -= int(steps.sum()) - history.events
    visitor, began_us = _sessions(history, len(steps), random)
    session = np.repeat(np.arange(len(steps), dtype=np.int64), steps)
    # Drawn one by one and then put in the order of a funnel, so that the shares hold.
    drawn = random.choice(len(_TYPES), history.events, p=_SHARES)
    kind = np.sort(session * len(_TYPES) + drawn) % len(_TYPES)
    apart_us = (random.exponential(_THINK_US, history.events)).astype(np.int64) + 1
    since_us = np.cumsum(apart_us)
    ends = np.cumsum(steps)
    begins = ends - steps
    length_us = since_us[ends - 1] - since_us[begins]
    # None goes on beyond the end: it would be an event of the future.
    began_us = np.minimum(began_us, history.days * _DAY_US - length_us - 1)
    since_us += np.repeat(began_us - since_us[begins], steps)
    return np.repeat(visitor, steps), session, kind, since_us


def _sessions(history: History, count: int, random: np.random.Generator) -> tuple[Whole, Whole]:
    """The user of each of ``count`` sessions and when it begins, in microseconds since the start.

    Few users come often, many rarely (Pareto). Half of them are there at the start, the others arrive over the span;
    each comes for a spell of days and then stays away for months, the less active one is the sooner: as the simulator
    has it, so that there is churn to be seen.
    """
    activity = np.minimum(random.pareto(1.2, history.users) + 1, _MOST_ACTIVE)
    arrives = np.maximum(random.uniform(-history.days, history.days, history.users), 0.0)
    begins, lengths = [], []
    for _ in range(_SPELLS):
        spell = random.exponential(_SPELL_DAYS * activity**0.7)
        begins.append(np.minimum(arrives, history.days))
        lengths.append(np.minimum(arrives + spell, history.days) - begins[-1])
        arrives = arrives + spell + random.exponential(_ABSENCE_DAYS, history.users)
    begin, length = np.concatenate(begins), np.concatenate(lengths)
    weight = np.cumsum(np.tile(activity, _SPELLS) * length)
    spells = np.searchsorted(weight, random.random(count) * weight[-1], side="right")
    spells = np.minimum(spells, len(weight) - 1)
    at = begin[spells] + random.random(count) * length[spells]
    return (spells % history.users).astype(np.int64), (at * _DAY_US).astype(np.int64)


def _messages(
    run: str, first: int, user: Whole, session: Whole, kind: Whole, at_us: Whole, random: np.random.Generator
) -> pl.DataFrame:
    rows = len(user)
    product = (random.random(rows) ** 2 * _PRODUCTS).astype(np.int64)
    frame = pl.DataFrame(
        {
            "number": np.arange(first, first + rows),
            "key": "u" + pl.Series(user).cast(pl.String).str.zfill(6),
            "session": session,
            "type": np.array(_TYPES)[kind],
            "product": pl.Series(product).cast(pl.String).str.zfill(4),
            "category": np.array(_CATEGORIES)[product % len(_CATEGORIES)],
            "price": (199 + product * product % 19_801) / 100,
            "quantity": 1 + (random.random(rows) ** 4 * 4).astype(np.int64),
            "at": pl.Series(at_us).cast(pl.Datetime("us", "UTC")),
        }
    )
    fields = (
        (f'{{"{event.EVENT_ID}":"{run}-', pl.col("number")),
        (f'","{event.USER_ID}":"', pl.col("key")),
        (f'","{event.EVENT_TYPE}":"', pl.col("type")),
        (f'","{event.TIMESTAMP}":"', pl.col("at").dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ")),
        (f'","{event.SESSION_ID}":"s-{run}-', pl.col("session")),
        (f'","{event.PRODUCT_ID}":"p', pl.col("product")),
        (f'","{event.CATEGORY}":"', pl.col("category")),
        (f'","{event.PRICE}":', pl.col("price")),
        (f',"{event.CURRENCY}":"USD","{event.QUANTITY}":', pl.col("quantity")),
    )
    value = pl.concat_str(*(part for name, column in fields for part in (pl.lit(name), column)), pl.lit("}"))
    sent = frame.select("key", value.alias("value"))
    copies = sent.filter(pl.Series(random.random(rows) < COPIES))
    broken = sent.filter(pl.Series(random.random(rows) < BROKEN)).with_columns(
        pl.col("value").str.head(pl.col("value").str.len_chars() // 2)
    )
    return pl.concat([sent, copies, broken]).select(pl.col("key", "value").cast(pl.Binary))
