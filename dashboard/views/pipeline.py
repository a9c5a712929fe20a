"""How the streams, the tables and the services do."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.frame import further_panel, page, panel
from dashboard.pipeline import panels
from dashboard.pipeline.queries import Since, read_course, read_late
from dashboard.pipeline.stack import read_stack, read_tables
from lakehouse.settings import Settings


def body(settings: Settings) -> None:
    since = st.segmented_control(
        "Time",
        list(Since),
        default=Since.HOUR,
        required=True,
        key="since",
        bind="query-params",
        label_visibility="collapsed",
        help="How far back, by the clock",
    )
    panel(settings, streams, Since(since or Since.HOUR))
    further_panel(settings, late, settings.window_minutes)
    left, right = st.columns(2, gap="medium")
    with left:
        further_panel(settings, stack, settings.home)
    with right:
        further_panel(settings, tables, settings.home)


def streams(dsn: str, since: Since) -> None:
    panels.streams(read_course(dsn, since), since)


def late(dsn: str, window_minutes: int) -> None:
    panels.late(read_late(dsn, window_minutes))


def stack(_dsn: str, home: Path) -> None:
    panels.stack(read_stack(home))


def tables(_dsn: str, home: Path) -> None:
    panels.tables(read_tables(home))


page("Pipeline", body)
