"""A stack that is stopped and killed in the middle of a replay ends with the same numbers as one that is not."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import judge
import psutil
import pytest
from polars.testing import assert_frame_equal
from shop_stack import LIMIT_S, Shop

from lakehouse.embedded.waiting import until

pytestmark = pytest.mark.long

PACE = "36000"
"""Times real: a day in 2.4 s, some 400 events/s, so that a replay takes minutes if nobody ends it."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    running = Shop(tmp_path / "home")
    running.up()
    try:
        yield running
    finally:
        running.run("down")


def test_ctrl_c_and_kill_9_lose_nothing(shop: Shop, shared_data: Path) -> None:
    file = shared_data / "ga4_store_events.csv.gz"

    with begun_replay(shop, file) as replaying:
        replaying.send_signal(signal.SIGINT)
        out, err = replaying.communicate(timeout=LIMIT_S)
    assert replaying.returncode == 130, err
    stopped = json.loads(out)
    assert 0 < stopped["produced"] == stopped["lines"] < judge.read_events(file).height

    with begun_replay(shop, file) as replaying:
        psutil.Process(shop.ask("status")["pid"]).kill()
        killed_run = shop.processes() - {psutil.Process(replaying.pid)}
        replaying.kill()
        replaying.communicate(timeout=LIMIT_S)

    shop.up()
    supervisor = psutil.Process(shop.ask("status")["pid"])
    assert not [process for process in killed_run if process.is_running()]

    def only_the_new_run() -> bool:
        return shop.processes() <= {supervisor, *supervisor.children(recursive=True)}

    assert until(only_the_new_run, 10.0), shop.processes()

    replayed = shop.replay(file)

    assert replayed["produced"] == replayed["lines"]
    assert_frame_equal(shop.gold(), judge.funnel_summary(file))
    assert_frame_equal(shop.mirror(), judge.funnel_summary(file))
    assert shop.ask("audit", "--full")["agrees"]


def begun_replay(shop: Shop, file: Path) -> subprocess.Popen[str]:
    """A replay at some pace, of which a good part has reached bronze and silver."""
    before = shop.rows("bronze.user_events")
    process = shop.start("replay", str(file), "--mapping", "ga4", "--speed", PACE, "--json")

    def under_way() -> bool:
        return process.poll() is not None or shop.rows("bronze.user_events") > before + 1_000

    arrived = until(under_way, LIMIT_S, tick_s=0.5)
    if not arrived or process.poll() is not None:
        process.kill()
        raise AssertionError(f"the replay has ended or does not arrive: {process.communicate()}")
    return process
