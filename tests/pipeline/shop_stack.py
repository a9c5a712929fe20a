"""A stack of its own home, driven by the command line as a person drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import psycopg2

from lakehouse.endpoints import Endpoints
from lakehouse.home import Home

LIMIT_S = 300.0

OF_THE_RUN = ("late_events", "is_final")
"""What depends on the order of arrival, and not on the events alone."""


@dataclass(frozen=True)
class Shop:
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables beyond the usual ones, or in their place."""

    @property
    def environment(self) -> dict[str, str]:
        """Free ports, and a time zone far from UTC, which no number may depend on. Without the validator, which takes
        seconds of a core to start, unless the test asks for it."""
        ports = {f"LAKEHOUSE_{name}_PORT": "0" for name in ("KAFKA", "POSTGRES", "API", "DASHBOARD", "QUALITY")}
        own = {
            "LAKEHOUSE_HOME": str(self.home),
            "TZ": "America/New_York",
            "LAKEHOUSE_QUALITY_VALIDATOR": "false",
        }
        return {**os.environ, **ports, **own, **self.variables}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`lakehouse ARGUMENTS`, not waited for."""
        return subprocess.Popen(
            [sys.executable, "-m", "lakehouse.cli", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """`lakehouse ARGUMENTS`, which must exit with ``code``."""
        with self.start(*arguments) as process:
            try:
                out, err = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == code, (
            f"lakehouse {' '.join(arguments)}: exit {process.returncode}, not {code}\n"
            f"--- stdout\n{out}\n--- stderr\n{err}\n--- {self.home}/logs/writer.log\n{self._log()}"
        )
        return subprocess.CompletedProcess(arguments, code, out, err)

    def ask(self, *arguments: str) -> Any:
        """What a command answers as JSON."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def up(self) -> None:
        self.run("up", "--no-simulator", "--detach")

    def replay(self, file: Path) -> dict[str, Any]:
        """Replays the whole file and waits until all of it has reached Postgres."""
        replayed: dict[str, Any] = self.ask("replay", str(file), "--mapping", "ga4")
        self.run("drain", "--timeout", "240")
        return replayed

    def delta(self, table: str, version: int | None = None) -> pl.DataFrame:
        return pl.read_delta(str(Home(self.home).table(table)), version=version)

    def rows(self, table: str) -> int:
        """Rows of a table; 0 where it has not been made yet."""
        return self.delta(table).height if (Home(self.home).table(table) / "_delta_log").is_dir() else 0

    def gold(self) -> pl.DataFrame:
        return in_order(self.delta("gold.funnel_summary").drop(OF_THE_RUN))

    def mirror(self) -> pl.DataFrame:
        """Postgres' ``funnel_summary``."""
        return in_order(self.query("SELECT * FROM funnel_summary").drop(OF_THE_RUN))

    def user_days(self) -> pl.DataFrame:
        """``gold.user_days``, without what the judge does not tell."""
        return in_order(self.delta("gold.user_days").drop("revenue"), "user_id", "date")

    def session_funnel(self) -> pl.DataFrame:
        """``gold.session_funnel`` of all sessions, in the columns that the judge tells."""
        return _told(self.delta("gold.session_funnel"))

    def session_funnel_mirror(self) -> pl.DataFrame:
        """The same of Postgres."""
        return _told(self.query("SELECT * FROM session_funnel"))

    def churn_features(self) -> pl.DataFrame:
        """``gold.churn_features``, all columns."""
        return in_order(self.delta("gold.churn_features"), "user_id")

    def cohorts(self) -> pl.DataFrame:
        """``gold.cohorts``, the cells with users."""
        return self.delta("gold.cohorts").filter(pl.col("users") > 0).sort("unit", "cohort", "period")

    def query(self, sql: str) -> pl.DataFrame:
        """What Postgres answers to its reader; times in UTC."""
        dsn = Endpoints.load(Home(self.home)).postgres_reader
        with closing(psycopg2.connect(dsn, options="-c timezone=UTC")) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            names = [column.name for column in cursor.description or ()]
            return pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)

    def processes(self) -> set[psutil.Process]:
        """Every living process that names the home in its command or its environment."""
        found = set()
        for process in psutil.process_iter():
            try:
                told = [*process.cmdline(), *process.environ().values()]
                if process.status() != psutil.STATUS_ZOMBIE and any(str(self.home) in text for text in told):
                    found.add(process)
            except psutil.Error:
                continue
        return found

    def _log(self) -> str:
        try:
            return (self.home / "logs" / "writer.log").read_text()[-8_000:]
        except OSError:
            return "(none)"


def _told(funnel: pl.DataFrame) -> pl.DataFrame:
    told = ("hour", "sessions", "viewed", "carted", "purchased", "bought", "num_events")
    return in_order(funnel.filter(pl.col("dimension") == "").select(told), "hour")


def in_order(rows: pl.DataFrame, *key: str) -> pl.DataFrame:
    """Columns by name, rows by ``key`` (default: the funnel's), times in UTC: as the judge gives them."""
    times = pl.selectors.datetime().dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    return rows.select(sorted(rows.columns)).with_columns(times).sort(key or ("user_id", "window_start"))
