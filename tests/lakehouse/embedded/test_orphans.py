"""What a supervisor leaves that is killed with SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lakehouse.embedded.pidfiles import end_orphans
from lakehouse.embedded.waiting import until
from lakehouse.home import Home

LIMIT_S = 20.0

SUPERVISE = """
import sys, time
from lakehouse.embedded.process import Service
from lakehouse.embedded.supervisor import Supervisor
from lakehouse.home import Home
from lakehouse.settings import load_settings
settings = load_settings(home=sys.argv[1])
supervisor = Supervisor(settings, Home(settings.home).make(), lambda event: None)
supervisor.start([Service("child", ("/bin/sh", "-c", sys.argv[2]))])
print(supervisor.statuses()[0].pid, flush=True)
while True:
    supervisor.step()
    time.sleep(0.05)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "a home")


def killed_supervisor_of(script: str, home: Home) -> int:
    """Runs ``script`` as a supervisor's child, kills the supervisor, and returns the child's pid."""
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISE, home.root, script], stdout=subprocess.PIPE)
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    ready = home.logs / "child.log"
    assert until(lambda: "ready" in ready.read_text(), LIMIT_S)
    supervisor.kill()
    supervisor.wait()
    return pid


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_child_ends_with_its_supervisor(home: Home) -> None:
    child = killed_supervisor_of("echo ready; while :; do sleep 0.1; done", home)

    assert until(lambda: ended(child), LIMIT_S)


def test_one_that_does_not_is_found_and_ended_by_the_next_run(home: Home) -> None:
    child = killed_supervisor_of("trap '' TERM INT; echo ready; while :; do sleep 0.1; done", home)
    assert not ended(child)

    assert end_orphans(home, limit_s=0.5) == ["child"]

    assert ended(child)
    assert list(home.run.glob("*.pid.json")) == []


def test_another_process_that_has_the_number_now_is_left_alone(home: Home) -> None:
    home.make()
    other = subprocess.Popen(["/bin/sh", "-c", "while :; do sleep 0.1; done"], start_new_session=True)
    try:
        earlier = psutil.Process(other.pid).create_time() + 3600
        home.run.joinpath("kafka.pid.json").write_text(json.dumps({"pid": other.pid, "started": earlier}))

        assert end_orphans(home, limit_s=0.5) == []

        assert other.poll() is None
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()


def test_a_pid_file_cut_short_is_cleared_away(home: Home) -> None:
    home.make()
    home.run.joinpath("kafka.pid.json").write_text('{"pid": 12')

    assert end_orphans(home, limit_s=0.5) == []
    assert list(home.run.glob("*.pid.json")) == []
