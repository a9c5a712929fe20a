"""Whether all that was produced has come out, once: worked out from the messages alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl
from polars.testing import assert_frame_equal

from ml.package import load
from tests.faults.faults import SETTLE_S, drain
from tests.faults.flow import Flow, Place
from tests.faults.messages import events
from tests.faults.world import World
from tests.pipeline.judge import churn_features, session_funnel, summarise, user_days

COUNTED = {"num_views": "view", "num_add_to_cart": "add_to_cart", "num_purchases": "purchase"}


@dataclass(frozen=True)
class Checked:
    """A check that found nothing wrong."""

    messages: int
    """Acknowledged by the broker since the start."""
    events: int
    """Distinct valid events among them."""
    balances: int
    """Lines of the books, all of which agree."""


class Wrong(AssertionError):
    """Something was lost, came twice, or differs."""


def check(world: World) -> Checked:
    """Waits until everything has arrived, then compares every layer. Raises Wrong."""
    world.ensure_up()
    try:
        world.flow.settle(SETTLE_S)
    except TimeoutError as error:
        raise Wrong(str(error)) from None
    drain(world)
    books = world.shop.ask("audit")
    wrong = [line for line in books["balances"] if not line["agrees"]]
    if wrong:
        raise Wrong(f"the books do not balance: {wrong}")
    produced = events(world.flow.produced)
    expected = summarise(produced, COUNTED)
    _every_message_once(_bronze(world), world.flow)
    _equal("gold.funnel_summary", world.shop.gold(), expected)
    _equal("Postgres funnel_summary", world.shop.mirror(), expected)
    _equal("gold.user_days", world.shop.user_days(), user_days(produced, COUNTED))
    funnel = session_funnel(produced, COUNTED)
    _equal("gold.session_funnel", world.shop.session_funnel(), funnel)
    _equal("Postgres session_funnel", world.shop.session_funnel_mirror(), funnel)
    features = world.shop.churn_features()
    told = churn_features(produced, COUNTED, features.select("user_id", "as_of"))
    _equal("gold.churn_features", features.select(told.columns), told)
    _equal("Postgres raw_events", _raw_events(world), produced)
    _equal("Postgres churn_prediction", _scores(world), _expected_scores(world))
    return Checked(world.flow.delivered.total(), produced.height, len(books["balances"]))


def _bronze(world: World) -> Counter[Place]:
    rows = world.shop.delta("bronze.user_events").select("partition", "offset", "value")
    return Counter(rows.iter_rows())


def _raw_events(world: World) -> pl.DataFrame:
    columns = "product_id AS tag, user_id, event_type, event_time, session_id"
    found = world.shop.query(f"SELECT {columns} FROM raw_events")
    time = pl.col("event_time").dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    return found.with_columns(time).sort("tag")


def _scores(world: World) -> pl.DataFrame:
    found = world.shop.query("SELECT user_id, as_of, churn_probability, churned FROM churn_prediction")
    time = pl.col("as_of").dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    return found.with_columns(time).sort("user_id")


def _expected_scores(world: World) -> pl.DataFrame:
    """Every user's latest features, scored by the model itself."""
    features = world.shop.churn_features()
    model = load(world.home.champion).model
    scores = pl.Series("churn_probability", model.probability(features))
    churned = (scores >= model.threshold).alias("churned")
    return features.select("user_id", "as_of").with_columns(scores, churned).sort("user_id")


def _equal(what: str, found: pl.DataFrame, expected: pl.DataFrame) -> None:
    try:
        assert_frame_equal(found, expected)
    except AssertionError as error:
        keys = [name for name in ("tag", "user_id", "window_start", "date", "hour") if name in expected.columns]
        missing, extra = expected.join(found, on=keys, how="anti"), found.join(expected, on=keys, how="anti")
        raise Wrong(f"{what}: {error}\nnot there:\n{missing}\nnot expected:\n{extra}") from None


def _every_message_once(bronze: Counter[Place], flow: Flow) -> None:
    lost, extra = flow.delivered - bronze, bronze - flow.delivered
    unexplained: Counter[bytes | None] = Counter()
    for (_, _, value), count in extra.items():
        unexplained[value] += count
    unexplained -= flow.sent_again
    if lost or unexplained:
        some = f"{list(lost.items())[:3]} and {list(unexplained.items())[:3]}"
        raise Wrong(f"bronze: {lost.total()} messages are not there, {unexplained.total()} too many, such as {some}")
