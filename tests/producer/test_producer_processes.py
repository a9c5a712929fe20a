"""The commands and the live simulator as processes, against a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.topic import end_offsets


@dataclass(frozen=True)
class Shell:
    """Runs this project's processes with a home and a topic of their own."""

    home: Path
    bootstrap: str
    topic: str

    @property
    def env(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
        own |= {"LAKEHOUSE_HOME": str(self.home), "LAKEHOUSE_KAFKA_BOOTSTRAP": self.bootstrap}
        return own | {"LAKEHOUSE_TOPIC": self.topic, "LAKEHOUSE_SIMULATOR_RATE": "200", "COLUMNS": "200"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lakehouse.cli", *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=120, check=False)

    def received(self) -> int:
        return sum(end_offsets(self.bootstrap, self.topic).values())


@pytest.fixture
def shell(kafka: str, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home", kafka, f"t-{uuid.uuid4()}")


def test_produce_sends_exactly_as_many(shell: Shell) -> None:
    done = shell.run("produce", "--events", "1234", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["events"] == sum(answer["by_kind"].values()) == shell.received() == 1234


def test_replay_answers_in_one_line_and_keeps_what_it_refused(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user_id,event_type,timestamp\nu1,view,2024-01-01\nu2,view\nu1,view,2024-01-01\n")
    done = shell.run("replay", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 lines: 2 produced, 1 refused (1 wrong number of columns), see ")
    assert done.stdout.count("\n") == 1
    assert "line 3 refused: wrong number of columns: 2 where the header names 3" in done.stderr
    assert shell.received() == 2
    [rejects] = (shell.home / "logs").glob("replay-rejects-*.jsonl")
    assert json.loads(rejects.read_text())["line"] == 3


def test_a_damaged_file_exits_with_one_after_what_could_be_read(shell: Shell, tmp_path: Path) -> None:
    import gzip

    rows = "".join(f"{uuid.uuid4()},view,2024-01-01\n" for _ in range(5_000))
    whole = gzip.compress(f"user_id,event_type,timestamp\n{rows}".encode())
    file = tmp_path / "events.csv.gz"
    file.write_bytes(whole[: len(whole) // 2])
    done = shell.run("replay", str(file), "--json")
    assert done.returncode == 1
    assert f"{file}: damaged or cut off after line" in done.stderr
    assert done.stderr.count("\n") == 1
    assert json.loads(done.stdout)["produced"] == shell.received() > 1_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "nope.csv"), "nope.csv: there is no such file"),
        (("replay", __file__), "the name must end in .csv"),
        (("produce", "--events", "5", "--from", "soon"), "--from soon: must be a time such as"),
        (("produce", "--events", "5", "--rate", "5", "--to", "2024-01-01"), "--rate paces events that happen now"),
    ],
)
def test_a_wrong_input_is_one_line_that_names_it(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    done = shell.run(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_says_what_was_sent(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user_id,event_type,timestamp\nu1,view,2024-01-01\nu2,view\nu1,view,2025-01-01\n")
    command = [sys.executable, "-m", "lakehouse.cli", "replay", str(file), "--speed", "1"]
    process = subprocess.Popen(command, env=shell.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "line 3 refused" in process.stderr.readline()  # so the first is sent, and the next is due in a year
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped: 2 lines: 1 produced, 1 refused" in stderr
    assert shell.received() == 1


def test_the_live_simulator_ends_on_sigterm_and_a_restart_repeats_nothing(shell: Shell) -> None:
    Endpoints(shell.bootstrap, "", "", "", "", "").save(Home(shell.home).make())
    for run in (1, 2):
        before = shell.received() if run == 2 else 0
        command = [sys.executable, "-m", "producer.live"]
        process = subprocess.Popen(command, env=shell.env, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert "simulating 200 events/s" in process.stderr.readline()
        while shell.received() < before + 100:  # the test's time limit ends it
            pass
        process.terminate()
        _, stderr = process.communicate(timeout=30)
        assert (process.returncode, stderr) == (0, "")
    ids = event_ids(shell)
    assert len(ids) >= 200
    assert len({event_id.split("-")[1] for event_id in ids}) == 2
    # Copies are sent on purpose; a run that repeated the other's ids would make half of them copies.
    assert len(set(ids)) > 0.9 * len(ids)


def event_ids(shell: Shell) -> list[str]:
    from confluent_kafka import Consumer, TopicPartition

    ends = end_offsets(shell.bootstrap, shell.topic)
    consumer = Consumer({"bootstrap.servers": shell.bootstrap, "group.id": "test"})
    consumer.assign([TopicPartition(shell.topic, partition, 0) for partition in ends])
    ids = []
    for _ in range(sum(ends.values())):
        message = consumer.poll(10)
        assert message is not None
        try:
            ids.append(json.loads(message.value() or b"")["event_id"])
        except (ValueError, TypeError):
            continue  # malformed on purpose
    consumer.close()
    return ids
