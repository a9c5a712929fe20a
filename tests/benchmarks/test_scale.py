"""The plan past one machine is computed from the results and from nothing else."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scale
from benchmarks.figures import Assumed, figures
from benchmarks.forecasts import most_events_per_s, on_a_cluster, one_machine
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings, load_settings

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


@pytest.fixture
def documents() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(RESULTS.read_text())["benchmarks"]
    return copy.deepcopy(told)


@pytest.fixture
def defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(home=tmp_path)


def cells(page: str, row: str) -> list[str]:
    """The cells of the row that begins with ``row``."""
    found = re.search(rf"^\| {re.escape(row)} \| (.+) \|$", page, flags=re.MULTILINE)
    assert found is not None, f"no row {row!r} in\n{page}"
    return found.group(1).split(" | ")


def test_a_stage_costs_what_a_line_through_its_batches_says(documents: dict[str, Any]) -> None:
    told = figures(documents)

    assert told.stages["silver"].fixed_s == pytest.approx(0.05)
    assert told.stages["silver"].per_event_s == pytest.approx(10e-6)
    assert told.cluster_stages["silver"].fixed_s == pytest.approx(0.5)


def test_the_writers_processor_is_shared_out_by_how_long_stages_take(documents: dict[str, Any]) -> None:
    told = figures(documents)
    whole = sum(told.stage_processor_s(name) for name in told.cluster_stages)

    assert whole == pytest.approx(2 * (15e-6 + 11e-6))
    assert told.stage_processor_s("silver") == pytest.approx(told.stage_processor_s("bronze") * 5)


def test_what_a_part_takes_goes_with_the_rate(documents: dict[str, Any], defaults: Settings) -> None:
    page = scale.render(documents, 1_000_000, defaults)

    assert cells(page, "messages, keys included") == ["250 bytes", "250 MB/s", "measured"]
    assert cells(page, "Kafka's disks, 3 copies")[:2] == ["50 bytes a copy", "150 MB/s, 90.7 TB in 168 h"]
    assert cells(page, "cores: Kafka, one copy")[:2] == ["2.0 µs", "2.0"]
    assert cells(page, "brokers")[1] == "8"
    assert cells(page, "workers of the API, scores every 60 s")[:2] == ["0.37 users", "18.3"]
    assert cells(scale.render(documents, 2_000_000, defaults), "cores: Kafka, one copy")[1] == "4.0"


def test_tables_a_day(documents: dict[str, Any], defaults: Settings) -> None:
    page = scale.render(documents, 1_000_000, defaults)

    assert cells(page, "`bronze.user_events`") == ["1.0000", "60.0", "5.18 TB", "20,250"]
    assert cells(page, "`gold.funnel_summary`")[0] == "0.1000"
    assert "silver.quarantine" not in page  # it has no rows


def test_a_batch_of_more_seconds_touches_fewer_rows_for_each_event(documents: dict[str, Any]) -> None:
    told = figures(documents)

    assert told.keys_touched(1.0) == pytest.approx(0.9)
    assert told.keys_touched(10.0) == pytest.approx(0.6)  # half way, by the logarithm
    assert told.keys_touched(1_000.0) == pytest.approx(0.3)  # beyond what was measured


def test_raw_events_are_the_first_that_no_longer_fit_and_aggregates_always_do(
    documents: dict[str, Any], defaults: Settings
) -> None:
    page = scale.render(documents, 1_000_000, defaults)
    rows = [line for line in page.splitlines() if line.startswith(("| all |", "| without", "| aggregates only"))]
    at_once = [row.strip("| ").split(" | ") for row in rows if row.split(" | ")[1] == "60 s"]

    fits = [int(row[3].replace(",", "")) for row in at_once[:2]]
    assert fits[0] < fits[1]
    assert at_once[2][3] == "any"


def test_one_machine_is_as_fresh_as_its_rounds_let_it_be(documents: dict[str, Any], defaults: Settings) -> None:
    slow = one_machine(figures(documents), 1_000, defaults)["funnel_summary"]

    assert slow is not None
    assert 0.75 < slow.p50 < slow.p95 < 3.0
    assert one_machine(figures(documents), 60_000, defaults)["funnel_summary"] is None
    assert 20_000 < most_events_per_s(figures(documents), defaults) < 60_000


def test_a_cluster_keeps_up_once_it_has_the_cores_and_the_partitions(documents: dict[str, Any]) -> None:
    told = figures(documents)

    assert on_a_cluster(told, 1_000_000, 5.0, 128, 4, Assumed()) is None
    assert on_a_cluster(told, 1_000_000, 5.0, 4, 128, Assumed()) is None
    fast = on_a_cluster(told, 1_000_000, 5.0, 128, 64, Assumed())
    assert fast is not None
    assert fast.p50 > 2.5 + 0.5 + 1.0 + 1.0  # half the interval and what each commit costs


def test_without_costs_what_freshness_and_a_backlog_tell_is_taken(
    documents: dict[str, Any], defaults: Settings
) -> None:
    del documents["costs"]
    told, page = figures(documents), scale.render(documents, 1_000_000, defaults)
    backlog = documents["backlog"]["result"]
    ours = next(contest for contest in backlog["contests"] if contest["name"] == "lakehouse")
    worked_s = (2 - ours["others_cores"]) * ours["seconds"]["median"]

    assert told.worked_s is not None
    assert sum(told.worked_s.values()) == pytest.approx(worked_s / backlog["topic"]["messages"])
    assert cells(page, "messages")[0] == f"{backlog['topic']['bytes'] / backlog['topic']['messages']:,.0f} bytes"
    assert "Kafka's disks" not in page


def test_without_any_of_them_it_says_what_to_measure(documents: dict[str, Any]) -> None:
    del documents["costs"], documents["backlog"]

    with pytest.raises(LakehouseError, match="python -m benchmarks costs"):
        figures(documents)


def test_tables_take_the_place_of_those_before(documents: dict[str, Any], defaults: Settings, tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    page.write_text(f"# Scale\n\n{scale.BEGIN}\n\nthose before\n\n{scale.END}\n\nThe end.\n")

    scale.write(documents, 1_000_000, defaults, page)
    once = page.read_text()
    scale.write(documents, 1_000_000, defaults, page)

    assert page.read_text() == once
    assert once.startswith("# Scale\n") and once.endswith("\n\nThe end.\n")
    assert "those before" not in once and "### Postgres" in once
    with pytest.raises(LakehouseError, match="has no lines"):
        scale.replaced("# Scale\n", "tables")


def test_the_page_has_a_place_for_the_tables() -> None:
    assert scale.replaced(PAGE.read_text(), "tables").count("tables\n") == 1
