"""Reading a file of events line by line, whatever its format and compression, never whole.

Every line of data comes out as one ``Row`` or one ``BadLine``; a file read twice gives the same ones in the same
order, on which the two passes of a replay stand.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from pydantic_core import from_json, to_json

from lakehouse.errors import LakehouseError

MAX_LINE_CHARS: Final = 1_048_576
"""Longest line that is looked at: a longer one could not be a Kafka message, and must not fill the memory."""

BYTE_ORDER_MARK: Final = "\ufeff"
"""Before the first line of what some programs write as UTF-8."""

EMPTY_LINE: Final = "empty line"
NOT_UTF8: Final = "not UTF-8"
NOT_CSV: Final = "not CSV"
NOT_JSON: Final = "not a JSON object"
WRONG_COLUMNS: Final = "wrong number of columns"
TOO_LONG: Final = "line too long"

_FORMATS: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
_COMPRESSIONS: Final = (".gz", ".zst", ".bz2")
_BUFFER_BYTES: Final = 1 << 18
_PARQUET_ROWS: Final = 4096
_SEPARATOR: Final = "\x1f"
_NESTED: Final = frozenset((dict, list))

_strict_json: Final = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str
).encode


class Row(NamedTuple):
    """One line of data, read but not judged."""

    line: int
    """Line of the file where it begins, as an editor counts; for Parquet the row, from 1."""
    values: dict[str, Any]
    """Column to value: text in CSV, typed in JSON and Parquet."""
    canonical: bytes
    """The whole content, free of the order of columns and of quoting: equal lines have equal bytes."""
    text: str
    """The line as it stands; empty for Parquet."""


class BadLine(NamedTuple):
    """One line of data that is not a row."""

    line: int
    reason: str
    """One of this module's reasons."""
    detail: str
    text: str


Line = Row | BadLine


class DamagedFile(LakehouseError):
    """The file ends in the middle or is damaged; every line before that has been read."""


def file_format(path: Path) -> tuple[str, str]:
    """The format (csv, jsonl or parquet) and the compression (.gz, .zst, .bz2 or none) that a name says.

    Raises LakehouseError where it says neither.
    """
    name, compression = path, ""
    if path.suffix in _COMPRESSIONS:
        name, compression = path.with_suffix(""), path.suffix
    kind = _FORMATS.get(name.suffix)
    if kind is None or (kind == "parquet" and compression):
        raise LakehouseError(
            f"{path}: the name must end in .csv, .jsonl, .ndjson or .json, each also with .gz, .zst or .bz2 "
            "after it, or in .parquet"
        )
    return kind, compression


def read_columns(path: Path) -> list[str] | None:
    """The columns of ``path``; None for JSON lines, where each line has its own.

    Raises LakehouseError where the file cannot be read, is empty, or names a column twice.
    """
    kind, _ = file_format(path)
    if kind == "jsonl":
        with _opened(path):
            return None
    if kind == "parquet":
        columns = list(_parquet_file(path).schema_arrow.names)
    else:
        with _opened(path) as file:
            columns = _header(path, file)[0]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise LakehouseError(f"{path}: the header names the column {twice[0]!r} twice")
    return columns


def read_lines(path: Path) -> Iterator[Line]:
    """Every line of data of ``path`` in order; the header line of a CSV is none.

    Raises LakehouseError where the file cannot be opened, DamagedFile where it cannot be read to its end.
    """
    kind, _ = file_format(path)
    if kind == "parquet":
        yield from _parquet_rows(path)
        return
    with _opened(path) as file:
        if kind == "jsonl":
            yield from _json_rows(_physical_lines(path, file, read=0))
        else:
            columns, lines = _header(path, file)
            yield from _csv_rows(columns, _physical_lines(path, file, read=lines), read=lines)


def _opened(path: Path) -> io.TextIOWrapper:
    _, compression = file_format(path)
    try:
        raw: Any
        if compression == ".gz":
            raw = gzip.open(path)  # noqa: SIM115 - the wrapper below closes it
        elif compression == ".bz2":
            raw = bz2.open(path)  # noqa: SIM115
        elif compression == ".zst":
            import pyarrow as pa

            raw = io.BufferedReader(pa.input_stream(str(path), compression="zstd"), _BUFFER_BYTES)
        else:
            raw = path.open("rb", buffering=_BUFFER_BYTES)
    except OSError as error:
        raise LakehouseError(f"{path}: cannot be read: {error.strerror or error}") from None
    # Bytes that are not UTF-8 come through as surrogates, so that one bad line is refused, not the file.
    return io.TextIOWrapper(cast(IO[bytes], raw), encoding="utf-8", errors="surrogateescape", newline="\n")


def _physical_lines(path: Path, file: io.TextIOWrapper, read: int) -> Iterator[str]:
    """The lines as they stand, a longer one than MAX_LINE_CHARS cut; ``read`` lines were read before."""
    number = read
    readline = file.readline
    try:
        while line := readline(MAX_LINE_CHARS):
            if len(line) == MAX_LINE_CHARS:
                _skip_to_end_of_line(line, readline)
            if number == 0:
                # Not by utf-8-sig: a file that ends within what begins like the mark would lose its only line.
                line = line.removeprefix(BYTE_ORDER_MARK)
                if not line:
                    return
            number += 1
            yield line
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise DamagedFile(f"{path}: damaged or cut off after line {number:,}: {error}") from None


def _skip_to_end_of_line(line: str, readline: Callable[[int], str]) -> None:
    while line and not line.endswith("\n"):
        line = readline(MAX_LINE_CHARS)


