"""What a command is told of a writer that answers, refuses, or has gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lakehouse.errors import EngineLost, LakehouseError
from lakehouse.home import Home
from lakehouse.jobs import JobServer, Progress, WriterGone, call


def answer(job: str, arguments: Mapping[str, Any], progress: Progress) -> Any:
    if job == "refused":
        raise LakehouseError("no table of that name")
    if job == "without-spark":
        raise EngineLost("Spark's JVM has ended")
    progress("half done")
    return {"sum": sum(arguments["numbers"])}


def test_a_job_is_answered_and_its_progress_told(tmp_path: Path) -> None:
    home = Home(tmp_path).make()
    told: list[str] = []
    with JobServer(home, answer):
        assert call(home, "add", {"numbers": [1, 2]}, progress=told.append) == {"sum": 3}
    assert told == ["half done"]


def test_a_job_that_is_refused_has_its_own_reason(tmp_path: Path) -> None:
    home = Home(tmp_path).make()
    with JobServer(home, answer), pytest.raises(LakehouseError, match="no table of that name"):
        call(home, "refused")


@pytest.mark.parametrize(("listens", "reason"), [(True, "ended before it had answered"), (False, "is not running")])
def test_a_writer_that_has_gone_is_told_from_one_that_refuses(tmp_path: Path, listens: bool, reason: str) -> None:
    home = Home(tmp_path).make()
    server = JobServer(home, answer)
    if listens:
        with server, pytest.raises(WriterGone, match=reason):
            call(home, "without-spark")
        return
    with server:
        pass
    with pytest.raises(WriterGone, match=reason):
        call(home, "add", {"numbers": []})
