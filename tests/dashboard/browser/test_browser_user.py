"""The page of one user, in a browser, with three months of a real shop: what it says of them is what the file does."""

from __future__ import annotations

import polars as pl
import pytest
from playwright.sync_api import expect

from tests.dashboard.browser.seen import APPEARS_WITHIN_S, Open
from tests.pipeline import judge

pytestmark = [pytest.mark.slow, pytest.mark.long]

FEW = 60
KINDS = {"Views": "view_item", "Adds to cart": "add_to_cart", "Purchases": "purchase"}
FEATURES = {
    "Views": "num_views",
    "Adds to cart": "num_add_to_cart",
    "Purchases": "num_purchases",
    "Active days": "active_days",
    "Recency days": "recency_days",
    "Tenure days": "tenure_days",
    "Days since purchase": "days_since_purchase",
}
"""What the page calls those features that can be told without the project's formulas."""
A_SECOND = 1 / 86_400
"""In days."""


@pytest.fixture(scope="module")
def acts(ga4_events: pl.DataFrame) -> pl.DataFrame:
    """What one user did, the newest first: whoever bought most of those with fewer than `FEW` events, no two of them at
    once and each of a session; of several such the first by id."""
    users = ga4_events.group_by("user_id").agg(
        pl.len().alias("events"),
        pl.col("event_time").n_unique().alias("moments"),
        pl.col("session_id").null_count().alias("unnamed"),
        (pl.col("event_type") == "purchase").sum().alias("purchases"),
    )
    eligible = users.filter(pl.col("events") < FEW, pl.col("moments") == pl.col("events"), pl.col("unnamed") == 0)
    user = eligible.sort("purchases", "user_id", descending=[True, False])["user_id"][0]
    return ga4_events.filter(pl.col("user_id") == user).sort("event_time", descending=True)


@pytest.fixture(scope="module")
def user(acts: pl.DataFrame) -> str:
    return str(acts["user_id"][0])


def test_a_users_events_are_those_of_the_file_in_their_order(open_page: Open, acts: pl.DataFrame, user: str) -> None:
    assert (acts["event_type"] == "purchase").sum() > 1
    kind = pl.col("event_type").replace({"view_item": "view"})

    seen = open_page("/user", user=user, live="false")

    seen.await_words(f"User {user}", "All that Postgres still keeps, the newest first.")
    seen.await_all_rows(
        "Events of the user, the newest first",
        [
            {"Event time (UTC)": time, "Type": kind, "Session": session}
            for time, kind, session in acts.select(
                pl.col("event_time").dt.strftime("%F %T"), kind, "session_id"
            ).iter_rows()
        ],
    )


def test_a_users_sessions_are_those_of_the_file(open_page: Open, acts: pl.DataFrame, user: str) -> None:
    sessions = (
        acts.group_by("session_id")
        .agg(
            pl.col("event_time").min().alias("began"),
            pl.col("event_time").max().alias("ended"),
            pl.len().alias("Events"),
            *((pl.col("event_type") == kind).sum().alias(label) for label, kind in KINDS.items()),
        )
        .sort("ended", descending=True)
    )

    seen = open_page("/user", user=user, live="false")

    seen.await_all_rows(
        "Sessions of the user, the newest first",
        [
            {
                "Session": row["session_id"],
                "From (UTC)": f"{row['began']:%Y-%m-%d %H:%M:%S}",
                "Until (UTC)": f"{row['ended']:%Y-%m-%d %H:%M:%S}",
                **{label: str(row[label]) for label in ("Events", *KINDS)},
            }
            for row in sessions.iter_rows(named=True)
        ],
    )


def test_a_users_score_is_the_one_of_postgres_and_rests_on_the_counts_of_the_file(
    open_page: Open, scores: pl.DataFrame, ga4_events: pl.DataFrame, user: str
) -> None:
    score = scores.filter(pl.col("user_id") == user)
    features = judge.churn_features(ga4_events, judge.COUNTED, score.select("user_id", "as_of")).row(0, named=True)
    row = score.row(0, named=True)

    seen = open_page("/user", user=user, live="false")

    seen.await_metrics({"Probability of churn": per_cent(row["churn_probability"])})
    seen.await_words(
        "At risk: called churned" if row["churned"] else "Not at risk", f"as of {row['as_of']:%Y-%m-%d %H:%M:%S} UTC"
    )
    for label in KINDS:  # the form of what would be, were they otherwise, begins with what they are
        field = seen.page.get_by_role("spinbutton", name=label, exact=True)
        expect(field).to_have_value(str(features[FEATURES[label]]), timeout=APPEARS_WITHIN_S * 1000)
    seen.page.get_by_text("What the score rests on").click()
    shown = {row["Feature"]: row["Value"] for row in seen.all_rows("The features of the user")}
    assert {label: float(shown[label]) for label in FEATURES} == {
        label: pytest.approx(features[name], abs=A_SECOND) for label, name in FEATURES.items()
    }


def per_cent(probability: float) -> str:
    told = f"{100 * probability:.1f} %"
    if told == "100.0 %" and probability < 1:
        return "> 99.9 %"
    return "< 0.1 %" if told == "0.0 %" and probability > 0 else told
