"""A shop of its own home for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.home import Home
from lakehouse.settings import Settings
from tests.gold.gold_shop import CAP, Shop


@pytest.fixture
def shop(spark: SparkSession, settings: Settings, tmp_path: Path) -> Shop:
    home = Home(tmp_path / "a home").make()
    return Shop(
        home, settings.model_copy(update={"home": home.root, "session_ids_cap": CAP, "churn_lookback_days": 7}), spark
    )
