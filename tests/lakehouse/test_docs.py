"""The pages under docs/ say what the code does."""

from __future__ import annotations

from pathlib import Path

from lakehouse.settings import Settings

SETTINGS_PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_stands_in_the_docs_with_its_default_and_meaning() -> None:
    page = SETTINGS_PAGE.read_text()

    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = "" if default is None else f"`{default}`"
        assert f"| `LAKEHOUSE_{name.upper()}` | {shown} | {field.description} |" in page
