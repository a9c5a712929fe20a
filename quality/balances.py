"""The books: what has gone into a layer against what is in it, each side counted on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse import event
from lakehouse.contracts import (
    COHORT_UNITS,
    BronzeEvents,
    ChurnFeatures,
    Cohorts,
    FunnelSummary,
    FunnelWindows,
    SessionDays,
    SessionFunnel,
    SilverDuplicates,
    SilverEvents,
    SilverQuarantine,
    UserDays,
)
from quality.score_days import Group

_COLUMNS = {
    event.VIEW: FunnelSummary.num_views,
    event.ADD_TO_CART: FunnelSummary.num_add_to_cart,
    event.PURCHASE: FunnelSummary.num_purchases,
}
_ALL = FunnelSummary.num_events

COORDINATES = (SilverEvents.source_id, SilverEvents.partition, SilverEvents.offset)


@dataclass(frozen=True)
class Balance:
    """One line of the books: two sides that must be equal."""

    name: str
    left: str
    left_value: Any
    right: str
    right_value: Any
    note: str = ""

    @property
    def agrees(self) -> bool:
        return bool(self.left_value == self.right_value)


@dataclass(frozen=True)
class Scope:
    """The coordinates under audit: per ``source_id/partition`` the offsets from ``after`` up to before ``until``."""

    until: Mapping[str, int]
    after: Mapping[str, int] = field(default_factory=dict)

    def condition(self) -> str:
        """SQL over coordinates; false where nothing is under audit."""
        places = []
        for name, end in sorted(self.until.items()):
            source, partition = name.rsplit("/", 1)
            start = self.after.get(name, 0)
            if start < end:
                places.append(
                    f"(source_id = '{source}' AND partition = {partition} AND `offset` >= {start} AND `offset` < {end})"
                )
        return " OR ".join(places) or "false"


def received(bronze: DataFrame, scope: Scope) -> tuple[Balance, list[tuple[str, int, int]]]:
    """Offsets from the first one read = bronze rows; and the gaps, (place, first, last) each, that are missing."""
    place = F.concat_ws("/", BronzeEvents.source_id, BronzeEvents.partition)
    rows = bronze.where(scope.condition()).select(place.alias("place"), F.col(BronzeEvents.offset).alias("o"))
    found = {
        row["place"]: row
        for row in rows.groupBy("place")
        .agg(F.min("o").alias("first"), F.count("*").alias("rows"), F.count_distinct("o").alias("distinct"))
        .collect()
    }
    expected = 0
    for name, end in scope.until.items():
        first = scope.after.get(name, found[name]["first"] if name in found else end)
        expected += max(0, end - first)
    count = sum(row["rows"] for row in found.values())
    distinct = sum(row["distinct"] for row in found.values())
    gaps = _gaps(rows, scope) if distinct != expected else []
    balance = Balance("Kafka → bronze", "offsets read", expected, "rows of bronze", count)
    return balance, gaps


def _gaps(rows: DataFrame, scope: Scope) -> list[tuple[str, int, int]]:
    ordered = rows.distinct().selectExpr("place", "o", "lag(o) OVER (PARTITION BY place ORDER BY o) AS before")
    inside = ordered.where("o > before + 1").limit(1_000).collect()
    gaps = [(row["place"], row["before"] + 1, row["o"] - 1) for row in inside]
    for row in rows.groupBy("place").agg(F.max("o").alias("last"), F.min("o").alias("first")).collect():
        if row["last"] + 1 < scope.until[row["place"]]:
            gaps.append((row["place"], row["last"] + 1, scope.until[row["place"]] - 1))
        if row["place"] in scope.after and row["first"] > scope.after[row["place"]]:
            gaps.append((row["place"], scope.after[row["place"]], row["first"] - 1))
    return gaps


def placed(tables: Mapping[type, DataFrame], scope: Scope) -> list[Balance]:
    """Each coordinate of bronze is in exactly one of silver's three tables; none of them is computed as a remainder."""
    sides = (BronzeEvents, SilverEvents, SilverDuplicates, SilverQuarantine)
    union = None
    for side in sides:
        rows = tables[side].where(scope.condition())
        marked = rows.select(*COORDINATES, *(F.lit(int(side is other)).alias(_mark(other)) for other in sides))
        union = marked if union is None else union.unionAll(marked)
    assert union is not None  # noqa: S101 (four sides)
    by_place = union.groupBy(*COORDINATES).agg(*(F.sum(_mark(side)).alias(_mark(side)) for side in sides))
    outcomes = "events + duplicates + quarantine"
    found = by_place.selectExpr(
        "sum(user_events) AS bronze",
        "sum(events) AS events",
        "sum(duplicates) AS duplicates",
        "sum(quarantine) AS quarantine",
        f"count_if(user_events >= 1 AND {outcomes} = 0) AS nowhere",
        f"count_if({outcomes} > 1) AS several",
        f"count_if(user_events != 1 AND {outcomes} >= 1) AS unknown",
    ).collect()[0]
    n = {name: int(value or 0) for name, value in found.asDict().items()}
    return [
        Balance(
            "bronze → silver",
            "rows of bronze",
            n["bronze"],
            "events + duplicates + quarantine",
            n["events"] + n["duplicates"] + n["quarantine"],
            f"{n['events']:,} + {n['duplicates']:,} + {n['quarantine']:,}",
        ),
        Balance("coordinates in none of silver's tables", "found", n["nowhere"], "allowed", 0),
        Balance("coordinates in more than one of them", "found", n["several"], "allowed", 0),
        Balance("coordinates unknown to bronze, or twice in it", "found", n["unknown"], "allowed", 0),
    ]


