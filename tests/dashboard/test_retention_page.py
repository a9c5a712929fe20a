"""The page Retention as a person sees it, and what it works out of the mirror's cells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dashboard_tables import Open, Tables
from streamlit.testing.v1 import AppTest

from dashboard.retention.charts import OPEN_OPACITY, active_users, heat_map
from dashboard.retention.grid import active, average, grid
from dashboard.retention.queries import Cells, Unit
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home

MONDAY = date(2026, 3, 2)


def cells(unit: Unit, last: date, *rows: tuple[date, int, int]) -> Cells:
    """Rows are cohort, period, users."""
    cohorts = pl.DataFrame(list(rows), {"cohort": pl.Date, "period": pl.Int64, "users": pl.Int64}, orient="row")
    schema = {"begin": pl.Date, "new": pl.Int64, "returning": pl.Int64}
    return Cells(unit, MONDAY, last, cohorts, pl.DataFrame([(MONDAY, 4, 1)], schema, orient="row"))


WEEKS = cells(
    Unit.WEEK,
    MONDAY + timedelta(weeks=2),
    (MONDAY, 0, 4),
    (MONDAY, 1, 1),
    (MONDAY, 2, 2),
    (MONDAY + timedelta(weeks=1), 0, 1),
    (MONDAY + timedelta(weeks=2), 0, 3),
)
IN_THE_LAST_WEEK = datetime(2026, 3, 18, tzinfo=UTC)


def test_a_period_without_users_is_a_cell_of_none_and_one_that_lies_ahead_is_none() -> None:
    found = grid(WEEKS, IN_THE_LAST_WEEK)

    assert found.select("period", "users", "size", "share").rows() == [
        (0, 4, 4, 1.0),
        (1, 1, 4, 0.25),
        (2, 2, 4, 0.5),
        (0, 1, 1, 1.0),
        (1, 0, 1, 0.0),
        (0, 3, 3, 1.0),
    ]


@pytest.mark.parametrize(
    ("watermark", "final"),
    [
        (None, [False, False, False]),
        (datetime(2026, 3, 8, 23, 59, 59, tzinfo=UTC), [False, False, False]),
        (datetime(2026, 3, 9, tzinfo=UTC), [True, False, False]),
        (datetime(2026, 3, 23, tzinfo=UTC), [True, True, True]),
    ],
)
def test_a_period_is_final_once_the_watermark_has_passed_its_end(watermark: datetime | None, final: list[bool]) -> None:
    first_cohort = grid(WEEKS, watermark).filter(pl.col("cohort") == MONDAY)

    assert first_cohort["is_final"].to_list() == final
    assert active(WEEKS, watermark)["is_final"].to_list() == final


def test_the_average_counts_users_and_not_cohorts_and_only_what_is_final() -> None:
    found = average(grid(WEEKS, IN_THE_LAST_WEEK))

    assert found.rows() == [(0, 1.0, 2), (1, 0.25, 1)]


def test_days_without_new_users_have_a_row_and_no_cells() -> None:
    found = grid(cells(Unit.DAY, MONDAY + timedelta(days=1), (MONDAY, 0, 2)), None)

    assert found.select("cohort", "share").rows() == [
        (MONDAY, 1.0),
        (MONDAY, 0.0),
        (MONDAY + timedelta(days=1), None),
    ]
    options = heat_map(found, Unit.DAY)
    assert options["yAxis"]["data"] == ["2026-03-02", "2026-03-03"]
    assert [len(dataset["source"]) for dataset in options["dataset"]] == [0, 2]


def test_what_is_not_final_is_faint_and_the_own_period_does_not_stretch_the_scale() -> None:
    options = heat_map(grid(WEEKS, IN_THE_LAST_WEEK), Unit.WEEK)

    final, faint = (dataset["source"] for dataset in options["dataset"])
    assert final.rows()[:2] == [("0", "2026-03-02", 100.0, 4, 4, "100"), ("1", "2026-03-02", 25.0, 1, 4, "25.0")]
    assert faint.select("period", "cohort").rows() == [("2", "2026-03-02"), ("1", "2026-03-09"), ("0", "2026-03-16")]
    assert options["series"][1]["itemStyle"] == {"opacity": OPEN_OPACITY}
    assert options["visualMap"]["max"] == 50.0


def test_active_users_are_the_new_ones_and_those_who_returned() -> None:
    new, returning = active_users(active(WEEKS, IN_THE_LAST_WEEK))["series"]

    assert [point["value"] for point in new["data"]] == [4, 0, 0]
    assert [point["value"] for point in returning["data"]] == [1, 0, 0]
    assert [point.get("itemStyle") == {"opacity": OPEN_OPACITY} for point in new["data"]] == [False, False, True]


def said(page: AppTest) -> str:
    """Everything that is shown outside of tables and charts."""
    parts = [*page.markdown, *page.caption, *page.text, *page.code]
    return "\n".join(str(part.value) for part in parts)


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def numbers(page: AppTest) -> pl.DataFrame:
    (frame,) = page.dataframe
    return pl.from_pandas(frame.value).with_columns(pl.col("cohort").cast(pl.Date))


def weeks(tables: Tables) -> None:
    """Three weekly cohorts, and the same users by day."""
    tables.windows(("2026-03-18T10:00", "view", 9))
    tables.status("gold", watermark=IN_THE_LAST_WEEK)
    tables.cohort("week", "2026-03-02", 1_000, 300, 100)
    tables.cohort("week", "2026-03-09", 500, 50)
    tables.cohort("week", "2026-03-16", 7)
    tables.cohort("day", "2026-03-16", 4, 0, 1)
    tables.cohort("day", "2026-03-18", 3)


def test_cohorts_by_week_with_their_numbers(open_page: Open, tables: Tables) -> None:
    weeks(tables)

    page = open_page("retention")

    assert not page.exception
    assert metrics(page) == {"New users": "1507", "Back after 1 week": "30.0 %", "Back after 4 weeks": "—"}
    assert numbers(page).rows() == [
        (date(2026, 3, 2), 1_000, 300, 100),
        (date(2026, 3, 9), 500, 50, None),
        (date(2026, 3, 16), 7, None, None),
    ]
    assert "Faint cells are not final: their week ends after 2026-03-18 00:00:00 UTC" in said(page)


def test_the_unit_comes_from_the_address(open_page: Open, tables: Tables) -> None:
    weeks(tables)

    page = open_page("retention", unit="day")

    assert not page.exception
    assert numbers(page)["cohort"].to_list() == [date(2026, 3, day) for day in (16, 17, 18)]
    assert numbers(page)["0"].to_list() == [4, 0, 3]
    assert "their day ends after" in said(page)


@pytest.mark.parametrize(("chosen", "cohorts"), [({}, 12), ({"weeks": "8"}, 8), ({"weeks": "26"}, 20)])
def test_as_many_cohorts_as_the_address_says_back_from_the_newest(
    open_page: Open, tables: Tables, chosen: dict[str, Any], cohorts: int
) -> None:
    tables.windows(("2026-03-18T10:00", "view", 9))
    for week in range(20):
        tables.cohort("week", str(MONDAY - timedelta(weeks=week)), 10 + week)

    page = open_page("retention", **chosen)

    shown = numbers(page)["cohort"].to_list()
    assert (len(shown), shown[-1]) == (cohorts, MONDAY)


def test_cells_that_have_no_users_any_more_are_no_cohorts(open_page: Open, tables: Tables) -> None:
    tables.windows(("2026-03-18T10:00", "view", 9))
    tables.cohort("week", "2026-02-23", 0, 0)
    tables.cohort("week", "2026-03-02", 5, 0)
    tables.cohort("week", "2026-03-16", 0)

    assert numbers(open_page("retention")).rows() == [(MONDAY, 5)]


def test_without_a_watermark_nothing_is_final(open_page: Open, tables: Tables) -> None:
    tables.windows(("2026-03-18T10:00", "view", 9))
    tables.cohort("week", "2026-03-02", 10, 5)

    page = open_page("retention")

    assert "there is no watermark yet" in said(page)
    assert "No cohort has a week behind it yet" in said(page)
    assert metrics(page)["Back after 1 week"] == "—"


def test_events_before_the_first_cohorts_say_when_these_come(open_page: Open, tables: Tables) -> None:
    tables.windows(("2026-03-18T10:00", "view", 9))

    page = open_page("retention")

    assert not page.exception
    assert "There are events, and no cohorts yet" in said(page)
    assert "every 300 s" in said(page)
    assert not page.metric


@pytest.mark.usefixtures("tables")
def test_no_data_says_how_to_make_some(open_page: Open) -> None:
    assert "lakehouse produce --events 10000" in said(open_page("retention"))


def test_postgres_away_is_said_and_the_next_refresh_recovers(
    open_page: Open, endpoints: Endpoints, tables: Tables, tmp_path: Path
) -> None:
    weeks(tables)
    nobody = replace(endpoints, postgres_reader="postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse")
    nobody.save(Home(tmp_path))
    page = open_page("retention")
    assert not page.exception
    assert "127.0.0.1:1" in said(page)
    assert not page.dataframe

    endpoints.save(Home(tmp_path))
    page.run()

    assert metrics(page)["New users"] == "1507"
