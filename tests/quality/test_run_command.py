"""`lakehouse quality run`, without a stack."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from lakehouse.commits import Commit
from lakehouse.contracts import QualityResults, SilverEvents
from lakehouse.errors import LakehouseError
from quality.commands import quality
from quality.inspection import Inspector
from tests.quality.clean_rows import at, rows
from tests.quality.lake import Lake, message


def run(lake: Lake, *arguments: str) -> Any:
    result = CliRunner().invoke(quality, ["run", "--no-record", "--home", str(lake.home.root), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def shop(lake: Lake) -> Lake:
    lake.bring(message("view", at("10:01")), message("view", at("10:02"), user="bob"))
    lake.bring(message("purchase", at("10:03"), price=3, currency="EUR"))
    return lake


def test_all_tables_are_judged_and_clean_ones_exit_0(shop: Lake) -> None:
    result = run(shop, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["met"], document["problems"]) == (0, True, [])
    assert [each["table_name"] for each in document["runs"]][:2] == ["bronze.user_events", "silver.events"]
    assert {each["table_name"]: each["num_rows"] for each in document["runs"]}["silver.events"] == 1


def test_what_is_not_met_is_shown_with_its_reason_and_examples_and_exits_1(shop: Lake) -> None:
    bad = rows("silver.events", {"event_type": "teleport", "offset": 3})
    shop.store.append(SilverEvents, bad, Commit("silver", 1, 9, offsets={"topic-1/0": 4}, rows_in=1, rows_out=1))
    result = run(shop, "silver.events")
    assert result.exit_code == 1
    assert "halt: silver.events: types_are_known" in result.stdout
    assert '"event_id": "e7"' in result.stdout


def test_a_version_and_the_whole_table_can_be_asked_for(shop: Lake) -> None:
    first = json.loads(run(shop, "silver.events", "--version", "1", "--json").stdout)["runs"][0]
    whole = json.loads(run(shop, "silver.events", "--full", "--json").stdout)["runs"][0]
    assert (first["mode"], first["num_rows"]) == ("new", 2)
    assert (whole["mode"], whole["num_rows"]) == ("full", 3)


def test_rows_that_a_recorded_run_has_judged_are_not_judged_again(shop: Lake, inspector: Inspector) -> None:
    recorded = inspector.new("silver.events", 0, 1)
    shop.store.append(QualityResults, recorded.rows(), Commit("quality", 0, 1, validated={"silver.events": 1}))
    (found,) = json.loads(run(shop, "silver.events", "--json").stdout)["runs"]
    assert (found["first_version"], found["last_version"], found["num_rows"]) == (2, 2, 1)

    shop.store.append(
        QualityResults,
        inspector.new("silver.events", 2, 2).rows(),
        Commit("quality", 0, 2, validated={"silver.events": 2}),
    )
    (found,) = json.loads(run(shop, "silver.events", "--json").stdout)["runs"]
    assert (found["first_version"], found["last_version"], found["num_rows"]) == (3, 2, 0)


def test_a_version_that_is_not_kept_is_told_and_the_other_tables_are_judged(shop: Lake) -> None:
    (shop.home.table("silver.events") / "_delta_log" / f"{1:020}.json").unlink()
    result = run(shop, "silver.events", "silver.quarantine", "--version", "1", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, [each["table_name"] for each in document["runs"]]) == (1, [])
    assert [problem.split(":")[0] for problem in document["problems"]] == ["silver.events", "silver.quarantine"]


def test_a_table_that_is_none_is_refused(shop: Lake) -> None:
    with pytest.raises(LakehouseError, match=r"silver\.eventz: no such table; known are bronze\.user_events, "):
        run(shop, "silver.eventz")
