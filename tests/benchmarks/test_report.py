"""The report is made of the results' JSON and of nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import report
from lakehouse.errors import LakehouseError

RESULTS = Path(__file__).parent / "results.json"
"""Small results of every benchmark; of the peers one could not be installed."""


@pytest.fixture
def documents() -> dict[str, Any]:
    documents: dict[str, Any] = copy.deepcopy(report.gather([RESULTS]))
    return documents


def test_a_row_for_each_rate_and_table(documents: dict[str, Any]) -> None:
    page = report.render(documents)

    assert "| 200 | 200 | `raw_events` | 2.81 s | 5.64 s | 6.21 s | 6.35 s | 30 | 0 | -3.37 s |" in page


def test_a_contender_that_failed_is_said_with_its_reason(documents: dict[str, Any]) -> None:
    page = report.render(documents)

    assert "| quixstreams | failed | - | - | - |" in page
    assert "- quixstreams failed: it could not be installed: no such version" in page


def test_a_wrong_result_is_said_before_any_speed_is_believed(documents: dict[str, Any]) -> None:
    assert "**The result is right.**" in report.render(documents)

    documents["backlog"]["result"]["proof"]["is_right"] = False

    assert "**The result is WRONG.**" in report.render(documents)


def test_a_slope_has_its_interval(documents: dict[str, Any]) -> None:
    page = report.render(documents)

    assert "- A micro-batch: +71.31 ms for each thousand commits (-249.75 to +309.75), which is none that" in page


def test_a_fault_that_was_missed_is_said_to_be(documents: dict[str, Any]) -> None:
    page = report.render({"detection": documents["detection"]})

    assert "**Faults.** 1 of 2 were found." in page
    assert "| duplicates | one message in three is sent twice | `few_are_refused_or_copies` of silver.events |" in page
    assert "| `no_type_dries_up` of silver.events | **missed** | - | - | - |" in page


def test_what_the_validator_costs_is_the_median_of_the_runs(documents: dict[str, Any]) -> None:
    page = report.render({"validation": documents["validation"]})

    assert "| validator | `funnel_summary` | 1.32 s (1.15 s to 1.48 s) |" in page
    assert "| no validator | 53.0 s (49.7 s to 56.2 s) | 18,947 (17,790 to 20,105) |" in page


def test_a_load_that_misses_the_goal_is_counted(documents: dict[str, Any]) -> None:
    page = report.render({"scoring": documents["scoring"]})

    assert "| 1 | 300 | 4 ms | 9 ms | 21 ms | 40 ms | 0 | 0.62 |" in page
    assert "p99 is to be 15 ms at most: so it was in 1 of 2." in page
    assert "| JSON, three counts | none | 87,114 (80,000 to 90,000) | 42% |" in page


def test_a_page_that_takes_longer_than_it_may_is_counted_and_named(documents: dict[str, Any]) -> None:
    page = report.render({"pages": documents["pages"]})

    assert "behind it 10,000,000 simulated events of 48,000 users over 90 days" in page
    assert (
        "| churn | all users | 600 ms (500 ms to 900 ms) | 2.10 s (2.00 s to 2.40 s) | 1.20 s (900 ms to 1.30 s) | "
        "2.50 s | 3.00 s | 1.40 s (1.30 s to 1.50 s) |"
    ) in page
    assert (
        "2.00 s at most, newer data 1.00 s: so it was in 3 and 2 of 4 cases. Missed: churn (all users): newer data"
        in (page)
    )
    assert "churn (all users, events coming): first paint 2.50 s" in page


def test_what_many_browsers_cost_stands_beside_one_and_none(documents: dict[str, Any]) -> None:
    page = report.render({"pages": documents["pages"]})

    assert "3 with a page open each, live at the default refresh: now (2), funnel (1)." in page
    assert "| the dashboard's statements/s | 0.0 | 1.5 | 4.5 |" in page
    assert "| a refresh as seen, p50 | - | 200 ms | 600 ms |" in page
    assert "| funnel_windows | 5 | 50 ms | 10.0 ms | 31.5 ms |" in page


def test_pages_of_a_dashboard_of_somebody_elses_have_nothing_behind_them_that_is_known(
    documents: dict[str, Any],
) -> None:
    result = documents["pages"]["result"]
    result |= {"data": "", "behind": None, "crowd": [], "rate": 0}
    for page in result["pages"]:
        page |= {"with_events": None, "reads": []}

    rendered = report.render({"pages": documents["pages"]})

    assert "so it was in 2 and 1 of 2 cases." in rendered
    assert "Many browsers" not in rendered


def test_what_an_event_costs_is_said_by_stage_and_by_engine(documents: dict[str, Any]) -> None:
    page = report.render({"costs": documents["costs"]})

    assert "| `silver` | 60 ms | 1.05 s | 50 ms | 10.0 µs |" in page
    assert "### spark commits" in page
    assert "| `silver` | 510 ms | 1.50 s | 500 ms | 10.0 µs |" in page
    assert "| rows of `funnel_summary` that are there | 60,000 |" in page


def test_memory_over_its_budget_stands_out(documents: dict[str, Any]) -> None:
    assert "**over**" not in report.render(documents)

    documents["footprint"]["result"]["idle"]["memory"]["api"]["peak"] = 900.0

    assert "| api | 200 MiB | 900 MiB **over** |" in report.render(documents)


def test_figures_of_a_quick_run_or_a_busy_machine_are_called_so(documents: dict[str, Any]) -> None:
    page = report.render({"footprint": documents["footprint"]})
    assert "A quick run, to see that it works: no figures to go by." in page
    assert "Others kept 1.1 cores busy meanwhile: not a quiet machine." in page

    page = report.render({"backlog": documents["backlog"]})
    assert "quick run" not in page
    assert "not a quiet machine" not in page


def test_new_results_replace_those_of_before_and_others_are_kept(tmp_path: Path, documents: dict[str, Any]) -> None:
    docs, results = tmp_path / "docs", tmp_path / "results"
    docs.mkdir()
    results.mkdir()
    (docs / "benchmarks.json").write_bytes(RESULTS.read_bytes())
    newer = documents["freshness"] | {"benchmark": "freshness", "format": 1, "seconds": 4321.0}
    (results / "freshness.json").write_text(json.dumps(newer))

    report.write(results, docs)

    written = json.loads((docs / "benchmarks.json").read_text())["benchmarks"]
    assert list(written) == [
        "freshness",
        "backlog",
        "growth",
        "scoring",
        "detection",
        "validation",
        "pages",
        "footprint",
        "costs",
    ]
    assert written["freshness"]["seconds"] == 4321.0
    assert written["backlog"] == documents["backlog"]
    assert ElementTree.parse(docs / "benchmarks.svg").getroot().tag.endswith("svg")  # noqa: S314 (our own file)
    assert "![The benchmarks in pictures](benchmarks.svg)" in (docs / "benchmarks.md").read_text()


def test_the_same_results_give_the_same_report(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "benchmarks.json").write_bytes(RESULTS.read_bytes())
        report.write(tmp_path / "none", tmp_path / folder)

    for name in ("benchmarks.json", "benchmarks.md", "benchmarks.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "is no JSON"), ('{"format": 0}', "is of another format")],
)
def test_a_result_that_cannot_be_read_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "backlog.json").write_text(text)

    with pytest.raises(LakehouseError, match=rf"backlog\.json {reason}"):
        report.write(tmp_path, tmp_path / "docs")


def test_without_results_it_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match="python -m benchmarks all"):
        report.write(tmp_path, tmp_path / "docs")
