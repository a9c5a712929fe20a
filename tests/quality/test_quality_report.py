"""The report: one page, from what the tables hold, for a reader outside the team."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from quality.commands import quality
from quality.report_command import parse_since
from quality.verdicts import Run, Severity, Verdict
from tests.quality.report_home import write_copies, write_events, write_refused, write_run

START = datetime(2026, 3, 2, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>"
VOID = {"meta", "link", "br", "img", "input", "hr"}


def run(home: Path, *arguments: str) -> str:
    result = CliRunner().invoke(quality, ["report", "--home", str(home), *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of 28 days of 20 views and 5 purchases an hour; on two days no purchase came."""
    root = tmp_path_factory.mktemp("report")
    home = Home(root / "home").make()
    hours = [START + timedelta(hours=hour) for hour in range(28 * 24)]
    lost = (START + timedelta(days=14), START + timedelta(days=16))
    times = [("view", hour + timedelta(minutes=2 * number)) for hour in hours for number in range(20)]
    times += [
        ("purchase", hour + timedelta(minutes=10 * number))
        for hour in hours
        if not lost[0] <= hour < lost[1]
        for number in range(5)
    ]
    write_events(home, pl.DataFrame(times, schema=["event_type", "event_time"], orient="row"))
    write_copies(home, [START + timedelta(hours=3)] * 7)
    write_refused(home, [(START, ["not_json"]), (START, ["unknown_type", HOSTILE])])
    verdicts = [
        Verdict("types_are_known", "t", "event_type", Severity.halt, "Every type is known.", True),
        Verdict("prices_are_sane", "t", "price", Severity.warn, "No price is below 0.", False, 3, 3, [{"id": HOSTILE}]),
    ]
    write_run(home, Run("silver.events@0-3", "silver.events", "new", 0, 3, 900, START, 0.4, verdicts))
    out = root / "quality.html"
    run(home.root, "--out", str(out))
    return out.read_text()


def test_it_begins_with_what_matters(page: str) -> None:
    (headline,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    assert "1 tracking outage" in headline


def test_the_outage_is_told_in_words_with_its_days(page: str) -> None:
    assert "<strong>purchase</strong>: none" in page
    assert "Whole days without one: 16\N{EN DASH}17 March 2026." in page


def test_what_is_not_met_stands_with_its_reason(page: str) -> None:
    assert "prices_are_sane" in page
    assert "No price is below 0." in page


def test_text_of_events_is_data(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_it_loads_nothing_from_anywhere(page: str) -> None:
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)[^"']+|url\((?!["']?#)[^)]+|@import""", page)


def test_it_is_well_formed(page: str) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
            if tag not in VOID:
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert page.count("<svg") >= 4


def test_a_time_without_events_has_no_outage_to_tell_of(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    write_events(home, pl.DataFrame({"event_type": ["view"], "event_time": [START]}))

    said = run(home.root, "--since", "2030-01-01", "--out", str(tmp_path / "q.html"))

    assert said.startswith("No event in this time; nothing has been judged yet.")


def test_a_home_without_events_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"nothing to report; start `lakehouse up`"):
        run(tmp_path / "home", "--out", str(tmp_path / "q.html"))


@pytest.mark.parametrize(
    ("out", "reason"), [("missing/q.html", "there is no folder"), (".", "is a folder; name a file in it")]
)
def test_a_wrong_out_is_said_in_one_line(tmp_path: Path, out: str, reason: str) -> None:
    with pytest.raises(LakehouseError, match=reason):
        run(tmp_path / "home", "--out", str(tmp_path / out))


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("7d", timedelta(days=7)),
        ("90m", timedelta(minutes=90)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_since_is_a_moment_or_a_length(text: str, means: datetime | timedelta) -> None:
    assert parse_since(text) == means


@pytest.mark.parametrize("text", ["yesterday", "7", "-3d", ""])
def test_a_wrong_since_names_what_is_meant(text: str) -> None:
    with pytest.raises(LakehouseError, match=r"as 2026-03-01 .* 7d"):
        parse_since(text)
