"""Pictures keep the pale grounds of a page, and a file in two parts keeps its events."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.pictures import COLOURS, Views, in_few_colours, in_two

WHITE, PALE, DARK = (255, 255, 255), (255, 241, 242), (158, 48, 59)


def test_a_pale_ground_stays_what_it_is_beside_more_colours_than_are_kept() -> None:
    full = Image.new("RGB", (400, 400), WHITE)
    full.paste(PALE, (10, 10, 60, 30))
    full.paste(DARK, (20, 15, 50, 25))
    for number in range(300):  # of a pixel each, as the edges of letters are
        full.putpixel((number, 200), (number % 256, 255 - number % 200, 7))

    few = in_few_colours(full)

    assert len(few.getcolors() or ()) <= COLOURS
    as_seen = few.convert("RGB")
    assert [as_seen.getpixel(at) for at in ((0, 0), (12, 12), (30, 20))] == [WHITE, PALE, DARK]
    apart = np.abs(np.asarray(as_seen, dtype=int) - np.asarray(full, dtype=int))
    assert apart.max() < 64


def test_a_file_in_two_parts_has_all_lines_once_and_equal_ones_in_one_part(tmp_path: Path) -> None:
    lines = [f"2025-03-0{day},view,ann\n" for day in (1, 1, 2, 3, 4, 1)]
    file = tmp_path / "events.csv.gz"
    with gzip.open(file, "wt") as text:
        text.write("time,type,user\n" + "".join(lines))

    parts = in_two(file, tmp_path)

    assert parts is not None
    (head, *earlier), (same, *later) = (
        gzip.decompress(part.read_bytes()).decode().splitlines(keepends=True) for part in parts
    )
    assert head == same == "time,type,user\n"
    assert (earlier, later) == ([*lines[:4], lines[5]], [lines[4]])


def test_a_file_of_another_kind_is_not_cut(tmp_path: Path) -> None:
    assert in_two(tmp_path / "events.parquet", tmp_path) is None


def test_a_page_is_opened_with_what_is_chosen_everywhere_and_on_it() -> None:
    views = Views({"range": "All"}, {"user": {"user": "a&b"}})
    assert (views["user"], views["now"]) == ({"range": "All", "user": "a&b"}, {"range": "All"})