def _header(path: Path, file: io.TextIOWrapper) -> tuple[list[str], int]:
    """The columns of a CSV, and how many lines its header takes."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in _physical_lines(path, file, read=0):
            taken += 1
            yield line

    try:
        columns = next(csv.reader(lines(), strict=True), [])
    except csv.Error as error:
        raise LakehouseError(f"{path}: the header line is not CSV: {error}") from None
    if not columns or not _is_utf8("".join(columns)):
        raise LakehouseError(f"{path}: no header line that names the columns, in UTF-8")
    return columns, taken


def _csv_rows(columns: list[str], lines: Iterator[str], read: int) -> Iterator[Line]:
    """Rows of a CSV, whose cells may hold line ends inside quotes.

    Where such a record turns out wrong, only its first line is refused and the others are read anew: one quote too
    many must not swallow the good lines after it.
    """
    pushed_back: deque[str] = deque()
    taken: list[str] = []

    def fed() -> Iterator[str]:
        while True:
            line = pushed_back.popleft() if pushed_back else next(lines, None)
            if line is None:
                return
            taken.append(line)
            yield line

    canonical = _canonical_csv(columns)
    reader = csv.reader(fed(), strict=True)
    number = read + 1
    while True:
        taken.clear()
        bad: tuple[str, str] | None = None
        cells: list[str] = []
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad = NOT_CSV, str(error)
            # A reader that met the end inside quotes is exhausted, and lines may yet be pushed back.
            reader = csv.reader(fed(), strict=True)
        text = taken[0] if len(taken) == 1 else "".join(taken)
        if bad is None and len(cells) != len(columns):
            bad = (WRONG_COLUMNS, f"{len(cells)} where the header names {len(columns)}") if cells else (EMPTY_LINE, "")
        if len(text) >= MAX_LINE_CHARS and (bad is None or len(taken) == 1):
            bad = TOO_LONG, f"more than {MAX_LINE_CHARS:,} characters"
        if bad is not None:
            if len(taken) > 1:
                pushed_back.extendleft(reversed(taken[1:]))
            yield BadLine(number, *bad, taken[0])
            number += 1
            continue
        try:
            yield Row(number, dict(zip(columns, cells, strict=True)), canonical(cells), text)
        except UnicodeEncodeError:
            yield BadLine(number, NOT_UTF8, "", text)
        number += len(taken)


def _canonical_csv(columns: list[str]) -> Callable[[list[str]], bytes]:
    order = sorted(range(len(columns)), key=columns.__getitem__)
    in_order: Callable[[list[str]], Iterable[str]]
    in_order = itemgetter(*order) if len(order) > 1 else list
    separators = len(columns) - 1

    def canonical(cells: list[str]) -> bytes:
        joined = _SEPARATOR.join(in_order(cells))
        if joined.count(_SEPARATOR) != separators:  # a cell holds the separator: then quote the cells
            joined = _strict_json(list(in_order(cells)))
        return joined.encode()

    return canonical


def _json_rows(lines: Iterator[str]) -> Iterator[Line]:
    for number, text in enumerate(lines, start=1):
        if len(text) >= MAX_LINE_CHARS:
            yield BadLine(number, TOO_LONG, f"more than {MAX_LINE_CHARS:,} characters", text)
        elif text.isspace():
            yield BadLine(number, EMPTY_LINE, "", text)
        else:
            yield _json_row(number, text)


def _json_row(number: int, text: str) -> Line:
    try:
        values = from_json(text, allow_inf_nan=False)  # half the time of the standard library
        if not isinstance(values, dict):
            return BadLine(number, NOT_JSON, f"a JSON {type(values).__name__}", text)
        return Row(number, values, _canonical(values), text)
    except UnicodeEncodeError:
        return BadLine(number, NOT_UTF8, "", text)
    except (ValueError, TypeError, RecursionError) as error:  # TypeError: text that holds bytes which are no UTF-8
        reason = NOT_JSON if _is_utf8(text) else NOT_UTF8
        return BadLine(number, reason, str(error), text)


def _parquet_file(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise LakehouseError(f"{path}: cannot be read as Parquet: {error}") from None


def _parquet_rows(path: Path) -> Iterator[Line]:
    import pyarrow as pa

    number = 0
    try:
        for batch in _parquet_file(path).iter_batches(_PARQUET_ROWS):
            for values in _in_microseconds(batch).to_pylist():
                number += 1
                yield _parquet_row(number, values)
    except (OSError, pa.ArrowException) as error:
        raise DamagedFile(f"{path}: damaged or cut off after row {number:,}: {error}") from None


def _in_microseconds(batch: Any) -> Any:
    """Nanoseconds cut to microseconds, which is what Python's times and the event contract hold."""
    import pyarrow as pa

    schema = batch.schema
    for index, field in enumerate(schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            schema = schema.set(index, field.with_type(pa.timestamp("us", field.type.tz)))
    return batch if schema is batch.schema else batch.cast(schema, safe=False)


def _parquet_row(number: int, values: dict[str, Any]) -> Line:
    # NaN is how pandas writes a missing number.
    values = {column: None if value != value else value for column, value in values.items()}
    try:
        return Row(number, values, _canonical(values), "")
    except (ValueError, TypeError) as error:
        return BadLine(number, NOT_JSON, str(error), "")


def _canonical(values: dict[str, Any]) -> bytes:
    """The values as JSON, keys sorted at every depth.

    Raises ValueError (UnicodeEncodeError where that is why) where JSON in UTF-8 cannot hold them.
    """
    if _NESTED.isdisjoint(map(type, values.values())):
        try:
            # A third of the time of the standard library's encoder, which however tells what is no JSON.
            fast = to_json(dict(sorted(values.items())), fallback=str)
        except ValueError:
            return _strict_json(values).encode()
        if b"NaN" not in fast and b"Infinity" not in fast:
            return fast
    return _strict_json(values).encode()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
