"""Three months of a real shop through the whole pipeline, against an independent recomputation."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import judge
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from shop_stack import Shop

pytestmark = pytest.mark.slow

SEED = 20201101
USER, TYPE, TIME, COUNTRY, ITEM, VALUE, N_ITEMS = 2, 1, 0, 4, 8, 10, 11

Spoil = Callable[[list[bytes]], list[bytes]]


def with_cell(column: int, text: bytes) -> Spoil:
    return lambda cells: [*cells[:column], text, *cells[column + 1 :]]


REFUSED_BY_MAPPING: list[tuple[str, Spoil]] = [
    ("wrong number of columns", lambda cells: cells[:-1]),
    ("wrong number of columns", lambda cells: [*cells, b"one more"]),
    ("empty line", lambda _: [b""]),
    ("not CSV", with_cell(ITEM, b'"a quote too many')),
    ("not UTF-8", with_cell(COUNTRY, b"Espa\xf1a")),
    ("no user", with_cell(USER, b"")),
    ("no user", with_cell(USER, b"   ")),
    ("unreadable time", with_cell(TIME, b"yesterday")),
]
REFUSED_BY_SILVER: list[tuple[str, Spoil]] = [
    ("unknown_type", with_cell(TYPE, b"teleport")),
    ("unknown_type", with_cell(TYPE, b"")),
    ("wrong_type:price", with_cell(VALUE, b"cheap")),
    ("wrong_type:quantity", with_cell(N_ITEMS, b"several")),
    ("implausible_time", with_cell(TIME, b"1999-12-31T23:59:59Z")),
    ("future_time", with_cell(TIME, b"2999-01-01T00:00:00Z")),
]


@pytest.fixture(scope="module")
def ga4(shared_data: Path) -> Path:
    return shared_data / "ga4_store_events.csv.gz"


@pytest.fixture(scope="module")
def expected(ga4: Path) -> pl.DataFrame:
    return judge.funnel_summary(ga4)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, ga4: Path) -> Iterator[Shop]:
    """A running stack that has taken the file once."""
    running = Shop(tmp_path_factory.mktemp("ga4") / "home")
    running.up()
    try:
        replayed = running.replay(ga4)
        assert replayed["produced"] == replayed["lines"] == judge.read_events(ga4).height
        yield running
    finally:
        running.run("down")


def test_the_books_balance(shop: Shop) -> None:
    books = shop.ask("audit")

    assert books["agrees"], books
    assert books["lag"] == 0


def test_gold_is_what_the_file_says(shop: Shop, expected: pl.DataFrame) -> None:
    assert_frame_equal(shop.gold(), expected)


def test_users_days_and_features_are_what_the_file_says(shop: Shop, ga4: Path) -> None:
    events = judge.read_events(ga4)

    found = shop.churn_features()

    assert_frame_equal(shop.user_days(), judge.user_days(events, judge.COUNTED))
    assert found["user_id"].to_list() == sorted(set(events["user_id"]))
    expected = judge.churn_features(events, judge.COUNTED, found.select("user_id", "as_of"))
    assert_frame_equal(found.select(expected.columns), expected)


def test_the_ordered_funnel_is_what_the_file_says(shop: Shop, ga4: Path) -> None:
    expected = judge.session_funnel(judge.read_events(ga4), judge.COUNTED)

    assert_frame_equal(shop.session_funnel(), expected)
    assert_frame_equal(shop.session_funnel_mirror(), expected)


def test_cohorts_are_what_the_file_says(shop: Shop, ga4: Path) -> None:
    expected = judge.cohorts(judge.read_events(ga4))

    assert_frame_equal(shop.cohorts(), expected)
    assert_frame_equal(shop.query("SELECT * FROM cohorts ORDER BY unit, cohort, period"), expected)


def test_postgres_is_what_the_file_says(shop: Shop, expected: pl.DataFrame) -> None:
    assert_frame_equal(shop.mirror(), expected)


def test_every_type_of_event_is_kept(shop: Shop, ga4: Path) -> None:
    in_file = Counter(judge.read_events(ga4)["event_type"].replace({"view_item": "view"}))

    assert Counter(shop.delta("silver.events")["event_type"]) == in_file
    assert min(in_file["session_start"], in_file["begin_checkout"]) > 0


def test_copies_and_broken_lines_change_no_number(
    shop: Shop, ga4: Path, expected: pl.DataFrame, tmp_path: Path
) -> None:
    spoilt, by_mapping, by_silver = shuffled_and_spoilt(ga4, tmp_path / "spoilt.csv")
    before = {name: shop.rows(name) for name in ("silver.events", "silver.duplicates", "silver.quarantine")}

    again = shop.replay(ga4)
    worse = shop.replay(spoilt)

    assert again["lines"] == again["produced"] == worse["lines"]
    assert worse["lines"] == worse["produced"] + worse["refused"]
    assert worse["refused_by_reason"] == by_mapping
    reasons = shop.delta("silver.quarantine")["reasons"].explode()
    assert Counter(reasons) == by_silver

    after = {name: shop.rows(name) for name in before}
    assert sum(after.values()) - sum(before.values()) == again["produced"] + worse["produced"]
    assert after["silver.events"] == before["silver.events"] == again["lines"]
    assert after["silver.quarantine"] == by_silver.total()
    assert shop.rows("bronze.user_events") == sum(after.values())
    assert_frame_equal(shop.gold(), expected)
    assert_frame_equal(shop.mirror(), expected)
    assert_frame_equal(shop.user_days(), judge.user_days(judge.read_events(ga4), judge.COUNTED))
    books = shop.ask("audit", "--full")
    assert books["agrees"] and books["full"], books


def test_maintained_tables_say_the_same(shop: Shop, expected: pl.DataFrame) -> None:
    done = shop.ask("maintain")

    assert not any(table["held_by"] for table in done["expired"]), done
    assert_frame_equal(shop.gold(), expected)
    books = shop.ask("audit", "--full")
    assert books["agrees"], books


def test_an_old_version_is_read_by_sql(shop: Shop) -> None:
    found = shop.run("sql", "SELECT count(*) AS n FROM silver.events VERSION AS OF 1", "--format", "json").stdout

    assert found.strip() == f'[{{"n": {shop.delta("silver.events", version=1).height}}}]'


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("DELETE FROM silver.events", "only queries are taken"),
        ("SELECT * FROM silver.evnets", "silver`.`evnets"),
        ("SELECT * FROM silver.events VERSION AS OF 99999", "kept of silver.events: versions 0 to "),
    ],
)
def test_sql_refuses_in_one_line(shop: Shop, query: str, reason: str) -> None:
    before = shop.rows("silver.events")

    said = shop.run("sql", query, code=1)

    assert said.stdout == ""
    assert len(said.stderr.splitlines()) == 1, said.stderr
    assert reason in said.stderr
    assert shop.rows("silver.events") == before


def shuffled_and_spoilt(source: Path, target: Path) -> tuple[Path, Counter[str], Counter[str]]:
    """Writes the lines in another order with 5 % of them made invalid; how many mapping and silver refuse."""
    chance = random.Random(SEED)  # noqa: S311 (the same lines at each run)
    header, *lines = gzip.decompress(source.read_bytes()).splitlines()
    chance.shuffle(lines)
    spoilable = [
        place for place, line in enumerate(lines) if b'"' not in line and line.split(b",")[N_ITEMS] not in (b"", b"0")
    ]
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    kinds = [(0, *kind) for kind in REFUSED_BY_MAPPING] + [(1, *kind) for kind in REFUSED_BY_SILVER]
    for turn, place in enumerate(chance.sample(spoilable, len(lines) // 20)):
        judged_by, reason, spoil = kinds[turn % len(kinds)]
        lines[place] = b",".join(spoil(lines[place].split(b",")))
        counts[judged_by][reason] += 1
    target.write_bytes(b"\n".join([header, *lines, b""]))
    return target, *counts
