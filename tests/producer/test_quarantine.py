"""Refused rows: counted, shown, written out, corrected, and sent again, each once."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from lakehouse.commits import Commit
from lakehouse.contracts import SilverQuarantine
from lakehouse.errors import LakehouseError
from lakehouse.frames import arrow_schema
from lakehouse.home import Home
from lakehouse.replacements import HEADER
from lakehouse.settings import Settings
from lakehouse.store import TableStore
from producer.client import Headers
from producer.quarantine.commands import _planned, quarantine
from producer.quarantine.fixes import read
from producer.quarantine.resend import Outcome, ReplayStopped, send
from producer.quarantine.rows import Quarantine, Selection
from producer.stop import Stop


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{time}:00+00:00")


def of(offset: int) -> str:
    return f"topic-1/0/{offset}"


def row(offset: int, value: bytes | None, *reasons: str, **more: Any) -> dict[str, Any]:
    replaces = more.pop("replaces", None)
    return {
        "source_id": "topic-1",
        "partition": 0,
        "offset": offset,
        "key": b"ann",
        "value": value,
        "headers": None if replaces is None else [{"key": "a", "value": b"\xff"}, {"key": HEADER, "value": replaces}],
        "topic": "user_events",
        "kafka_timestamp": at(f"10:{offset:02}"),
        "ingested_at": at("11:00"),
        "ingest_date": at("11:00").date(),
        "reasons": list(reasons),
        "quarantined_at": at("11:00"),
        **more,
    }


TELEPORT, CHEAP, BINARY = b'{"event_type": "teleport"}', b'{"price": "cheap"}', b"\xff{\x1b[2J"
ROWS = (
    row(0, TELEPORT, "unknown_type"),
    row(1, CHEAP, "unknown_type", "wrong_type:price"),
    row(2, BINARY, "unreadable_json"),
    row(3, CHEAP, "wrong_type:price", resolved_by="topic-1/0/9"),
    row(4, None, "unreadable_json"),
)


@dataclass
class Refused:
    home: Home
    store: TableStore

    def put(self, *rows: dict[str, Any]) -> None:
        table = pa.Table.from_pylist(rows, schema=arrow_schema(SilverQuarantine))
        self.store.append(SilverQuarantine, table, Commit("silver", 0, self.store.version(SilverQuarantine)))

    def say(self, *arguments: str) -> str:
        """What `lakehouse quarantine ARGUMENTS` prints."""
        done = CliRunner().invoke(quarantine, [*arguments, "--home", str(self.home.root)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    def ask(self, *arguments: str) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = json.loads(self.say(*arguments, "--json"))
        return answer

    def plan(
        self, fix: Path | None = None, on_their_way: Sequence[str] = (), **selection: Any
    ) -> tuple[dict[str, str], Outcome]:
        """Which rows would be sent, and as replacements of which."""
        corrections = None if fix is None else (fix, read(fix))
        planned: tuple[dict[str, str], Outcome] = _planned(
            Quarantine(self.home), Selection(**selection), corrections, set(on_their_way)
        )
        return planned


@pytest.fixture
def refused(settings: Settings, tmp_path: Path) -> Refused:
    home = Home(tmp_path / "a home").make()
    changed = settings.model_copy(update={"home": home.root, "commit_engine": "delta-rs"})
    store = TableStore(home, changed, cast(SparkSession, None))
    store.create_all()
    found = Refused(home, store)
    found.put(*ROWS)
    return found


@dataclass
class Sent:
    messages: list[tuple[bytes | None, bytes | None, dict[str, bytes]]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return len(self.messages)

    def send(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        self.messages.append((key, value, dict(headers)))

    def flush(self, timeout_s: float | None = None) -> None: ...

    def close(self) -> None: ...


def test_reasons_are_counted_with_times_and_examples(refused: Refused) -> None:
    found = {each["reason"]: each for each in refused.ask("list")}

    assert {name: (each["rows"], each["open"]) for name, each in found.items()} == {
        "unknown_type": (2, 2),
        "wrong_type:price": (2, 1),
        "unreadable_json": (2, 2),
    }
    assert found["wrong_type:price"]["examples"] == [of(3), of(1)]
    assert datetime.fromisoformat(found["wrong_type:price"]["first"]) == at("10:01")
    assert datetime.fromisoformat(found["wrong_type:price"]["last"]) == at("10:03")
    assert "unreadable_json" in refused.say("list")


def test_rows_are_shown_whole_newest_first_and_cannot_steer_the_terminal(refused: Refused) -> None:
    rows = refused.ask("show", "--reason", "unreadable_json")

    assert [(each["coordinates"], each["value"]) for each in rows] == [(of(4), None), (of(2), "\\xff{\x1b[2J")]
    assert rows[1]["kafka_timestamp"] == "2026-03-01T10:02:00+00:00"
    shown = refused.say("show", "--reason", "unreadable_json")
    assert "\x1b" not in shown and "{\\x1b[2J" in shown


@pytest.mark.parametrize(
    ("arguments", "offsets"),
    [
        (["--where", "value LIKE '%price%'"], [3, 1]),
        (["--where", "value LIKE '%price%' AND kafka_timestamp > '2026-03-01T10:02:00'"], [3]),
        (["--where", "array_contains(reasons, 'unknown_type') OR offset = 4"], [4, 1, 0]),
        (["--reason", "wrong_type:price", "--open"], [1]),
        (["--limit", "2"], [4, 3]),
        (["--reason", "nobody knows"], []),
    ],
)
def test_rows_are_chosen(refused: Refused, arguments: list[str], offsets: list[int]) -> None:
    assert [each["coordinates"] for each in refused.ask("show", *arguments)] == [of(offset) for offset in offsets]


@pytest.mark.parametrize("where", ["nope = 1", "value LIKE", "1; DROP TABLE x"])
def test_a_condition_that_cannot_be_read_is_named_with_the_columns(refused: Refused, where: str) -> None:
    with pytest.raises(LakehouseError, match=r"--where .*the columns are coordinates, reasons, value") as error:
        refused.ask("show", "--where", where)

    assert len(str(error.value).splitlines()) == 1


def edited_json(file: Path) -> None:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0]["value"] = {"event_type": "view", "price": 12.50}
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))


def edited_csv(file: Path) -> None:
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    rows[0]["value"] = '{"event_type":"view","price":12.5}'
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def edited_parquet(file: Path) -> None:
    rows = pl.read_parquet(file)
    better = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit('{"event_type":"view","price":12.5}')).otherwise("value")
    rows.with_columns(better.alias("value")).write_parquet(file)


@pytest.mark.parametrize(("suffix", "edit"), [("jsonl", edited_json), ("csv", edited_csv), ("parquet", edited_parquet)])
def test_what_is_written_out_can_be_corrected_and_sent(
    refused: Refused, tmp_path: Path, suffix: str, edit: Callable[[Path], None]
) -> None:
    file = tmp_path / f"rows.{suffix}"
    refused.say("export", "--out", str(file), "--where", "offset IN (0, 1, 2, 4)")
    assert refused.plan(file)[1].unchanged == 4, "what nobody has changed is not sent"

    edit(file)
    planned, outcome = refused.plan(file)
    sender = Sent()
    done = send(Quarantine(refused.home).rows(Selection()), planned, read(file), outcome, sender, Stop(), print)

    assert (done.selected, done.sent, done.unchanged) == (4, 1, 3)
    [(key, value, headers)] = sender.messages
    assert (key, json.loads(value or b""), headers) == (
        b"ann",
        {"event_type": "view", "price": 12.5},
        {HEADER: of(0).encode()},
    )


def test_rows_are_sent_as_they_were_received(refused: Refused) -> None:
    planned, outcome = refused.plan()
    sender = Sent()

    done = send(Quarantine(refused.home).rows(Selection()), planned, {}, outcome, sender, Stop(), print)

    assert (done.selected, done.sent, done.resolved) == (5, 4, 1)
    assert sender.messages == [
        (b"ann", value, {HEADER: of(offset).encode()})
        for offset, value in ((0, TELEPORT), (1, CHEAP), (2, BINARY), (4, None))
    ]


def test_a_row_whose_replacement_is_on_its_way_is_not_sent_again(refused: Refused) -> None:
    planned, outcome = refused.plan(on_their_way=[of(0), of(2), "anything"])

    assert set(planned) == {of(1), of(4)}
    assert (outcome.sent, outcome.on_their_way, outcome.resolved) == (2, 2, 1)
    assert outcome.sentence == "5 rows: 2 sent; 1 resolved before, 2 sent before and on their way"


def test_one_message_is_sent_for_a_row_and_the_attempts_at_it(refused: Refused, tmp_path: Path) -> None:
    refused.put(
        row(20, CHEAP, "wrong_type:price", replaces=of(0).encode()),
        row(21, TELEPORT, "unknown_type", replaces=of(0).encode()),
    )

    planned, outcome = refused.plan(where="offset IN (0, 20, 21)")
    assert planned == {of(21): of(0)}
    assert (outcome.sent, outcome.other_attempt) == (1, 2)
    sender = Sent()
    send(Quarantine(refused.home).rows(Selection()), planned, {}, outcome, sender, Stop(), print)
    assert sender.messages == [(b"ann", TELEPORT, {"a": b"\xff", HEADER: of(0).encode()})]

    file = tmp_path / "both.jsonl"
    file.write_text("".join(json.dumps({"coordinates": of(n), "value": "{}"}) + "\n" for n in (0, 20)))
    with pytest.raises(LakehouseError, match="are attempts at one row"):
        refused.plan(file)


def test_a_row_refused_for_its_header_is_sent_only_where_that_is_asked_for(refused: Refused) -> None:
    refused.put(row(20, CHEAP, "replaces_nothing", replaces=b"topic-1/0/77"))

    assert of(20) not in refused.plan()[0]
    assert refused.plan(reason="replaces_nothing")[0] == {of(20): of(20)}


def test_a_replay_that_is_stopped_says_what_was_sent(refused: Refused) -> None:
    planned, outcome = refused.plan()
    stop = Stop()
    stop.set()

    with pytest.raises(ReplayStopped, match="5 rows: 0 sent"):
        send(Quarantine(refused.home).rows(Selection()), planned, {}, outcome, Sent(), stop, print)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("f.xlsx", "", "must end in .jsonl, .ndjson, .csv, .parquet"),
        ("f.jsonl", None, "there is no such file"),
        ("f.jsonl", "", "it has no rows"),
        ("f.jsonl", '{"coordinates": "a/0/0", "value": ', "line 1 is not a JSON object"),
        ("f.jsonl", '{"value": "x"}', "line 1 has no coordinates"),
        ("f.jsonl", '\n{"coordinates": "a/0/0"}', "line 2 has no value"),
        ("f.jsonl", '{"coordinates": "a/0/0", "value": 3}', "line 1: value must be a text or a JSON object"),
        ("f.csv", "coordinates,value\na/0/0,x\na/0/0,y\n", "line 3 and line 2 are of one row, a/0/0"),
        ("f.csv", "coordinates,value\na/0/0,x\n", "line 2: a/0/0 is not in quarantine"),
        ("f.parquet", "no Parquet", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(
    refused: Refused, tmp_path: Path, name: str, text: str | None, reason: str
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)

    with pytest.raises(LakehouseError, match=reason) as error:
        refused.plan(file)

    assert str(file) in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_home_without_a_quarantine_is_named(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=f"silver.quarantine: is not under {tmp_path}"):
        Quarantine(Home(tmp_path))


def test_an_empty_quarantine_is_no_error(settings: Settings, tmp_path: Path) -> None:
    home = Home(tmp_path).make()
    store = TableStore(home, settings.model_copy(update={"home": home.root}), cast(SparkSession, None))
    store.create_all()
    refused = Refused(home, store)

    assert refused.ask("list") == refused.ask("show") == []
    assert refused.plan() == ({}, Outcome(0, 0, 0, 0, 0, 0, 0, 0, dry_run=False))
