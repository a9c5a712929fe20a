"""A shop's users, simulated: who comes, what they do, and everything that goes wrong on the way.

Pure: the same configuration gives the same messages, byte for byte. There is no clock in here; each event says when
it is due, and whoever sends it waits for that moment or does not.

How users behave. Activity is heavy-tailed (Pareto). A user comes for a spell of days and then stays away for months;
the less active one is, the sooner, so that churn can be learnt from recency and frequency. A session is a handful of
steps, 60 % views, 30 % add_to_cart and 10 % purchases over all events, in the order of a funnel.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from random import Random
from typing import Any, Final, NamedTuple

from lakehouse import event
from lakehouse.errors import LakehouseError
from producer.event_times import epoch_us, iso_z

THINK_S: Final = 25.0
"""Mean seconds between two steps of a session."""

MEAN_SPELL_DAYS: Final = 12.0
MEAN_ABSENCE_DAYS: Final = 120.0

_STEPS: Final = (event.VIEW, event.ADD_TO_CART, event.PURCHASE)
_STEP_SHARES: Final = (0.6, 0.9, 1.0)
"""Cumulative: 60 % view, 30 % add_to_cart, 10 % purchase."""
_SESSION_STEPS: Final = (3, 9)
_MAX_ACTIVITY: Final = 200.0
_RECENT: Final = 5_000
"""Messages from which a duplicate is drawn: so a copy comes up to so many messages after its original."""
_PRODUCTS: Final = 400
_CATEGORIES: Final = ("apparel", "bags", "drinkware", "electronics", "home", "office", "shoes", "toys")
_DAY: Final = timedelta(days=1)

_to_json: Final = json.JSONEncoder(separators=(",", ":")).encode


class Kind(StrEnum):
    """What a simulated message is."""

    NORMAL = "normal"
    LATE = "late"
    """Its event time lies up to a day before it is sent."""
    DUPLICATE = "duplicate"
    """Byte for byte a message sent before."""
    MALFORMED = "malformed"
    """Something in it cannot be read or is not known."""
    FUTURE = "future"
    """Its event time lies days after it is sent."""


@dataclass(frozen=True)
class SimulatorConfig:
    """What to simulate. Shares are of all messages; together they are at most 1."""

    seed: int
    users: int
    rate: float
    """Messages for each second of event time."""
    start: datetime
    """When the first message is due; aware."""
    late_share: float = 0.01
    duplicate_share: float = 0.01
    malformed_share: float = 0.002
    future_share: float = 0.001
    end: datetime | None = None
    """Messages due at or after this moment are not made; None goes on for ever."""

    def __post_init__(self) -> None:
        """Raises LakehouseError where nothing could be simulated."""
        shares = self.late_share, self.duplicate_share, self.malformed_share, self.future_share
        if self.users < 1 or not self.rate > 0:
            raise LakehouseError(f"it takes users and a rate above 0, not users={self.users}, rate={self.rate}")
        if min(shares) < 0 or sum(shares) > 1:
            raise LakehouseError(f"late, duplicate, malformed and future shares {shares} must sum up to 1 at most")
        if self.start.tzinfo is None or (self.end is not None and self.end.tzinfo is None):
            raise LakehouseError("the start and the end of a simulation need a time zone")


class SimulatedEvent(NamedTuple):
    """One message to send."""

    key: bytes
    """The user id."""
    value: bytes
    due: datetime
    """When it is to be sent, in UTC; never before that of the message before it."""
    kind: Kind


class _Product(NamedTuple):
    product_id: str
    category: str
    price: float
    currency: str


class _Session:
    """The steps that a user has yet to take."""

    __slots__ = ("product", "session_id", "steps", "user_id")

    def __init__(self, user_id: str, session_id: str, steps: list[str]) -> None:
        self.user_id = user_id
        self.session_id = session_id
        self.steps = steps
        self.product: _Product | None = None


def simulate(config: SimulatorConfig) -> Iterator[SimulatedEvent]:
    """The messages of ``config`` in the order they are due; endless without ``config.end``.

    Message ids are unique among all runs of a seed that start at different moments.
    """
    return iter(_Simulation(config))


class _Simulation:
    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._random = Random(config.seed)  # noqa: S311 - play, not secrets
        self._start = config.start.astimezone(UTC)
        self._run = f"{config.seed:x}-{epoch_us(self._start):x}"
        self._users = _Users(config.users, self._random, self._start)
        self._products = _products(self._random)
        self._sessions_begun = 0
        # As many sessions are open at a time as makes their steps come every THINK_S seconds.
        self._open_wanted = min(max(1, round(config.rate * THINK_S)), config.users // 2 + 1)
        self._open: list[_Session] = []
        self._recent: deque[tuple[bytes, bytes]] = deque(maxlen=_RECENT)
        self._limits = list(
            accumulate((config.duplicate_share, config.malformed_share, config.late_share, config.future_share))
        )
        self._bursts = self._open_wanted == 1
        self._burst_from = 0

    def __iter__(self) -> Iterator[SimulatedEvent]:
        number = 0
        end = self._config.end
        while True:
            due = self._due(number)
            if end is not None and due >= end:
                return
            yield self._message(number, due)
            number += 1

    def _due(self, number: int) -> datetime:
        """Evenly by rate. With one session at a time its steps come THINK_S apart, then nothing until the next."""
        rate = self._config.rate
        if not self._bursts:
            return self._start + timedelta(seconds=number / rate)
        if not self._open:
            self._burst_from = number
        apart = min(THINK_S, 1 / rate)
        return self._start + timedelta(seconds=self._burst_from / rate + (number - self._burst_from) * apart)

    def _message(self, number: int, due: datetime) -> SimulatedEvent:
        chance = self._random.random()
        duplicate, malformed, late, future = self._limits
        if chance < duplicate and self._recent:
            key, value = self._random.choice(self._recent)
            return SimulatedEvent(key, value, due, Kind.DUPLICATE)
        time, kind = due, Kind.NORMAL
        if chance < duplicate:  # nothing to copy yet
            pass
        elif chance < malformed:
            kind = Kind.MALFORMED
        elif chance < late:
            kind, time = Kind.LATE, due - timedelta(seconds=self._random.uniform(60, 86_400))
        elif chance < future:
            kind, time = Kind.FUTURE, due + timedelta(days=self._random.uniform(2, 30))
        fields = self._step(number, due, time, alone=kind in (Kind.LATE, Kind.FUTURE))
        key = fields[event.USER_ID].encode()
        if kind is Kind.MALFORMED:
            return SimulatedEvent(key, _break(fields, self._random), due, kind)
        value = _to_json(fields).encode()
        self._recent.append((key, value))
        return SimulatedEvent(key, value, due, kind)

    def _step(self, number: int, due: datetime, time: datetime, *, alone: bool) -> dict[str, Any]:
        """The next step of an open session, or ``alone``: of one that has no other, as from a device offline."""
        if alone:
            session = self._begin(due, steps=1)
        else:
            while len(self._open) < self._open_wanted:
                self._open.append(self._begin(due, self._random.randint(*_SESSION_STEPS)))
            place = int(self._random.random() * len(self._open))
            session = self._open[place]
            if len(session.steps) == 1:
                self._open[place] = self._open[-1]
                self._open.pop()
        return self._fields(number, time, session, session.steps.pop())

    def _begin(self, due: datetime, steps: int) -> _Session:
        draws = [self._random.random() for _ in range(steps)]
        # Drawn one by one and then put in the order of a funnel, last step first: the shares hold exactly.
        drawn = sorted((sum(draw >= share for share in _STEP_SHARES) for draw in draws), reverse=True)
        self._sessions_begun += 1
        session_id = f"s-{self._run}-{self._sessions_begun:x}"
        return _Session(self._users.draw(due), session_id, [_STEPS[step] for step in drawn])

    def _fields(self, number: int, time: datetime, session: _Session, step: str) -> dict[str, Any]:
        if session.product is None or step == event.VIEW:  # what is bought is what was looked at last
            session.product = self._products[int(self._random.random() ** 2 * _PRODUCTS)]
        product = session.product
        fields: dict[str, Any] = {
            event.EVENT_ID: f"{self._run}-{number:x}",
            event.USER_ID: session.user_id,
            event.EVENT_TYPE: step,
            event.TIMESTAMP: iso_z(time),
            event.SESSION_ID: session.session_id,
            event.PRODUCT_ID: product.product_id,
            event.CATEGORY: product.category,
            event.PRICE: product.price,
            event.CURRENCY: product.currency,
        }
        if step != event.VIEW:
            fields[event.QUANTITY] = 1 + int(self._random.random() ** 4 * 4)
        return fields


class _Users:
    """Who may come: few come often, many rarely, and each is away for months between spells of days."""

    def __init__(self, count: int, random: Random, start: datetime) -> None:
        self._random = random
        self._start = start
        self._activity = [min(random.paretovariate(1.2), _MAX_ACTIVITY) for _ in range(count)]
        self._cumulative = list(accumulate(self._activity))
        self._here_until = [start + _DAY * self._spell_days(user) for user in range(count)]
        self._away_until = [start] * count

    def draw(self, at: datetime) -> str:
        """A user who is not away; after many tries one who is, for somebody must come."""
        for _ in range(50):
            user = self._random.choices(range(len(self._activity)), cum_weights=self._cumulative)[0]
            if self._is_here(user, at):
                break
        return f"u{user:06d}"

    def _is_here(self, user: int, at: datetime) -> bool:
        while at >= self._here_until[user]:
            self._away_until[user] = self._here_until[user] + _DAY * self._random.expovariate(1 / MEAN_ABSENCE_DAYS)
            self._here_until[user] = self._away_until[user] + _DAY * self._spell_days(user)
        return at >= self._away_until[user]

    def _spell_days(self, user: int) -> float:
        return self._random.expovariate(1 / (MEAN_SPELL_DAYS * self._activity[user] ** 0.7))


def _products(random: Random) -> list[_Product]:
    return [
        _Product(
            f"p{number:04d}",
            random.choice(_CATEGORIES),
            round(min(random.lognormvariate(3.2, 0.8), 2_000.0), 2),
            random.choices(("USD", "EUR"), weights=(4, 1))[0],
        )
        for number in range(_PRODUCTS)
    ]


def _without(name: str) -> Callable[[dict[str, Any]], bytes]:
    return lambda fields: _to_json({key: value for key, value in fields.items() if key != name}).encode()


def _with(name: str, value: Any) -> Callable[[dict[str, Any]], bytes]:
    return lambda fields: _to_json({**fields, name: value}).encode()


_BREAKS: Final[tuple[Callable[[dict[str, Any]], bytes], ...]] = (
    lambda fields: _to_json(fields).encode()[: len(_to_json(fields)) // 2],
    lambda fields: _to_json(fields).encode().replace(b'"s-', b'"\xff\xfe'),
    lambda fields: _to_json(list(fields.values())).encode(),
    lambda _fields: b"",
    _without(event.USER_ID),
    _without(event.TIMESTAMP),
    _with(event.EVENT_TYPE, "teleport"),
    _with(event.TIMESTAMP, "yesterday"),
    _with(event.PRICE, "cheap"),
    _with(event.QUANTITY, "many"),
)
"""Each makes a message that silver must refuse, every one for another reason."""


def _break(fields: dict[str, Any], random: Random) -> bytes:
    return random.choice(_BREAKS)(fields)
