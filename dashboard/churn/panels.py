"""What the page Churn says; Markdown holds our words alone, text of users and of others is in tables and st.text."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from dashboard.churn import charts
from dashboard.churn.queries import (
    DAYS_SHOWN,
    MOST_EXPORTED,
    MOST_REFUSED,
    PAGE_ROWS,
    SEARCHED,
    Day,
    Filter,
    Scores,
    export_users,
    read_users,
)
from dashboard.churn.watch import ANOTHER_POPULATION, MOVED, Watch
from dashboard.churn.what_if import label
from dashboard.database import TEXT_SHOWN
from dashboard.figures import figure, figures
from dashboard.scoring import Metric, Model
from dashboard.user.links import remember
from dashboard.words import COUNT, PER_CENT, height, moment, per_cent, share, shortened
from lakehouse.contracts import SIMULATED_MODEL

USERS: Final = "users"
"""The key of the table of users."""
PROBABILITY_PX: Final = 170
"""Of its column: the bar takes what its number leaves."""

_METRICS: Final = {
    "roc_auc": (
        "ROC AUC",
        "Share of the pairs of one who churned and one who returned that it puts in order; 0.5: chance",
    ),
    "average_precision_churned": ("Average precision, churned", "How purely those who churned come first"),
    "average_precision_returned": ("Average precision, returned", "How purely those who returned come last"),
    "brier": ("Brier score", "Mean squared distance of probability and outcome; less is better"),
    "brier_skill": ("Brier skill", "Gain over saying the same share of everybody; 0: none, 1: all"),
    "calibration_error": ("Calibration error", "Mean distance of probability and share of churned; less is better"),
    "calibration_slope": ("Calibration slope", "1 is right, below 1 too sure of itself"),
    "lift_top_decile": ("Lift of the top tenth, churned", "How often they churned, against all users"),
    "lift_returned_top_decile": (
        "Lift of the top tenth, returned",
        "How often the likeliest to return did, against all",
    ),
}


def no_scores(refused: int) -> None:
    with st.container(border=True):
        st.markdown(":material/hourglass_empty: **No user is scored yet.** As soon as some are, they appear here.")
        if refused:
            st.caption(f"{_refused(refused)} could not be scored: choose “Not scored” below to see why.")
        st.caption(
            "Scores need users' events, a model and the API. `lakehouse status` shows what waits, and why; "
            "`lakehouse train` makes a model of your own."
        )


def totals(scores: Scores) -> None:
    """The top figures, each with how it was a day of event time before, and a week before in words."""
    now, day, week = scores.now, scores.before(1), scores.before(7)
    with figures():
        figure(
            "Users scored",
            now.users,
            now.users - day.users if day else None,
            delta_color="off",
            delta_description="in a day" if day else None,
            explained="Users with a score, now",
        )
        figure(
            "At risk",
            now.at_risk,
            now.at_risk - day.at_risk if day else None,
            delta_color="inverse",
            delta_description="in a day" if day else None,
            explained="Users who are called churned: their probability reaches the model's threshold",
        )
        figure("Share at risk", share(now.at_risk, now.users))
    st.caption(
        f"As of {now.date:%Y-%m-%d} (UTC) of event time · a day before: {_stood(day)} · a week before: {_stood(week)}"
    )
    if not (day and week):
        st.caption(f"A dash: users are counted since {scores.days[0].date:%Y-%m-%d}, and what was before is not known.")
    if scores.refused:
        st.caption(f"{_refused(scores.refused)} could not be scored: choose “Not scored” below to see why.")
    for version, users in scores.models[1:]:
        still = "1 user still has" if users == 1 else f"{users:,} users still have"
        st.text(f"{still} the score of model {shortened(version)}; users of another model are scored again.")
    if scores.models[0][0].startswith(SIMULATED_MODEL):
        st.caption(
            ":material/science: These scores are by a model of simulated data. They show how the page works, and say "
            "little of your users until `lakehouse train` makes a model of their events."
        )


def distribution(scores: Scores) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Scores", anchor=False)
        st.caption("Users by probability of churn, in steps of 5 %")
        st.echarts_chart(
            charts.histogram(scores), height=300, key="scores", alt="Histogram of users by probability of churn"
        )
    with right:
        st.subheader("At risk, day by day", anchor=False)
        if len(scores.days) < 2:
            st.caption("One day of event time is known so far; the course is drawn here from the second day (UTC) on.")
            return
        st.caption(f"As users stood at the end of each day (UTC) of event time, at most {DAYS_SHOWN} days")
        st.echarts_chart(
            charts.at_risk_by_day(scores.days),
            height=300,
            key="at_risk_by_day",
            alt="Users scored and users at risk at the end of each day",
        )


def users(dsn: str, wanted: Filter, number: int) -> None:
    """A page of the users that are wanted, and all of them as a file."""
    found, more = read_users(dsn, wanted, number)
    remember(USERS, found["user_id"].to_list())
    if found.is_empty():
        st.caption("No users on this page." if number > 1 else "No such users.")
    else:
        shown = found.with_columns(
            found["user_id"].str.slice(0, TEXT_SHOWN),
            found["model_version"].str.slice(0, TEXT_SHOWN),
            found["churn_probability"] * 100,
        )
        st.dataframe(
            shown,
            key=USERS,
            hide_index=True,
            placeholder="—",
            on_select="rerun",
            selection_mode="single-row",
            column_order=[name for name in shown.columns if shown[name].null_count() < len(shown)],
            column_config={
                "user_id": st.column_config.TextColumn("User", pinned=True, width="medium"),
                "churn_probability": st.column_config.ProgressColumn(
                    "Probability", format=PER_CENT, min_value=0, max_value=100, width=PROBABILITY_PX
                ),
                "churned": st.column_config.CheckboxColumn("At risk", width="small"),
                "reasons": st.column_config.TextColumn(
                    "Reasons", width="large", help="What moved the score most; for those at risk"
                ),
                "last_seen": _moments("Last seen (UTC)"),
                "num_views": st.column_config.NumberColumn("Views", format=COUNT),
                "num_add_to_cart": st.column_config.NumberColumn("Adds to cart", format=COUNT),
                "num_purchases": st.column_config.NumberColumn("Purchases", format=COUNT),
                "as_of": _moments("Score as of (UTC)"),
                "model_version": "Model",
                "error": st.column_config.TextColumn("Why there is no score", width="large"),
            },
            alt="Users with their probability of churn, the likeliest first",
        )
        first = (number - 1) * PAGE_ROWS + 1
        st.caption(
            f"Users {first:,} to {first + len(found) - 1:,}, the likeliest to churn first"
            + ("; there are more." if more else ". These are all.")
            + " Select a row to see the user's events. Counts are of the model's lookback."
        )
    if wanted.is_searched:
        st.caption(f"Reasons and purchases are looked for among the {SEARCHED:,} highest scores of the other filters.")
    if not found.is_empty():
        st.download_button(
            "Download as CSV",
            data=lambda: export_users(dsn, wanted),
            file_name="churn.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            help=f"All users of these filters, at most {MOST_EXPORTED:,}, the likeliest to churn first",
        )


def model(found: Model) -> None:
    """What serves, and how good it was on users that it had not seen."""
    if found.simulated:
        st.warning(
            "This model was trained on simulated data, and so are its figures: they say nothing of your users. "
            "`lakehouse train` makes a model of their events.",
            icon=":material/science:",
        )
    with figures():
        auc = found.metrics.get("roc_auc", Metric(None, None, None))
        figure(
            "ROC AUC",
            _number(auc.value),
            None if auc.low is None else f"{_number(auc.low)} to {_number(auc.high)}",
            delta_color="off",
            delta_arrow="off",
            explained=f"{_METRICS['roc_auc'][1]}. Below it: where 95 % of the bootstrap values lie",
        )
        for name, value, meaning in (
            ("Threshold", per_cent(found.threshold), "From here on: at risk"),
            ("Horizon", f"{found.horizon_days} days", "Churned: no event for so long"),
        ):
            figure(name, value, explained=meaning)
    st.text(f"Model {shortened(found.model_version, 60)}, {shortened(found.kind, 60)}")
    data = ", ".join(f"{table} version {version}" for table, version in found.data_versions.items()) or "no table"
    st.text(
        f"Trained {moment(found.trained_at)} UTC on {found.training_rows:,} rows of {data}; counts are of "
        f"{found.lookback_days} days. Judged by what {found.test_rows:,} users did after "
        f"{moment(found.test_cut)} UTC."
    )
    if found.problem:
        st.text(f"A newer file does not serve: {found.problem}")
    st.subheader("Metrics", anchor=False)
    st.caption("On users that it had not seen; low to high holds 95 % of the bootstrap values")
    st.dataframe(
        [_metric(name, metric, found.counts_metrics.get(name)) for name, metric in found.metrics.items()],
        hide_index=True,
        placeholder="—",
        height=height(len(found.metrics)),
        column_config={
            name: st.column_config.NumberColumn(format="%.3f") for name in ("Value", "Low", "High", "Counts alone")
        },
        alt="Metrics of the model with their intervals",
    )


def calibration(found: Model) -> None:
    """Whether the probabilities of the model can be believed."""
    st.subheader("Calibration", anchor=False)
    if not found.calibration:
        st.caption("This model was made before its curve was kept; the next `lakehouse train` keeps it.")
        return
    st.caption("Users of the test in bins of equal size: what was said of them, and what came of it")
    st.echarts_chart(
        charts.calibration(found.calibration), height=360, key="calibration", alt="Calibration curve of the model"
    )


def drift(found: Watch | None, serving: str | None) -> None:
    """Whether users have become others than those the model learnt from. ``serving``: the model that serves, where the
    API tells."""
    st.subheader("Drift", anchor=False)
    if found is None:
        st.caption(
            "Nobody has looked yet. `lakehouse model drift` compares today's users with those of the training data, "
            "and so does every `lakehouse train`; what they find is shown here."
        )
        return
    if serving is None or serving == found.model_version:
        _found_of_drift(found, whose="")
        for reason in found.due:
            st.text(f"To be trained again: {reason}")
        if not found.due and found.due_again is not None:
            st.caption(f"Training again is not due; it will be on {found.due_again:%Y-%m-%d} at the latest.")
        return
    st.caption(
        "Nobody has looked yet at the model that serves. `lakehouse model drift` compares today's users with those of "
        "its training data, and so does the next `lakehouse train`; what they find is shown here."
    )
    with st.expander("What was last found, of an earlier model", icon=":material/history:"):
        _found_of_drift(found, whose=found.model_version)


def _found_of_drift(found: Watch, whose: str) -> None:
    """``whose``: the version of a model that does not serve."""
    if whose:
        st.text(f"Model {shortened(whose, 60)}")
    st.caption(
        f"Users who acted before {found.at:%Y-%m-%d} (UTC) against those of the training data: {found.users:,} users"
        + (". `lakehouse model drift` looks again." if not whose else "")
    )
    if found.indices:
        st.dataframe(
            [
                {"Feature": label(name), "Stability index": index, "Verdict": _drifted(index)}
                for name, index in found.indices.items()
            ],
            hide_index=True,
            placeholder="—",
            height=height(len(found.indices)),
            column_config={
                "Stability index": st.column_config.NumberColumn(
                    format="%.3f",
                    help=f"Of the population: below {MOVED} nothing, above {ANOTHER_POPULATION} another population",
                )
            },
            alt="Stability index of the score and of each feature",
        )


def realised(found: Watch) -> None:
    """What came of what models said, of this one and of earlier ones."""
    st.subheader("What came of past predictions", anchor=False)
    if not found.realised:
        st.caption("Not known yet.")
        if found.not_realised:
            st.text(found.not_realised[0].upper() + found.not_realised[1:])
        return
    st.dataframe(
        [
            {
                "Model": shortened(one.model_version),
                "Predictions": one.predictions,
                "Users": one.users,
                "From": one.first,
                "To": one.last,
                "ROC AUC": _interval(one.roc_auc),
                "Brier score": _interval(one.brier),
                "Said": per_cent(one.mean_predicted.value),
                "Came true": per_cent(one.observed_share.value),
            }
            for one in found.realised
        ],
        hide_index=True,
        column_config={
            "Predictions": st.column_config.NumberColumn(format=COUNT),
            "Users": st.column_config.NumberColumn(format=COUNT),
            "Said": st.column_config.TextColumn(help="The mean probability"),
            "Came true": st.column_config.TextColumn(help="The share that churned within the horizon"),
        },
        alt="Past predictions against what followed, by model",
    )


def _stood(day: Day | None) -> str:
    return "—" if day is None else f"{day.at_risk:,} of {day.users:,} at risk ({share(day.at_risk, day.users)})"


def _refused(users: int) -> str:
    return (
        f"More than {MOST_REFUSED - 1:,} users"
        if users >= MOST_REFUSED
        else "1 user"
        if users == 1
        else f"{users:,} users"
    )


def _interval(metric: Metric | None) -> str:
    if metric is None or metric.value is None:
        return "—"
    return f"{_number(metric.value)} ({_number(metric.low)} to {_number(metric.high)})"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _metric(name: str, metric: Metric, alone: Metric | None) -> dict[str, Any]:
    label, meaning = _METRICS.get(name, (name, ""))
    return {
        "Metric": label,
        "Value": metric.value,
        "Low": metric.low,
        "High": metric.high,
        "Counts alone": alone.value if alone else None,
        "Meaning": meaning,
    }


def _drifted(index: float | None) -> str:
    if index is None:
        return "not known"
    return "another population" if index > ANOTHER_POPULATION else "moved" if index >= MOVED else "as in training"


def _moments(label: str) -> Any:
    return st.column_config.DatetimeColumn(label, format="YYYY-MM-DD HH:mm:ss", timezone="UTC")
