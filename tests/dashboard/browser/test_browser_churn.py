"""The page Churn, in a browser, with three months of a real shop: counts are those of the file, and scores those of
Postgres, for nothing else tells them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.dashboard.browser.figures import share
from tests.dashboard.browser.seen import Open
from tests.pipeline import judge

pytestmark = [pytest.mark.slow, pytest.mark.long]

COUNTS = {"Views": "num_views", "Adds to cart": "num_add_to_cart", "Purchases": "num_purchases"}


@pytest.fixture(scope="module")
def features(scores: pl.DataFrame, ga4_events: pl.DataFrame) -> pl.DataFrame:
    """What the file says of each user at the moment that the score is of."""
    return judge.churn_features(ga4_events, judge.COUNTED, scores.select("user_id", "as_of"))


def test_every_user_of_the_file_is_scored_and_those_at_risk_are_counted(
    open_page: Open, scores: pl.DataFrame, ga4_events: pl.DataFrame
) -> None:
    users, at_risk = ga4_events["user_id"].n_unique(), int(scores["churned"].sum())
    assert 0 < at_risk < users

    open_page("/churn").await_metrics(
        {"Users scored": f"{users:,}", "At risk": f"{at_risk:,}", "Share at risk": share(at_risk, users)}
    )


def test_those_at_risk_are_listed_with_the_counts_of_the_file(
    open_page: Open, scores: pl.DataFrame, features: pl.DataFrame, ga4_events: pl.DataFrame
) -> None:
    at_risk = scores.filter("churned")
    last = ga4_events.group_by("user_id").agg(pl.col("event_time").max().alias("last_seen"))
    expected = at_risk.join(features, on=["user_id", "as_of"], how="left", maintain_order="left").join(
        last, on="user_id", how="left", maintain_order="left"
    )

    seen = open_page("/churn", live="false")

    sight = seen.rows("Users with their probability of churn, the likeliest first")
    assert len(sight) >= 5
    assert [(row["User"], *(row[label] for label in COUNTS)) for row in sight] == [
        (user, *map(str, counts))
        for user, *counts in expected.select("user_id", *COUNTS.values()).head(len(sight)).iter_rows()
    ]
    shown = seen.download("Download as CSV")
    assert shown["user_id"].to_list() == expected["user_id"].to_list()
    assert numbers(shown["churn_probability"]) == pytest.approx(expected["churn_probability"].to_list())
    for name in COUNTS.values():
        assert shown[name].cast(pl.Int64).equals(expected[name])
    moments = shown.select(judge.moments("last_seen"))["last_seen"]
    assert (moments - expected["last_seen"]).abs().max() <= pl.Series([10], dtype=pl.Duration("ms"))[0]


def test_the_list_holds_whoever_is_asked_for(open_page: Open, scores: pl.DataFrame, features: pl.DataFrame) -> None:
    bought = features.filter(pl.col("days_since_purchase").is_not_null())["user_id"]
    expected = scores.filter(~pl.col("churned"), pl.col("user_id").is_in(bought.implode()))

    seen = open_page("/churn", show="Not at risk", bought="Bought", live="false")

    assert expected.height > 0
    assert seen.download("Download as CSV")["user_id"].to_list() == expected["user_id"].to_list()


def numbers(texts: pl.Series) -> list[Any]:
    return texts.cast(pl.Float64).to_list()
