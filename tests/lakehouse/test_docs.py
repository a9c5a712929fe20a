"""The pages under docs/ say what the code does."""

from __future__ import annotations

from pathlib import Path

from lakehouse.faultpoints import POINTS
from lakehouse.settings import Settings
from silver.predicates import AGAINST_OTHERS, predicates

SETTINGS_PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
RELIABILITY_PAGE = SETTINGS_PAGE.with_name("reliability.md")


def test_every_setting_stands_in_the_docs_with_its_default_and_meaning() -> None:
    page = SETTINGS_PAGE.read_text()

    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = "" if default in (None, "") else f"`{default}`"
        assert f"| `LAKEHOUSE_{name.upper()}` | {shown} | {field.description} |" in page


def test_every_reason_for_refusing_a_message_stands_in_the_docs() -> None:
    page = (SETTINGS_PAGE.parent / "bad-input.md").read_text()

    reasons = [predicate.reason for predicate in predicates(Settings())] + [*AGAINST_OTHERS]
    for reason in reasons:
        assert f"| `{reason.partition(':')[0]}{':FIELD' if ':' in reason else ''}` |" in page


def test_every_fault_point_stands_in_the_docs_with_what_it_means() -> None:
    page = RELIABILITY_PAGE.read_text()

    for name, meaning in POINTS.items():
        assert f"| `{name}` | {meaning} |" in page
