"""One judge for all tests of the suites: Great Expectations takes seconds to import."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.home import Home
from lakehouse.settings import Settings
from quality.inspection import Inspector
from quality.judge import Judge
from quality.suite import load_suites
from tests.quality.lake import Lake


@pytest.fixture(scope="session")
def judge(settings: Settings) -> Judge:
    return Judge(settings, load_suites(settings))


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    return Lake(Home(tmp_path / "a home").make(), settings)


@pytest.fixture
def inspector(lake: Lake, judge: Judge) -> Inspector:
    return Inspector(lake.home, lake.settings, judge)
