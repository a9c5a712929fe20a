"""The colours that the theme names are those that a browser draws, on the background that they are judged against."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import pytest
from dashboard_tables import Tables
from page_colours import BACKGROUNDS, THEME
from PIL import Image

from benchmarks.browser import SCHEMES, Scheme
from tests.dashboard.browser.seen import Open, Seen

pytestmark = [pytest.mark.slow, pytest.mark.long]


def drawn(seen: Seen) -> set[str]:
    """The colours of all pixels in sight."""
    picture = Image.open(BytesIO(seen.page.screenshot())).convert("RGB")
    found = picture.getcolors(picture.width * picture.height) or []
    return {"#{:02X}{:02X}{:02X}".format(*colour) for _, colour in found}


@pytest.mark.usefixtures("dashboard")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_charts_have_the_colours_of_the_theme_on_its_background(
    tables: Tables, open_page: Open, scheme: Scheme
) -> None:
    tables.windows(*((f"2025-03-01T10:{minute}0", kind, 50) for minute in "012" for kind in ("view", "purchase")))
    tables.status("gold", watermark=datetime(2025, 3, 2, tzinfo=UTC))

    colours = drawn(open_page("/", scheme=scheme, range="All"))

    assert BACKGROUNDS[scheme] in colours
    assert set(THEME[scheme]["chartCategoricalColors"][:2]) <= colours
