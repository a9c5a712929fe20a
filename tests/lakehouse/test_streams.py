"""A query that takes one batch in each turn of its stage, and plans the next one only then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse.commits import Commit
from lakehouse.contracts import BronzeEvents
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import EngineLost
from lakehouse.frames import Frame
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore
from lakehouse.streams import QueryStage, Turnstile

LIMIT_S = 30.0


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], None]], threading.Thread]]:
    started: list[threading.Thread] = []

    def start(work: Callable[[], None]) -> threading.Thread:
        started.append(threading.Thread(target=work))
        started[-1].start()
        return started[-1]

    yield start
    for thread in started:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def test_a_batch_waits_for_a_turn_and_uses_it_up(in_thread: Callable[..., threading.Thread]) -> None:
    turnstile = Turnstile()
    done: list[int] = []

    def query() -> None:
        for number in range(2):
            turnstile.enter()
            done.append(number)
            turnstile.leave()
            turnstile.hold()

    in_thread(query)
    for turn in range(2):
        turnstile.grant()
        assert turnstile.wait_for_batch(LIMIT_S)
        assert done == list(range(turn + 1))
    turnstile.close()


def test_a_turn_that_no_batch_came_for_is_taken_back() -> None:
    turnstile = Turnstile()
    turnstile.grant()

    assert not turnstile.wait_for_batch(0.01)
    assert turnstile.withdraw()
    assert turnstile.wait_for_batch(0.01), "there is nothing to wait for any more"


def test_a_batch_that_comes_after_the_end_is_turned_away() -> None:
    turnstile = Turnstile()
    turnstile.close()

    with pytest.raises(EngineLost):
        turnstile.enter()


class Lines(QueryStage):
    """The lines of the files of a folder; a batch that holds `poison` fails."""

    name = "lines"
    target = BronzeEvents
    cap = 10

    def __init__(self, context: Context, folder: Path) -> None:
        super().__init__(context)
        self.folder = folder
        self.read: list[list[str]] = []
        self.batches: list[tuple[int, list[str]]] = []

    def has_work(self) -> bool:
        return True

    def source(self, after: Commit | None) -> DataFrame:
        assert after is None
        return self.context.spark.readStream.option("maxFilesPerTrigger", self.cap).text(str(self.folder))

    @contextmanager
    def gathered(self, rows: DataFrame) -> Iterator[pa.Table]:
        table = rows.toArrow()
        self.read.append(sorted(table["value"].to_pylist()))
        yield table

    def process(self, rows: Frame, commit: Commit) -> Commit:
        assert isinstance(rows, pa.Table)
        lines = sorted(rows["value"].to_pylist())
        if "poison" in lines:
            raise ValueError("poison")
        self.batches.append((commit.batch_id, lines))
        return commit.with_(rows_in=len(lines))


@pytest.fixture
def lines(spark: SparkSession, settings: Settings, tmp_path: Path) -> Iterator[Callable[[], Lines]]:
    home = Home(tmp_path / "home").make()
    store = TableStore(home, settings, spark)
    store.create_all()
    (tmp_path / "in").mkdir()
    opened: list[Lines] = []

    def start() -> Lines:
        context = Context(settings, home, Endpoints("", "", "", "", "", ""), spark, store, lambda _: None)
        opened.append(Lines(context, tmp_path / "in"))
        opened[-1].open()
        return opened[-1]

    yield start
    for stage in opened:
        stage.close()


def write(stage: Lines, name: str, text: str) -> None:
    """A file that is there all at once."""
    part = stage.folder / f".{name}.part"
    part.write_text(text)
    part.rename(stage.folder / name)


def test_what_comes_between_two_turns_is_in_the_next_batch(lines: Callable[[], Lines]) -> None:
    stage = lines()
    write(stage, "a", "one\n")
    stage.run()
    write(stage, "b", "two\n")
    write(stage, "c", "three\n")
    assert stage.batches == [(0, ["one"])]

    stage.run()

    assert stage.batches == [(0, ["one"]), (1, ["three", "two"])]
    stage.close()
    assert stage.checkpoint.committed == 1, "Spark has noted the last batch"


def test_in_a_backlog_the_next_batch_is_read_before_its_turn_and_committed_in_it(lines: Callable[[], Lines]) -> None:
    stage = lines()
    stage.cap, stage.reads_ahead = 1, True
    for name in ("a", "b", "c"):
        write(stage, name, f"{name}\n")

    stage.run()
    assert until(lambda: len(stage.read) == 2, LIMIT_S)
    assert len(stage.batches) == 1

    stage.run()
    stage.reads_ahead = False
    stage.run()

    assert [lines for _, lines in stage.batches] == stage.read
    assert sorted(line for _, [line] in stage.batches) == ["a", "b", "c"]


def test_a_batch_that_failed_is_given_again(lines: Callable[[], Lines]) -> None:
    stage = lines()
    write(stage, "a", "poison\n")
    for _ in range(2):
        with pytest.raises(ValueError, match="poison"):
            stage.run()
    write(stage, "a", "cured\n")

    stage.run()

    assert stage.batches == [(0, ["cured"])]
