"""The setting that makes a process die at a named point, and the death."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from lakehouse import faultpoints
from lakehouse.embedded.waiting import until
from lakehouse.errors import LakehouseError
from lakehouse.settings import load_settings


def test_a_point_may_name_the_reach_at_which_it_kills() -> None:
    assert faultpoints.parse("in-vacuum") == ("in-vacuum", 1)
    assert faultpoints.parse("in-vacuum:3") == ("in-vacuum", 3)


@pytest.mark.parametrize("setting", ["after-lunch", "in-vacuum:0", "in-vacuum:soon", ""])
def test_an_unknown_point_is_refused_with_the_list(setting: str) -> None:
    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_FAULT_POINT=.*in-mirror-copy, before-mirror-commit"):
        load_settings(fault_point=setting)


def test_only_the_armed_point_kills_and_only_at_its_turn() -> None:
    code = """
import subprocess, sys
from lakehouse import faultpoints
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
faultpoints.arm("after-bronze-commit:2")
for name in ("in-vacuum", "after-bronze-commit", "in-vacuum"):
    faultpoints.reach(name)
print("reached", flush=True)
try:
    faultpoints.reach("after-bronze-commit")
finally:
    print("still here", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    child, *rest = done.stdout.split("\n")
    assert rest == ["reached", ""]
    assert done.returncode == -signal.SIGKILL
    assert until(lambda: _is_gone(int(child)), 5)


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
