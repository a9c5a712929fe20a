"""What a judge says of expectations that cannot be judged, of parts of a table, and of expectations of users."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings
from quality.data_docs import site
from quality.facts import Facts
from quality.judge import Judge, merged
from quality.suite import Suite, load_suites
from quality.verdicts import Severity, Verdict
from tests.quality.clean_rows import rows

OWN = """
import great_expectations.expectations as gxe
from quality.suite import Expected
from quality.verdicts import Severity


def expectations(settings):
    return {
        "silver.events": [
            Expected("products_are_there", "Every event has a product.", Severity.warn,
                     gxe.ExpectColumnValuesToNotBeNull(column="product_id")),
            Expected("shops_are_there", "Every event has a shop.", Severity.alarm,
                     gxe.ExpectColumnValuesToNotBeNull(column="shop")),
        ]
    }
"""


def suites(folder: Path, settings: Settings, **files: str) -> dict[str, Suite]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return load_suites(settings.model_copy(update={"quality_suites": folder}))


def judged(settings: Settings, loaded: dict[str, Suite], table: str) -> dict[str, Verdict]:
    judge = Judge(settings, {table: loaded[table]})
    columns = [name for name in loaded[table].columns() if name in rows(table).column_names]
    return {verdict.expectation: verdict for verdict in judge.judge(table, rows(table).select(columns), Facts())}


def test_expectations_of_ones_own_are_judged_beside_the_rest(tmp_path: Path, settings: Settings) -> None:
    found = judged(settings, suites(tmp_path, settings, shop=OWN), "silver.events")

    own = found["products_are_there"]
    assert (own.success, own.severity, own.unexpected_count) == (False, Severity.warn, 1)
    assert own.examples[0]["event_id"] == "e7"
    assert found["types_are_known"].success


def test_an_expectation_on_a_column_that_is_not_there_says_so_and_the_others_are_judged(
    tmp_path: Path, settings: Settings
) -> None:
    found = judged(settings, suites(tmp_path, settings, shop=OWN), "silver.events")

    missing = found["shops_are_there"]
    assert (missing.success, missing.error) == (None, "silver.events has no column shop; mend the expectation")
    assert sum(verdict.success is None for verdict in found.values()) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("def expectations(", "mine.py does not load: SyntaxError", id="no Python"),
        pytest.param("import no_such_package", "mine.py does not load: ModuleNotFoundError", id="a package is missing"),
        pytest.param("x = 1", "it has no function expectations(settings)", id="without the function"),
        pytest.param("def expectations(s): return {'silver.events': [1]}", "1 is no quality.suite.Expected", id="1"),
        pytest.param("def expectations(s): return {'silver.eventz': []}", "no table 'silver.eventz'", id="where"),
        pytest.param(
            OWN.replace("products_are_there", "types_are_known"),
            "silver.events has an expectation 'types_are_known' already",
            id="a name that is taken",
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_told_in_one_line_and_the_rest_is_judged(
    tmp_path: Path, settings: Settings, text: str, reason: str
) -> None:
    found = judged(settings, suites(tmp_path, settings, mine=text), "silver.events")

    error = found["suite_file_1"].error
    assert error is not None and reason in error and "\n" not in error
    assert found["types_are_known"].success


def test_a_folder_of_suites_that_is_not_there_is_an_error_of_the_settings(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_QUALITY_SUITES=.*there is no such folder"):
        load_suites(settings.model_copy(update={"quality_suites": tmp_path / "nowhere"}))


def test_what_fails_in_one_part_of_a_table_has_failed_and_counts_are_added(judge: Judge) -> None:
    wrong = rows("silver.events", {"event_type": "teleport"}, {"event_type": "x", "event_id": "e8"})
    parts = [rows("silver.events"), wrong, rows("silver.events", {"event_type": "y", "event_id": "e9"})]

    found = {v.expectation: v for v in merged(judge.judge("silver.events", part, Facts()) for part in parts)}

    whole = found["types_are_known"]
    assert (whole.success, whole.unexpected_count, whole.observed["rows"]) == (False, 3, 4)
    assert [example["event_type"] for example in whole.examples] == ["teleport", "x", "y"]
    assert found["user_id_is_there"].success


def test_a_judge_keeps_nothing_of_what_it_judged(judge: Judge) -> None:
    judge.judge("gold.funnel_windows", rows("gold.funnel_windows"), Facts())
    assert list(judge.context.validation_results_store.list_keys()) == []


def test_data_docs_show_the_newest_runs_only(tmp_path: Path, settings: Settings) -> None:
    table = "gold.funnel_windows"
    settings = settings.model_copy(update={"quality_docs_kept": 2})
    home = Home(tmp_path)

    for start in range(2):  # of a process that is started again
        judge = Judge(settings, {table: load_suites(settings)[table]}, docs=home)
        for number in range(2):
            judge.judge(table, rows(table, {"num_events": start * 2 + number}), Facts())
            judge.publish()

    pages = list(site(home).glob("validations/**/*.html"))
    assert len(pages) == 2
    assert "a window without an event of a type has no row" in pages[0].read_text()
    index = (site(home) / "index.html").read_text()
    assert all(page.parent.name in index for page in pages)


def test_rows_are_judged_whatever_engine_wrote_their_strings(judge: Judge) -> None:
    table = rows("silver.duplicates")
    views = table.set_column(
        table.schema.get_field_index("event_id"), "event_id", table["event_id"].cast(pa.string_view())
    )
    assert all(verdict.success for verdict in judge.judge("silver.duplicates", views, Facts()))


def test_text_of_events_is_no_markup_in_data_docs(tmp_path: Path, settings: Settings) -> None:
    table, script = "silver.events", "<script>alert(1)</script>"
    judge = Judge(settings, {table: load_suites(settings)[table]}, docs=Home(tmp_path))
    judge.judge(table, rows(table, {"event_type": script, "user_id": script, "event_id": script}), Facts())
    judge.publish()
    pages = [page.read_text() for page in site(Home(tmp_path)).glob("**/*.html")]
    assert any("alert(1)" in page for page in pages)
    assert not any(script in page for page in pages)


FAILING_VIEWS = """
import great_expectations.expectations as gxe
from quality.suite import Expected
from quality.verdicts import Severity


def expectations(settings):
    def one(rows, facts, settings):
        return rows.select("event_type").head(1)

    first, one_more = one, lambda rows, facts, settings: 1 / 0
    one_more.__name__ = "one"
    in_set = gxe.ExpectColumnValuesToBeInSet(column="event_type", value_set=["view"])
    return {
        "silver.events": [
            Expected("a", "A view.", Severity.warn, in_set, of=first, needs=["event_type"]),
            Expected("b", "One of the same name that fails.", Severity.warn, in_set, of=one_more),
        ]
    }
"""


def test_views_of_ones_own_are_judged_each_by_itself(tmp_path: Path, settings: Settings) -> None:
    found = judged(settings, suites(tmp_path, settings, views=FAILING_VIEWS), "silver.events")
    assert found["a"].examples == [{"event_type": "purchase"}]
    assert (found["b"].success, found["b"].error) == (None, "silver.events one 2: ZeroDivisionError: division by zero")
    assert found["types_are_known"].success
