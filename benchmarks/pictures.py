"""Pictures of the dashboard's pages, light and dark, of a desktop and a phone; and what there is to be seen on them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import numpy as np
from PIL import Image
from playwright.sync_api import Browser

from benchmarks import browser as chromium
from benchmarks.browser import DESKTOP, PHONE, SCHEMES, Scheme, Screen
from dashboard.database import rows, snapshot
from lakehouse.contracts import SIMULATED_MODEL
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError

TALLEST: Final = 6_000
"""Pixels of a picture; whatever is below them is cut."""
COLOURS: Final = 256
EARLIER_SHARE: Final = 2 / 3
"""Of a file's lines: what comes first, for the rest to be a change."""

_MOST_TO_SEE: Final = """
SELECT user_id FROM raw_events JOIN churn_prediction AS scored USING (user_id)
WHERE scored.churn_probability IS NOT NULL
GROUP BY user_id ORDER BY count(*) FILTER (WHERE event_type = 'purchase') DESC, count(*) DESC, user_id LIMIT 1
"""
_SCORED_BY_SIMULATED: Final = "SELECT EXISTS (SELECT FROM churn_prediction WHERE model_version LIKE %(begin)s) AS there"


@dataclass(frozen=True)
class Views:
    """How pages are opened."""

    everywhere: Mapping[str, str] = field(default_factory=dict)
    """Of the address, by parameter."""
    of_page: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What is chosen on a page beside that, by its name: without it there would be nothing to see."""

    def __getitem__(self, page: str) -> dict[str, str]:
        return {**self.everywhere, **self.of_page.get(page, {})}


def user_with_most_to_see(endpoints: Endpoints) -> str | None:
    """The one with the most purchases, then events, of those with a score; None where there is none, or no Postgres."""
    try:
        with snapshot(endpoints.postgres_reader) as cursor:
            found = rows(cursor, _MOST_TO_SEE)
    except LakehouseError:
        return None
    return found[0].user_id if found else None


def scores_are_of_own_model(endpoints: Endpoints) -> bool:
    """Whether no user has a score of the model of simulated data any more."""
    with snapshot(endpoints.postgres_reader) as cursor:
        (found,) = rows(cursor, _SCORED_BY_SIMULATED, {"begin": f"{SIMULATED_MODEL}%"})
    return not found.there


def take(browser: Browser, address: str, views: Views, folder: Path) -> Iterator[Path]:
    """Each page on each screen in each scheme, into ``folder``. Raises LakehouseError where one is not drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in chromium.pages():
        for screen in (DESKTOP, PHONE):
            for scheme in SCHEMES:
                target = folder / f"{name}-{screen.name}-{scheme}.png"
                _picture(browser, chromium.url(address, name, views[name]), screen, scheme, target)
                yield target


def _picture(browser: Browser, url: str, screen: Screen, scheme: Scheme, target: Path) -> None:
    """The whole page, in few colours: flat areas and text look the same in a third of the bytes."""
    page = chromium.blank(browser, screen, scheme)
    chromium.visit(page, url)
    height = min(TALLEST, chromium.whole_height(page))
    page.set_viewport_size({"width": screen.width, "height": max(screen.height, height)})
    chromium.wait_until_drawn(page)
    page.screenshot(path=target, animations="disabled")
    page.context.close()
    with Image.open(target) as full:
        few = in_few_colours(full)
    few.save(target, optimize=True)


def in_few_colours(full: Image.Image) -> Image.Image:
    """Its `COLOURS` most frequent colours as they are, and each other one as the nearest of these.

    Pillow's own ways make means of what is alike, and of the pale grounds of a light page that is all of them: they
    come out white.
    """
    pixels = np.asarray(full.convert("RGB"), dtype=np.int32)
    codes = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    found, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, (found >> 8) & 255, found & 255], axis=1)
    kept = colours[np.sort(np.argsort(-counts, kind="stable")[:COLOURS])]
    nearest = np.array([np.argmin(((kept - colour) ** 2).sum(axis=1)) for colour in colours], dtype=np.uint8)
    few = Image.fromarray(nearest[places].reshape(codes.shape), mode="P")
    few.putpalette(kept.astype(np.uint8).tobytes())
    return few


def in_two(file: Path, folder: Path) -> tuple[Path, Path] | None:
    """A CSV file, or one with gzip, as two in ``folder``, each with its head: the first `EARLIER_SHARE` of the lines,
    and the rest. None for a file of another kind.

    A line of the rest that is among the first ones too goes there: equal lines of one file are different events, and
    those of two files are not.
    """
    if not file.name.endswith((".csv", ".csv.gz")):
        return None
    with _opened(file, "rb") as source:
        head, *lines = source.readlines()
    cut = round(EARLIER_SHARE * len(lines))
    first = set(lines[:cut])
    parts = folder / f"earlier-{file.name}", folder / f"later-{file.name}"
    with ExitStack() as opened:
        earlier, later = (opened.enter_context(_opened(part, "wb")) for part in parts)
        for part in (earlier, later):
            part.write(head)
        for number, line in enumerate(lines):
            (earlier if number < cut or line in first else later).write(line)
    return parts


def _opened(file: Path, mode: str) -> IO[bytes]:
    return gzip.open(file, mode) if file.suffix == ".gz" else file.open(mode)  # type: ignore[return-value]
