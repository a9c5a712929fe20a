"""What a person sees of the command line when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from lakehouse import cli
from lakehouse.embedded.locks import holding
from lakehouse.home import Home


def lakehouse(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lakehouse.cli", *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version(tmp_path: Path) -> None:
    assert lakehouse("--version", cwd=tmp_path).stdout == f"lakehouse {version('interaction-lakehouse')}\n"


def test_nothing_running_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    run = lakehouse("status", "--home", "a home", cwd=tmp_path)

    assert run.returncode == 1
    assert run.stdout == f"not running: no stack runs under {tmp_path / 'a home'}; start it with `lakehouse up`\n"
    assert run.stderr == ""


def test_status_is_json_in_both_cases(tmp_path: Path) -> None:
    stopped = lakehouse("--home", "here", "status", "--json", cwd=tmp_path)
    with holding(Home(tmp_path / "here").make().supervisor_lock, "stack"):
        running = lakehouse("status", "--json", "--home", "here", cwd=tmp_path)

    assert (stopped.returncode, running.returncode) == (1, 0)
    assert json.loads(stopped.stdout) == {"running": False, "home": str(tmp_path / "here")}
    assert json.loads(running.stdout)["running"] is True


def test_down_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    run = lakehouse("down", cwd=tmp_path)

    assert (run.returncode, run.stdout) == (0, f"nothing is running under {tmp_path / '.lakehouse'}\n")


def test_a_second_up_on_the_home_is_one_sentence(tmp_path: Path) -> None:
    with holding(Home(tmp_path).make().supervisor_lock, "stack"):
        run = lakehouse("up", "--home", ".", cwd=tmp_path)

    assert run.returncode == 1
    assert run.stderr.startswith(f"lakehouse: a stack (pid {os.getpid()}) runs under {tmp_path} already")
    assert run.stderr.count("\n") == 1


def test_too_little_disk_is_one_sentence(tmp_path: Path) -> None:
    run = lakehouse("up", "--home", ".", cwd=tmp_path, LAKEHOUSE_MIN_FREE_DISK_MB="1000000000")

    assert run.returncode == 1
    assert "MB left, less than LAKEHOUSE_MIN_FREE_DISK_MB=1000000000" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    run = lakehouse("status", cwd=tmp_path, LAKEHOUSE_API_PORT="many")

    assert run.returncode == 1
    assert run.stderr.startswith("lakehouse: wrong settings: LAKEHOUSE_API_PORT='many'")
    assert run.stderr.count("\n") == 1


def test_who_drains_past_a_gate_that_nobody_opens_is_told_at_once(tmp_path: Path) -> None:
    run = lakehouse("drain", cwd=tmp_path, LAKEHOUSE_QUALITY_GATES="silver.events")

    assert run.returncode == 1
    assert run.stderr.startswith("lakehouse: drain: nothing goes past the gate of silver.events until")
    assert "start the stack with `lakehouse up`" in run.stderr
    assert not (tmp_path / ".lakehouse" / "postgres").exists()


def test_a_bug_is_one_line_that_says_where_its_traceback_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(_: list[str]) -> None:
        raise RuntimeError("something\nnobody thought of")

    monkeypatch.setattr(cli, "build_app", break_down)
    monkeypatch.setattr(sys, "argv", ["lakehouse", "status", "--home", str(tmp_path)])

    with pytest.raises(SystemExit) as exit_:
        cli.main()

    said = capsys.readouterr().err
    written = next(tmp_path.glob("logs/crash-*.log"))
    assert exit_.value.code == cli.BUG_EXIT_CODE
    assert said == (
        f"lakehouse: a bug, not your doing: RuntimeError: something nobody thought of; its traceback is in {written}\n"
    )
    assert "break_down" in written.read_text()


def test_the_help_does_not_import_the_heavy_ones() -> None:
    program = "import sys; import lakehouse.cli; lakehouse.cli.build_app([]); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert {"pyspark", "pandas", "streamlit", "fastapi", "psycopg2", "deltalake"}.isdisjoint(run.stdout.split())
