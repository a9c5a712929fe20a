"""`lakehouse rebuild gold`: funnels, users' days, sessions and what is made of these anew, beside the rounds.

A day is computed from the table before as of the version that is said to be taken. Between two rounds, days that have
got events meanwhile are computed again, and those that are not as they were take the place of those that are there.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from gold.churn_features_stream import REFRESHED_AT_ONCE, ChurnFeaturesStage
from gold.cohorts_stream import CohortsStage
from gold.remake import FUNNEL, SESSION_DAYS, SESSION_FUNNEL, USER_DAYS, Layer, Remake
from lakehouse.commits import Commit
from lakehouse.contracts import ChurnFeatures, Cohorts, UserDays
from lakehouse.errors import EngineLost, LakehouseError
from lakehouse.follow import Follower
from lakehouse.frames import to_arrow
from lakehouse.jobs import Progress
from lakehouse.rebuild.staging import StagingStore, staging
from lakehouse.rebuild.swap import partitions, unlike
from lakehouse.stages import Stage

if TYPE_CHECKING:
    from lakehouse.writer import Writer


def rebuild(writer: Writer, since: date | None, progress: Progress) -> dict[str, Any]:
    """Result: for each table how many days, or users, were replaced. Raises LakehouseError where gold holds nothing,
    EngineLost where the last step is left to the next start."""
    done: dict[str, Any] = {}
    for layer in (FUNNEL, USER_DAYS, SESSION_DAYS, SESSION_FUNNEL):
        done |= _rebuild(writer, layer, since, progress)
    done[ChurnFeatures.name] = {"users": _churn_features(writer, progress)}
    return done | {Cohorts.name: {"cells": _cohorts(writer, progress)}}


def _rebuild(writer: Writer, layer: Layer, since: date | None, progress: Progress) -> dict[str, Any]:
    store, stage = writer.context.store, _follower(writer.stage(layer.stage))
    tables = tuple(layer.tables)
    with writer.runner.turn:
        taken = stage.reached()
        real = {table: store.version(table) for table in tables}
    if taken < 0:
        raise LakehouseError(f"rebuild gold: {layer.stage} has taken nothing from {layer.origin.name} yet")
    beside = StagingStore(store.home, store.settings, store.spark)
    with staging(store, tables) as staged:
        remake = Remake(writer.context, layer, _last(stage))
        days = _days(beside, layer, taken, since)
        remake.stage(staged, days, taken, progress)
        unequal = {
            table: unlike(beside, real[table], staged, table, layer.compared(table), {(day,) for day in days})
            for table in tables
        }
        with writer.runner.turn:
            progress("the rounds wait")
            now = stage.reached()
            touched = _touched(store, layer, taken, now)
            if since is not None:
                touched = {day for day in touched if day >= since}
            remake = Remake(writer.context, layer, _last(stage))
            remake.stage(staged, touched, now)
            again = {(day,) for day in touched}
            for table in tables:
                unequal[table] = (unequal[table] - again) | unlike(
                    store, store.version(table), staged, table, layer.compared(table), again
                )
            replaced = {table: {day for (day,) in unequal[table]} for table in tables}
            if any(replaced.values()):
                remake.swap(staged, replaced, now)
            stage.position = stage.reached()
    return {table.name: {"days": len(replaced[table])} for table in tables}


def _churn_features(writer: Writer, progress: Progress) -> int:
    """All users' features, 10,000 users in a turn: a row is computed from its user's days and replaces the one before,
    so that a kill leaves nothing half done."""
    store, stage = writer.context.store, writer.stage(ChurnFeaturesStage.name)
    if not isinstance(stage, ChurnFeaturesStage):
        raise LakehouseError("rebuild: there are no churn features here")
    beside = StagingStore(store.home, store.settings, store.spark)
    users = pl.concat([beside.scan(table).select("user_id") for table in (UserDays, ChurnFeatures)]).unique().collect()
    for first in range(0, users.height, REFRESHED_AT_ONCE):
        progress(f"user_days → churn_features: {first:,} of {users.height:,} users")
        with writer.runner.turn:
            stage.position = stage.reached()
            stage.remake(to_arrow(users.slice(first, REFRESHED_AT_ONCE)))
    return users.height


def _cohorts(writer: Writer, progress: Progress) -> int:
    """All cells, as users' days are by now; returns how many were not as they should be."""
    stage = writer.stage(CohortsStage.name)
    if not isinstance(stage, CohortsStage):
        raise LakehouseError("rebuild: there are no cohorts here")
    progress("user_days → cohorts")
    with writer.runner.turn:
        return stage.remake()


def _days(store: StagingStore, layer: Layer, version: int, since: date | None) -> set[date]:
    """Every day that the table before or gold has, from ``since`` on."""
    days = {day for day, *_ in partitions(store, layer.origin, version)}
    for table in layer.tables:
        days |= {day for (day,) in partitions(store, table)}
    return {day for day in days if since is None or day >= since}


def _touched(store: Any, layer: Layer, after: int, until: int) -> set[date]:
    versions = store.versions(layer.origin, after + 1, until)
    return {date.fromisoformat(files[layer.day]) for each in versions for files in each.touched}


def _last(stage: Follower) -> Commit | None:
    return getattr(stage, "last", None)


def _follower(stage: Stage) -> Follower:
    if not isinstance(stage, Follower):
        raise EngineLost(f"{stage.name} follows no table")
    return stage
