"""The page under test, reading the run's Postgres as the dashboard's role; and the tables it reads, empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import streamlit as st
from dashboard_tables import Open, Tables
from streamlit.testing.v1 import AppTest

from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from serving.postgres import connect, transaction

PAGE = Path(__file__).parents[2] / "dashboard" / "app.py"
TABLES = (
    "raw_events, funnel_summary, funnel_windows, session_funnel, cohorts, mirror_ledger, pipeline_status, "
    "pipeline_history, churn_prediction, churn_prediction_history, churn_score_days, quality_results, quality_decisions"
)


@pytest.fixture
def open_page(endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """``open_page(range="All")``: the page Now at that address, after its first run; another page is named by its file,
    ``open_page("pipeline", …)``."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    endpoints.save(Home(tmp_path).make())

    def run(name: str = "now", /, **query: str) -> AppTest:
        st.cache_data.clear()
        st.cache_resource.clear()
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        if name != "now":
            page.switch_page(f"views/{name}.py")
        for parameter, value in query.items():
            page.query_params[parameter] = value
        return page.run()

    return run


@pytest.fixture
def tables(endpoints: Endpoints) -> Iterator[Tables]:
    with closing(connect(endpoints.postgres_owner)) as conn:
        with transaction(conn) as cursor:
            cursor.execute(f"TRUNCATE {TABLES}")
        yield Tables(conn)
