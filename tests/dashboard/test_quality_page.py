"""The page Quality as a person sees it: before there are verdicts, with all met, with what fails, and with the home
away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dashboard_tables import Open, Tables
from deltalake import write_deltalake
from page_words import rows, said
from streamlit.testing.v1 import AppTest

from lakehouse.contracts import PIPELINE, SilverQuarantine
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.frames import conform, to_arrow
from lakehouse.home import Home
from lakehouse.jobs import JobServer, Progress

NASTY = "<script>alert(1)</script> **bold** [x](https://example.com) $x^2$"


def state_of(page: AppTest, table: str) -> dict[str, Any]:
    return next(row for row in rows(page, "Layer") if row["Table"] == table)


def writer_says(home: Home, *, enabled: bool = True, halts: tuple[dict[str, Any], ...] = (), **lag: int) -> None:
    """The writer's state as `lakehouse.writer` writes it; ``lag``: versions by table, with _ for the dot."""
    tables = {
        name.replace("_", ".", 1): {"validated": 3, "lag_versions": versions, "lag_seconds": 12.5 if versions else None}
        for name, versions in lag.items()
    }
    quality = {"enabled": enabled, "tables": tables, "halts": list(halts), "alarms": [], "warnings": []}
    home.state.write_text(json.dumps({"at": datetime.now(UTC).isoformat(), "quality": quality}))


def refuse(home: Home, *messages: tuple[str, list[str], bytes], first_offset: int = 0) -> None:
    """Rows of `silver.quarantine`: when the broker had each, its reasons, and what was received."""
    frame = pl.DataFrame(
        [
            {
                "source_id": "topic-1",
                "partition": 0,
                "offset": offset,
                "value": value,
                "topic": "user_events",
                **dict.fromkeys(("kafka_timestamp", "ingested_at", "quarantined_at"), at(time)),
                "ingest_date": at(time).date(),
                "reasons": reasons,
            }
            for offset, (time, reasons, value) in enumerate(messages, first_offset)
        ]
    )
    missing = [pl.lit(None).alias(c) for c in SilverQuarantine.columns() if str(c) not in frame.columns]
    table = conform(to_arrow(frame.with_columns(missing)), SilverQuarantine)
    write_deltalake(home.table(SilverQuarantine.name), table, mode="append", partition_by=["ingest_date"])


def at(time: str) -> datetime:
    return datetime.fromisoformat(time).replace(tzinfo=UTC)


def test_no_stack_says_how_to_start_one_and_the_whole_page_comes_with_it(
    open_page: Open, endpoints: Endpoints, tables: Tables, tmp_path: Path
) -> None:
    Home(tmp_path).endpoints.unlink()
    tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00")
    page = open_page("quality")
    assert not page.exception
    assert "`lakehouse up`" in said(page)
    assert not page.dataframe

    endpoints.save(Home(tmp_path))
    page.run()
    assert state_of(page, "silver.events")["State"] == "met"
    assert page.button(key="check_books")


def test_postgres_away_is_said_and_what_was_refused_is_shown_all_the_same(
    open_page: Open, endpoints: Endpoints, tables: Tables, tmp_path: Path
) -> None:
    refuse(Home(tmp_path), ("2026-03-01T10:00", ["no_user"], b"{}"))
    tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00")
    replace(endpoints, postgres_reader="postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse").save(
        Home(tmp_path)
    )
    page = open_page("quality")
    assert not page.exception
    assert "Postgres is away" in said(page)
    assert "s3cret" not in said(page)
    assert [row["reason"] for row in rows(page, "open")] == ["no_user"]

    endpoints.save(Home(tmp_path))
    page.run()
    assert "Postgres is away" not in said(page)
    assert state_of(page, "silver.events")["State"] == "met"


@pytest.mark.usefixtures("tables")
def test_before_the_first_verdict_every_table_is_not_judged_yet(open_page: Open) -> None:
    page = open_page("quality")
    assert not page.exception
    assert "No verdict yet" in said(page)
    assert [row["Table"] for row in rows(page, "Layer")] == [table.name for table in PIPELINE]
    assert {row["State"] for row in rows(page, "Layer")} == {"not judged yet"}


