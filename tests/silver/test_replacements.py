"""A corrected message takes a refused one's place once: what becomes of it, of the row, and of all who try again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.commits import Commit
from lakehouse.contracts import BronzeEvents, SilverDuplicates, SilverEvents, SilverQuarantine, Table
from lakehouse.endpoints import Endpoints
from lakehouse.frames import arrow_schema
from lakehouse.home import Home
from lakehouse.replacements import HEADER
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore
from silver.stream import SilverStage

RECEIVED = datetime(2026, 3, 1, 10, 0, 5, tzinfo=UTC)
VIEW = {"event_type": "view", "timestamp": "2026-03-01T10:00:00Z"}
BAD = {"user_id": "ann", **VIEW, "event_type": "teleport"}
GOOD = {"user_id": "ann", **VIEW}
OTHER = {"user_id": "bob", **VIEW}

Message = tuple[dict[str, Any], str | bytes | None]
"""Its fields, and what its header names: an offset of partition 0, or just what it says."""


@dataclass
class Silver:
    """Bronze and silver under a home of their own."""

    store: TableStore
    sent: int = 0
    batches: int = 0

    def bring(self, *messages: Message) -> None:
        """A batch of bronze with the next offsets."""
        rows = []
        for fields, replaces in messages:
            said = replaces.encode() if isinstance(replaces, str) else replaces
            headers = [{"key": "of", "value": b"ours"}, {"key": HEADER, "value": said}]
            rows.append(
                {
                    "source_id": "topic-1",
                    "partition": 0,
                    "offset": self.sent,
                    "value": json.dumps(fields).encode(),
                    "headers": None if said is None else headers,
                    "topic": "user_events",
                    "kafka_timestamp": RECEIVED,
                    "ingested_at": RECEIVED,
                    "ingest_date": RECEIVED.date(),
                }
            )
            self.sent += 1
        table = pa.Table.from_pylist(rows, schema=arrow_schema(BronzeEvents))
        self.store.append(BronzeEvents, table, Commit("bronze", 0, self.batches, rows_in=len(rows), rows_out=len(rows)))
        self.batches += 1

    def stage(self) -> SilverStage:
        context = Context(
            self.store.settings, self.store.home, Endpoints("", "", "", "", "", ""), self.store.spark, self.store, print
        )
        stage = SilverStage(context)
        stage.open()
        return stage

    def take(self, *messages: Message) -> None:
        self.bring(*messages)
        self.stage().run()

    def rows(self, table: type[Table], *columns: str) -> list[tuple[Any, ...]]:
        return self.store.scan(table).sort("offset").select("offset", *columns).collect().rows()

    @property
    def events(self) -> list[int]:
        return [row[0] for row in self.rows(SilverEvents)]

    @property
    def refused(self) -> dict[int, tuple[str, int | None]]:
        """For each refused offset its reason, and the offset that has resolved it."""
        return {
            offset: (",".join(reasons), None if by is None else int(by.removeprefix("topic-1/0/")))
            for offset, reasons, by in self.rows(SilverQuarantine, "reasons", "resolved_by")
        }

    def assert_each_in_one_table(self) -> None:
        found = [row[0] for table in (SilverEvents, SilverDuplicates, SilverQuarantine) for row in self.rows(table)]
        assert sorted(found) == list(range(self.sent))


def opened(settings: Settings, folder: Path, engine: str, spark: SparkSession | None) -> Silver:
    home = Home(folder / "a home").make()
    changed = settings.model_copy(update={"home": home.root, "commit_engine": engine})
    store = TableStore(home, changed, cast(SparkSession, spark))
    store.create_all()
    return Silver(store)


@pytest.fixture
def silver(settings: Settings, tmp_path: Path) -> Silver:
    return opened(settings, tmp_path, "delta-rs", None)


def of(offset: int) -> str:
    return f"topic-1/0/{offset}"


@pytest.mark.parametrize("at_once", [False, True], ids=["in two batches", "in one batch"])
def test_a_corrected_row_becomes_an_event_and_resolves_the_old_one(silver: Silver, at_once: bool) -> None:
    batches = [[(BAD, None), (OTHER, None)], [(GOOD, of(0))]]
    for batch in [[*chain(*batches)]] if at_once else batches:
        silver.take(*batch)

    assert silver.events == [1, 2]
    assert silver.refused == {0: ("unknown_type", 2)}
    silver.assert_each_in_one_table()


def test_the_row_keeps_all_else_that_it_had(silver: Silver) -> None:
    silver.take((BAD, None))
    columns = [str(column) for column in SilverQuarantine.columns() if column != SilverQuarantine.resolved_by]
    before = silver.rows(SilverQuarantine, *columns[:2], *columns[3:])

    silver.take((GOOD, of(0)))

    assert silver.rows(SilverQuarantine, *columns[:2], *columns[3:]) == before


@pytest.mark.parametrize("again", [GOOD, OTHER], ids=["the same", "another correction"])
@pytest.mark.parametrize("at_once", [False, True], ids=["in two batches", "in one batch"])
def test_a_row_is_replaced_once(silver: Silver, again: dict[str, Any], at_once: bool) -> None:
    silver.take((BAD, None))
    batches = [[(GOOD, of(0))], [(again, of(0))]]
    for batch in [[*chain(*batches)]] if at_once else batches:
        silver.take(*batch)

    assert silver.events == [1]
    assert silver.refused == {0: ("unknown_type", 1), 2: ("already_replaced", 1)}
    silver.assert_each_in_one_table()


def test_a_replacement_that_is_refused_leaves_the_row_open_and_the_next_resolves_both(silver: Silver) -> None:
    silver.take((BAD, None))
    silver.take((BAD, of(0)))
    assert silver.refused == {0: ("unknown_type", None), 1: ("unknown_type", None)}

    silver.take((GOOD, of(0)))

    assert silver.events == [2]
    assert silver.refused == {0: ("unknown_type", 2), 1: ("unknown_type", 2)}


def test_a_copy_of_an_event_resolves_too(silver: Silver) -> None:
    silver.take((BAD, None), (GOOD, None))
    silver.take((GOOD, of(0)))

    assert silver.events == [1]
    assert silver.rows(SilverDuplicates) == [(2,)]
    assert silver.refused == {0: ("unknown_type", 2)}


def test_a_message_whose_replacement_is_refused_takes_no_other_down_with_it(silver: Silver) -> None:
    silver.take((BAD, None))
    silver.take((GOOD, of(0)))
    silver.take((OTHER, of(0)), (OTHER, None))

    assert silver.events == [1, 3]
    assert silver.refused[2] == ("already_replaced", 1)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        pytest.param(of(77), "replaces_nothing", id="no such row"),
        pytest.param(of(1), "replaces_nothing", id="an event"),
        pytest.param("topic-2/0/0", "replaces_nothing", id="of another topic"),
        pytest.param("the first one", "unreadable_replaces", id="no coordinates"),
        pytest.param("", "unreadable_replaces", id="empty"),
        pytest.param("topic-1/0/0' OR '1'='1", "unreadable_replaces", id="SQL"),
        pytest.param("' OR '1'='1/0/0", "replaces_nothing", id="SQL in form"),
        pytest.param(b"\xff/0/0", "unreadable_replaces", id="no UTF-8"),
    ],
)
def test_a_header_that_names_no_refused_row_changes_none(silver: Silver, header: str | bytes, reason: str) -> None:
    silver.take((BAD, None), (OTHER, None))

    silver.take((GOOD, header))

    assert silver.events == [1]
    assert silver.refused == {0: ("unknown_type", None), 2: (reason, None)}


def test_what_an_unfinished_batch_resolved_is_taken_back(silver: Silver, monkeypatch: pytest.MonkeyPatch) -> None:
    silver.take((BAD, None), (BAD | {"user_id": "cid"}, None))
    silver.take((GOOD, of(0)))
    silver.bring((OTHER, of(1)))

    def dies(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("silver.stream.reach", dies)
        silver.stage().run()
    assert silver.refused[1] == ("unknown_type", 3)

    again = silver.stage()
    assert silver.refused == {0: ("unknown_type", 2), 1: ("unknown_type", None)}
    again.run()

    assert silver.events == [2, 3]
    assert silver.refused == {0: ("unknown_type", 2), 1: ("unknown_type", 3)}
    silver.assert_each_in_one_table()


def test_spark_says_the_same(settings: Settings, spark: SparkSession, tmp_path: Path) -> None:
    silver = opened(settings, tmp_path, "spark", spark)
    silver.take((BAD, None), (BAD, None), (OTHER, None))
    silver.take((BAD, of(0)), (GOOD, of(77)), (GOOD, "no coordinates"))
    silver.take((GOOD, of(0)), (OTHER | {"product_id": "7"}, of(0)), (BAD, None), (OTHER, of(1)))
    silver.take((OTHER | {"product_id": "8"}, of(0)))

    assert silver.events == [2, 6]
    assert silver.rows(SilverDuplicates) == [(9,)]
    assert silver.refused == {
        0: ("unknown_type", 6),
        1: ("unknown_type", 9),
        3: ("unknown_type", 6),
        4: ("replaces_nothing", None),
        5: ("unreadable_replaces", None),
        7: ("already_replaced", 6),
        8: ("unknown_type", None),
        10: ("already_replaced", 6),
    }
    silver.assert_each_in_one_table()
