"""What a page says, for every test of one."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest


def said(page: AppTest) -> str:
    """Everything that is shown outside of tables and charts."""
    parts = [*page.markdown, *page.caption, *page.text, *page.code, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts)


def rows(page: AppTest, column: str) -> list[dict[str, Any]]:
    """The rows of whichever table has the column, with None for what is missing, and a label for a list of one."""
    for frame in page.dataframe:
        if column in frame.value.columns:
            found = frame.value.astype(object)
            return [
                {name: _plain(value) for name, value in row.items()}
                for row in found.where(found.notna(), None).to_dict("records")
            ]
    raise AssertionError(f"no table has a column {column}: there are {[list(f.value.columns) for f in page.dataframe]}")


def _plain(value: Any) -> Any:
    found = value.tolist() if hasattr(value, "tolist") else value
    return found[0] if isinstance(found, list) and len(found) == 1 else found