@pytest.mark.parametrize("where", ["settings", "state"])
def test_a_validator_that_is_off_is_said(
    open_page: Open, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00")
    if where == "settings":
        monkeypatch.setenv("LAKEHOUSE_QUALITY_VALIDATOR", "false")
    else:
        writer_says(Home(tmp_path), enabled=False)
    page = open_page("quality")
    assert "The validator is switched off" in said(page)
    assert state_of(page, "silver.events")["State"] == "met"


def test_each_table_stands_by_its_newest_verdict_on_each_expectation(open_page: Open, tables: Tables) -> None:
    tables.verdict("bronze.user_events", "messages_come", "2026-03-01T10:00", False, "alarm")
    tables.verdict("bronze.user_events", "messages_come", "2026-03-01T10:05", True, "alarm", (2, 4))
    tables.verdict("silver.events", "events_are_not_late", "2026-03-01T10:00", False, "warn")
    tables.verdict("silver.events", "clocks_are_not_ahead", "2026-03-01T10:00", False, "alarm")
    tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00", True, "halt")
    tables.verdict("gold.user_days", "purchases_go_with_carts", "2026-03-01T10:00", False, "warn")
    tables.verdict("gold.funnel_windows", "no_type_floods", "2026-03-01T10:00", None, "alarm", error="no history")
    tables.verdict("postgres.raw_events", "no_wrong_rows", "2026-03-01T10:00", True, "alarm")
    page = open_page("quality")

    bronze = state_of(page, "bronze.user_events")
    assert (bronze["State"], bronze["Met"], bronze["Version"]) == ("met", "1 of 1", 4)
    silver = state_of(page, "silver.events")
    assert (silver["State"], silver["Met"]) == ("alarm", "1 of 3")
    assert state_of(page, "gold.user_days")["State"] == "warn"
    assert state_of(page, "gold.funnel_windows")["Met"] == "0 of 1"
    assert state_of(page, "postgres.raw_events")["Layer"] == "mirror"
    assert rows(page, "Layer")[-1]["Table"] == "postgres.raw_events"
    assert "1 table: alarm" in said(page)
    failing = [(row["State"], row["Expectation"]) for row in rows(page, "Expectation")]
    assert failing == [
        ("alarm", "clocks_are_not_ahead"),
        ("warn", "purchases_go_with_carts"),
        ("warn", "events_are_not_late"),
        ("could not be judged", "no_type_floods"),
    ]


def test_what_fails_is_told_with_what_was_seen_and_since_when(open_page: Open, tables: Tables) -> None:
    for minute, success in (("00", True), ("01", False), ("02", True), ("03", False), ("04", False)):
        tables.verdict(
            "silver.events",
            "purchases_have_a_price",
            f"2026-03-01T10:{minute}",
            success,
            versions=(int(minute), int(minute)),
            observed='{"rows": 100, "failed": 25, "values": [null]}',
            unexpected_count=None if success else 25,
            examples=[] if success else ['{"event_id": "e1"}', json.dumps({"event_id": NASTY})],
            description="A purchase has a price.",
        )
    tables.verdict("gold.user_days", "num_events_is_there", "2026-02-01T10:00", False, versions=(1, 1))
    tables.verdict("gold.user_days", "num_events_is_there", "2026-03-01T10:04", False, versions=(2, 2))
    page = open_page("quality")
    assert not page.exception
    days, silver = sorted(rows(page, "Expectation"), key=lambda row: row["Table"])
    assert silver["Not met since"] == "2026-03-01 10:03:00"
    assert days["Not met since"] == "2026-03-01 10:04:00 or earlier"
    assert (silver["Observed"], silver["Expected"]) == ("25 of 100 rows", "A purchase has a price.")
    full = next(row for row in rows(page, "Keys of some that fail") if row["Table"] == "silver.events")
    assert full["Observed"] == '{"rows": 100, "failed": 25, "values": [null]}'
    assert (full["Rows that fail"], full["Of rows"]) == (25, 100)
    assert list(full["Keys of some that fail"]) == ['{"event_id": "e1"}', json.dumps({"event_id": NASTY})]
    interpreted = "\n".join(str(part.value) for part in [*page.markdown, *page.caption])
    assert NASTY not in interpreted


def test_what_fails_without_any_key_is_told_in_full_too(open_page: Open, tables: Tables) -> None:
    tables.verdict("silver.events", "rows_come_in_time", "2026-03-01T10:00", False, versions=(1, 1), examples=[])
    page = open_page("quality")
    assert not page.exception
    (full,) = rows(page, "Keys of some that fail")
    assert list(full["Keys of some that fail"]) == []


def test_a_look_whether_rows_come_does_not_pass_for_the_rows_judged(open_page: Open, tables: Tables) -> None:
    tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00", num_rows=84_840)
    tables.verdict("silver.events", "rows_come_in_time", "2026-03-01T10:05", mode="full", run_id="at rest", num_rows=0)
    silver = state_of(open_page("quality"), "silver.events")
    assert (silver["Rows"], silver["Met"]) == (84_840, "2 of 2")


def test_a_halt_lasts_until_somebody_decides_also_when_newer_rows_are_as_they_should_be(
    open_page: Open, tables: Tables, tmp_path: Path
) -> None:
    run = tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00", False, "halt", (5, 6))
    tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:05", True, "halt", (7, 7))
    page = open_page("quality")
    assert state_of(page, "silver.events")["State"] == "halt"
    assert "lakehouse quality accept silver.events@5-6" in said(page)
    assert "lakehouse rebuild silver" in said(page)

    tables.decide(run, "accepted", "2026-03-01T10:10", "a **test** shop")
    page = open_page("quality")
    assert state_of(page, "silver.events")["State"] == "met"
    assert [(row["run_id"], row["note"]) for row in rows(page, "decision")] == [(run, "a **test** shop")]

    old = {"run_id": "bronze.user_events@1-1", "table": "bronze.user_events", "first_version": 1, "last_version": 1}
    writer_says(Home(tmp_path), halts=(old,))
    assert state_of(open_page("quality"), "bronze.user_events")["State"] == "halt"


def test_a_failure_that_was_accepted_is_told_from_one_that_was_not(open_page: Open, tables: Tables) -> None:
    run = tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00", False, "halt")
    tables.decide(run, "accepted", "2026-03-01T10:10")
    page = open_page("quality")
    assert state_of(page, "silver.events")["State"] == "accepted"
    assert [row["Decision"] for row in rows(page, "Expectation")] == ["accepted at 2026-03-01 10:10:00"]


def test_a_look_at_a_whole_table_halts_nothing(open_page: Open, tables: Tables) -> None:
    tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00", False, "halt", mode="full", run_id="by hand")
    assert state_of(open_page("quality"), "silver.events")["State"] == "alarm"


def test_how_far_the_judge_is_behind_is_told_where_the_writer_tells(
    open_page: Open, tables: Tables, tmp_path: Path
) -> None:
    tables.verdict("silver.events", "key_is_unique", "2026-03-01T10:00")
    assert state_of(open_page("quality"), "silver.events")["Behind"] is None

    writer_says(Home(tmp_path), silver_events=3, bronze_user_events=0)
    page = open_page("quality")
    assert state_of(page, "silver.events")["Behind"] == "3 versions · 12 s"
    assert state_of(page, "bronze.user_events")["Behind"] == "nothing"


def test_pass_rates_by_hour_and_by_day(open_page: Open, tables: Tables) -> None:
    tables.verdict("silver.events", "a", "2026-03-01T08:30", False, versions=(1, 1))
    tables.verdict("silver.events", "a", "2026-03-02T08:10", True, versions=(2, 2))
    tables.verdict("silver.events", "b", "2026-03-02T08:20", False, versions=(3, 3))
    tables.verdict("silver.events", "b", "2026-03-02T10:00", True, versions=(4, 4))
    tables.verdict("postgres.raw_events", "c", "2026-03-02T08:00", True)

    hourly = chart(open_page("quality"), "Pass rates")
    assert hourly["xAxis"]["data"] == ["02 Mar 08:00", "02 Mar 09:00", "02 Mar 10:00"]
    assert {line["name"]: line["data"] for line in hourly["series"]} == {
        "silver": [50.0, None, 100.0],
        "mirror": [100.0, None, None],
    }
    daily = chart(open_page("quality", trend="7 days"), "Pass rates")
    assert {line["name"]: line["data"] for line in daily["series"]}["silver"] == [0.0, pytest.approx(66.67)]


def chart(page: AppTest, alt: str) -> dict[str, Any]:
    for each in page.get("echarts_chart"):
        if each.proto.alt.startswith(alt):
            found: dict[str, Any] = json.loads(each.proto.spec)
            return found
    raise AssertionError(f"no chart {alt}")


@pytest.mark.usefixtures("tables")
def test_refused_rows_by_reason_with_the_newest_of_each(open_page: Open, tmp_path: Path) -> None:
    refuse(
        Home(tmp_path),
        ("2026-03-01T10:00", ["no_user"], b"first"),
        ("2026-03-01T10:01", ["no_user", "unknown_type"], NASTY.encode()),
        ("2026-03-02T10:00", ["no_user"], b"\xff"),
    )
    refuse(Home(tmp_path), ("2026-03-02T11:00", ["no_user"], b"x" * 10_000), first_offset=3)
    page = open_page("quality")
    assert not page.exception
    assert [(row["reason"], row["rows"], row["open"]) for row in rows(page, "open")] == [
        ("no_user", 4, 4),
        ("unknown_type", 1, 1),
    ]
    examples = [(row["reason"], row["coordinates"], row["value"]) for row in rows(page, "coordinates")]
    assert examples == [
        ("no_user", "topic-1/0/3", "x" * 200),
        ("no_user", "topic-1/0/2", "\\xff"),
        ("no_user", "topic-1/0/1", NASTY),
        ("unknown_type", "topic-1/0/1", NASTY),
    ]
    bars = chart(page, "Refused rows")["series"]
    assert {line["name"]: sum(line["data"]) for line in bars} == {"no_user": 4, "unknown_type": 1}


@pytest.mark.usefixtures("tables")
def test_a_home_without_tables_is_said_in_one_line(open_page: Open, tmp_path: Path) -> None:
    Home(tmp_path).tables.rmdir()
    page = open_page("quality")
    assert not page.exception
    assert "the tables are not on this machine" in said(page)


@pytest.mark.usefixtures("tables")
def test_the_books_are_drawn_up_by_the_writer_when_asked_and_kept_with_their_time(
    open_page: Open, tmp_path: Path
) -> None:
    asked = list[Mapping[str, Any]]()

    def writer(job: str, arguments: Mapping[str, Any], progress: Progress) -> Any:
        assert job == "audit"
        asked.append(arguments)
        progress("bronze and silver")
        return {"agrees": False, "full": True, "balances": [line("a", 1_000, 1_000), line("b", 7, 6)], "lag": 3}

    with JobServer(Home(tmp_path), writer):
        page = open_page("quality")
        assert asked == []
        assert "Not checked yet" in said(page)
        page.checkbox(key="full_books").check()
        page.button(key="check_books").click().run()
    assert not page.exception
    assert asked == [{"full": True}]
    assert [(row["Agrees"], row["Balance"], row["Count"], row["Its count"]) for row in rows(page, "Balance")] == [
        (False, "b", "7", "6"),
        (True, "a", "1,000", "1,000"),
    ]
    assert "1 of 2 do not agree" in said(page)
    assert "3 events were in Kafka only" in said(page)
    page.run()
    assert len(asked) == 1
    assert "1 of 2 do not agree" in said(page)


def line(name: str, left: int, right: int) -> dict[str, Any]:
    return {
        "name": name,
        "left": "read",
        "left_value": left,
        "right": "in bronze",
        "right_value": right,
        "note": "",
        "agrees": left == right,
    }


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("runs", [True, False])
def test_books_that_cannot_be_drawn_up_say_why(open_page: Open, tmp_path: Path, runs: bool) -> None:
    def writer(*_: Any) -> Any:
        raise LakehouseError("audit: Postgres does not answer, so its side cannot be counted")

    server = JobServer(Home(tmp_path), writer)
    with server:
        page = open_page("quality")
        if runs:
            page.button(key="check_books").click().run()
    if not runs:
        page.button(key="check_books").click().run()
    assert not page.exception
    assert ("its side cannot be counted" if runs else "the writer is not running") in said(page)


@pytest.mark.usefixtures("tables")
def test_data_docs_are_linked_where_they_are_served(open_page: Open, endpoints: Endpoints, tmp_path: Path) -> None:
    assert "There are no Data Docs" in said(open_page("quality"))
    replace(endpoints, quality="http://127.0.0.1:8502").save(Home(tmp_path))
    page = open_page("quality")
    assert [button.proto.url for button in page.get("link_button")] == ["http://127.0.0.1:8502"]
    assert "lakehouse quality report" in said(page)
