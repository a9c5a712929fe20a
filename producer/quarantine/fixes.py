"""Rows written out to be corrected, and read back: JSON lines, CSV or Parquet, by the file's name."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.errors import LakehouseError
from producer.quarantine.rows import COORDINATES

SUFFIXES: Final = (".jsonl", ".ndjson", ".csv", ".parquet")

_COLUMNS: Final = (COORDINATES, Q.reasons, Q.kafka_timestamp, Q.resolved_by, Q.message_key, Q.value)
_decode: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class Fix:
    """What a file says of one row."""

    value: str | None
    key: str | None
    """None where the file has no column of that name."""
    where: str
    """Its line, for people."""


def suffix_of(file: Path, option: str) -> str:
    """Raises LakehouseError for a name from which no format can be told."""
    if file.suffix not in SUFFIXES:
        raise LakehouseError(f"{option} {file}: the name must end in {', '.join(SUFFIXES)}")
    return file.suffix


def write(rows: Iterable[pl.DataFrame], file: Path) -> int:
    """Writes ``rows`` to ``file``, which is replaced once all are written; returns how many they are.

    Raises LakehouseError where it cannot be written.
    """
    suffix, part = suffix_of(file, "--out"), file.with_name(f"{file.name}.part")
    try:
        if suffix == ".parquet":
            parts = [each.select(_COLUMNS) for each in rows]
            found = pl.concat(parts) if parts else pl.DataFrame(schema=dict.fromkeys(_COLUMNS, pl.String))
            found.write_parquet(part)
            count = found.height
        else:
            count = _write_lines(rows, part, suffix)
        part.replace(file)
    except OSError as error:
        raise LakehouseError(f"--out {file}: cannot be written ({error.strerror or error})") from None
    return count


def read(file: Path) -> dict[str, Fix]:
    """The corrections of ``file`` by coordinates. Raises LakehouseError naming the line that is wrong."""
    suffix = suffix_of(file, "--fix")
    try:
        lines = _parquet(file) if suffix == ".parquet" else _csv(file) if suffix == ".csv" else _json_lines(file)
        fixes: dict[str, Fix] = {}
        for where, row in lines:
            at, fix = _fix(file, where, row)
            if at in fixes:
                raise LakehouseError(f"--fix {file}: {where} and {fixes[at].where} are of one row, {at}; leave one out")
            fixes[at] = fix
    except FileNotFoundError:
        raise LakehouseError(f"--fix {file}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error, pl.exceptions.PolarsError) as error:
        raise LakehouseError(f"--fix {file}: cannot be read ({' '.join(str(error).split())[:200]})") from None
    if not fixes:
        raise LakehouseError(f"--fix {file}: it has no rows; `lakehouse quarantine export` writes such a file")
    return fixes


def _fix(file: Path, where: str, row: Mapping[str, Any]) -> tuple[str, Fix]:
    at, value, key = row.get(COORDINATES), row.get(Q.value), row.get(Q.message_key)
    if not isinstance(at, str) or not at:
        raise LakehouseError(f"--fix {file}: {where} has no {COORDINATES}, so the row that it corrects is not known")
    if Q.value not in row:
        raise LakehouseError(f"--fix {file}: {where} has no {Q.value}")
    if isinstance(value, dict):
        value = _encode(value).decode()
    if not (value is None or isinstance(value, str)) or not (key is None or isinstance(key, str)):
        raise LakehouseError(
            f"--fix {file}: {where}: {Q.value} must be a text or a JSON object, {Q.message_key} a text"
        )
    return at, Fix(value, key, where)


def _json_lines(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield f"line {number}", _decode(line)
            except msgspec.MsgspecError as error:
                raise LakehouseError(f"--fix {file}: line {number} is not a JSON object ({error})") from None


def _csv(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    csv.field_size_limit(1 << 24)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            yield f"line {reader.line_num}", row


def _parquet(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in enumerate(pl.read_parquet(file).iter_rows(named=True), 1):
        yield f"row {number}", row


def _write_lines(rows: Iterable[pl.DataFrame], file: Path, suffix: str) -> int:
    count = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        if suffix == ".csv":
            writer.writerow(_COLUMNS)
        for each in rows:
            for row in each.select(_COLUMNS).iter_rows(named=True):
                count += 1
                if suffix == ".csv":
                    writer.writerow([_cell(value) for value in row.values()])
                else:
                    out.write(_encode(row).decode() + "\n")
    return count


def _cell(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else "" if value is None else value