def _mark(table: type) -> str:
    return str(table.name).split(".")[1]  # type: ignore[attr-defined]


def by_type(events: DataFrame) -> dict[str, int]:
    """Number of events for each type."""
    return {row[0]: row[1] for row in events.groupBy(SilverEvents.event_type).count().collect()}


def counted(silver: Mapping[str, int], windows: DataFrame, summary: DataFrame) -> list[Balance]:
    """Silver's events per type = events counted in gold, in both of its tables."""
    in_windows = {
        row[0]: row[1]
        for row in windows.groupBy(FunnelWindows.event_type).agg(F.sum(FunnelWindows.num_events)).collect()
    }
    balances = [
        Balance(f"silver → gold: {kind}", "events", silver.get(kind, 0), "in funnel_windows", in_windows.get(kind, 0))
        for kind in sorted({*silver, *in_windows})
    ]
    return balances + _summed(silver, summary, "silver → gold", "in funnel_summary")


def counted_by_day(silver: Mapping[str, int], days: DataFrame) -> list[Balance]:
    """Silver's events = events counted in users' days, by the types that have a column, and all."""
    return _summed(silver, days, "silver → user_days", "in user_days")


def counted_by_session(silver: Mapping[str, int], days: DataFrame) -> list[Balance]:
    """Silver's events = events counted in sessions' days, by the types that have a column, and all."""
    return _summed(silver, days, "silver → session_days", "in session_days")


def funnelled(days: DataFrame, funnel: DataFrame) -> list[Balance]:
    """Each row of sessions' days is one session of the ordered funnel: among all, and in each dimension that it has.

    ``days`` are as of what the funnel says it has taken.
    """
    named = days.select(F.explode(F.col(SessionDays.dimensions)["name"]).alias("dimension"))
    rows = {row[0]: row[1] for row in named.groupBy("dimension").count().collect()} | {"": days.count()}
    sums = funnel.groupBy(SessionFunnel.dimension).agg(F.sum(SessionFunnel.sessions)).collect()
    sessions = {row[0]: row[1] for row in sums}
    return [
        Balance(
            f"session_days → session_funnel: {dimension or 'all'}",
            "rows",
            rows.get(dimension, 0),
            "sessions",
            sessions.get(dimension, 0),
        )
        for dimension in sorted({*rows, *sessions})
    ]


def _summed(silver: Mapping[str, int], counts: DataFrame, name: str, where: str) -> list[Balance]:
    sums = counts.agg(*(F.sum(column).alias(column) for column in (*_COLUMNS.values(), _ALL))).collect()[0]
    expected = {column: silver.get(kind, 0) for kind, column in _COLUMNS.items()} | {_ALL: sum(silver.values())}
    return [
        Balance(f"{name}: {column}", "events", events, where, sums[column] or 0) for column, events in expected.items()
    ]


def described(days: DataFrame, features: DataFrame) -> Balance:
    """Each user of users' days has one row of churn features.

    ``days`` are as of what the features say they have taken. Of users beyond that a batch that was not finished may
    have left rows: these are not looked at.
    """
    users = days.select(UserDays.user_id).distinct()
    rows = features.join(users, on=str(ChurnFeatures.user_id), how="left_semi").count()
    return Balance("user_days → churn_features", "users", users.count(), "rows of them", rows)


def first_seen(days: DataFrame, cells: DataFrame) -> list[Balance]:
    """Of each unit, every user of users' days is in the own period of one cohort.

    ``days`` are as of the version that the cells say they are made of.
    """
    users = days.select(UserDays.user_id).distinct().count()
    own = cells.where(F.col(Cohorts.period) == 0).groupBy(Cohorts.unit).agg(F.sum(Cohorts.users))
    found = {row[0]: row[1] for row in own.collect()}
    return [
        Balance(f"user_days → cohorts: by {unit}", "users", users, "in their first period", found.get(unit, 0))
        for unit in COHORT_UNITS
    ]


def scores_counted(scored: Mapping[Group, int], days: Mapping[Group, int]) -> list[Balance]:
    """Users with a score, by model, probability and verdict = those that the newest of the scores' days counts.

    By group, too: one that is counted in the wrong group changes no sum.
    """
    unlike = [group for group in {*scored, *days} if scored.get(group, 0) != days.get(group, 0)]
    worst = max(unlike, key=lambda group: (abs(scored.get(group, 0) - days.get(group, 0)), group), default=None)
    name = "churn_prediction → churn_score_days"
    return [
        Balance(f"{name}: users", "with a score", sum(scored.values()), "on the newest day", sum(days.values())),
        Balance(f"{name}: groups that differ", "found", len(unlike), "allowed", 0, _group(worst, scored, days)),
    ]


def _group(worst: Group | None, scored: Mapping[Group, int], days: Mapping[Group, int]) -> str:
    if worst is None:
        return ""
    verdict = "at risk" if worst.churned else "not at risk"
    return (
        f"model {worst.model_version or '(none)'}, probability from {worst.bucket / 20:.2f}, {verdict}: "
        f"{scored.get(worst, 0):,} scored, {days.get(worst, 0):,} counted"
    )
