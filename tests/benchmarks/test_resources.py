"""What a family of processes has taken of the processors."""

from __future__ import annotations

import subprocess
import sys

import psutil

from benchmarks.resources import taken

BURNS_S = 0.3
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < {BURNS_S}: pass"])
print("ended", flush=True)
sys.stdin.read()
"""


def test_children_that_have_ended_count() -> None:
    """As the sessions of Postgres, each a process, of which none is left when somebody looks."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ended\n"
        process = psutil.Process(parent.pid)
        assert process.children() == []

        assert (
            taken([process], ended=True) - taken([process], ended=False) > BURNS_S / 2
        )  # the system counts in hundredths
    finally:
        parent.communicate()


def test_a_process_that_has_gone_counts_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(gone.pid)
    gone.wait()

    assert taken([process], ended=True) == 0.0
