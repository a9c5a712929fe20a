"""The colours of charts, which no checker of pages sees: told apart by whoever looks, and seen on what lies behind.

Colour blindness is simulated as by Machado et al. (2009), at its full; distances are of CAM02-UCS (Luo et al. 2006), in
which 1 is about the least that can be seen.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from colorspacious import cspace_convert, deltaE
from page_colours import BACKGROUNDS, THEME

from dashboard.pipeline.charts import COLOURS
from dashboard.retention.charts import INK, SCALE

VISIONS = ("normal", "protanomaly", "deuteranomaly", "tritanomaly")
LEAST_DISTANCE = 12.0
"""Between two series of any chart: a line's colour is still found again in the legend."""
LEAST_OF_FIRST = 15.0
"""Between the first four, which are all that most charts have."""
LEAST_CONTRAST = 3.0
"""WCAG 2.2, 1.4.11: of what is no text."""
LEAST_OF_TEXT = 4.5
"""WCAG 2.2, 1.4.3."""


def rgb(colour: str) -> np.ndarray:
    """``"#0072B2"`` as three shares of 1."""
    return np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def seen(colour: str, vision: str) -> np.ndarray:
    """As somebody of that vision sees it."""
    if vision == "normal":
        return rgb(colour)
    space = {"name": "sRGB1+CVD", "cvd_type": vision, "severity": 100}
    return np.clip(cspace_convert(rgb(colour), space, "sRGB1"), 0, 1)


def distances(colours: list[str], vision: str) -> dict[tuple[str, str], float]:
    """Of each two of them."""
    return {
        (one, other): float(deltaE(seen(one, vision), seen(other, vision), input_space="sRGB1"))
        for one, other in combinations(colours, 2)
    }


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    channels = rgb(colour)
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it: from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", BACKGROUNDS)
@pytest.mark.parametrize("vision", VISIONS)
def test_series_of_one_chart_are_told_apart(theme: str, vision: str) -> None:
    colours = THEME[theme]["chartCategoricalColors"]

    assert {pair: apart for pair, apart in distances(colours, vision).items() if apart < LEAST_DISTANCE} == {}
    assert {pair: apart for pair, apart in distances(colours[:4], vision).items() if apart < LEAST_OF_FIRST} == {}


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_series_are_seen_on_their_background(theme: str) -> None:
    contrasts = {colour: contrast(colour, BACKGROUNDS[theme]) for colour in THEME[theme]["chartCategoricalColors"]}

    assert {colour: found for colour, found in contrasts.items() if found < LEAST_CONTRAST} == {}


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_a_chart_of_one_series_has_the_colour_of_the_page(theme: str) -> None:
    assert THEME[theme]["chartCategoricalColors"][0] == THEME[theme]["primaryColor"]
    assert len(THEME[theme]["chartCategoricalColors"]) == COLOURS


@pytest.mark.parametrize("vision", VISIONS)
def test_cells_of_cohorts_grow_darker_to_every_eye_and_their_numbers_are_read(vision: str) -> None:
    lightness = [cspace_convert(seen(colour, vision), "sRGB1", "CAM02-UCS")[0] for colour in SCALE]

    assert all(lighter - darker > 3 for lighter, darker in pairwise(lightness))
    assert min(contrast(INK, colour) for colour in SCALE) >= LEAST_OF_TEXT


def test_the_formulas_are_those_of_the_standards() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)
    grey = [float(value) for value in seen("#7F7F7F", "deuteranomaly")]
    assert grey == pytest.approx([0.498] * 3, abs=0.01)
