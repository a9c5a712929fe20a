"""Users by a property of their events: whose it is, and what becomes of those of whom it is not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from lakehouse.home import Home
from ml.dataset import AllDays, judged_rows
from ml.reference import CDNOW, GA4
from ml.segments import LONGEST, Property, property_counts, segments
from ml.source import load_property
from tests.ml.churn_days import day, received
from tests.ml.test_known_at_cut import of_silver, write_days, write_silver

PHONE, DESK = '{"device":"phone","source":"ad"}', '{"device":"desktop"}'


def events(*of: tuple[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(of, schema={"user_id": pl.String, "properties": pl.String}, orient="row")


def test_a_user_s_property_is_that_of_most_of_the_user_s_events() -> None:
    first = events(("ann", PHONE), ("ann", DESK), ("bob", DESK), ("cid", PHONE), ("eve", '{"source":"device"}'))
    second = events(("ann", PHONE), ("cid", DESK), ("dan", None), ("dan", '{"device":""}'))

    found = Property.of("device", pl.concat(property_counts(part, "device") for part in (first, second)))

    assert found.of_users.rows() == [("ann", "phone"), ("bob", "desktop"), ("cid", "desktop")]


def test_a_value_that_is_long_or_no_text_is_a_short_text() -> None:
    found = property_counts(events(("ann", '{"device":"' + "x" * 500 + '"}'), ("bob", '{"device":7}')), "device")

    assert found.sort("user_id")["value"].to_list() == ["x" * LONGEST, "7"]


def test_users_are_told_apart_by_the_most_common_values_and_the_rest_taken_together() -> None:
    names = [f"u{n:02}" for n in range(20)]
    rows = pl.DataFrame({"user_id": names, "tenure_days": 5.0, "recency_days": 1.0, "days_since_purchase": None})
    devices = dict(zip(names, [*["desktop"] * 9, *"bcdefgh", "phone", "phone", "phone"], strict=False))
    by = Property("device", pl.DataFrame({"user_id": devices.keys(), "value": devices.values()}))
    churned = np.arange(20) % 2.0

    found = segments(rows, churned, churned * 0.5, lookback_days=30, seed=7, by=by)

    of_device = {name: part.users for name, part in found.items() if name.startswith("device")}
    assert of_device == {
        "device desktop": 9,
        "device phone": 3,
        **{f"device {one}": 1 for one in "bcde"},
        "device: any other": 3,
        "device not known": 1,
    }
    assert found["device desktop"].roc_auc.value == 1.0
    assert found["device desktop"].churned == 4 / 9


def test_the_events_are_those_before_the_cut_in_the_silver_that_is_in_the_days(tmp_path: Path) -> None:
    home = Home(tmp_path / "a home").make()
    acts = [("ann", "02-01T10:00"), ("bob", "02-02T10:00"), ("bob", "03-02T10:00"), ("bob", "03-03T10:00")]
    seen = received(*((user, time, time) for user, time in acts)).with_columns(
        pl.Series("properties", [PHONE, DESK, PHONE, PHONE])
    )
    write_days(home, seen, of_silver(write_silver(home, seen)))
    write_silver(home, received(("cid", "02-02T10:00", "02-02T10:00")).with_columns(properties=pl.lit(PHONE)))

    found = load_property(home, 1, "device", day("03-01"))

    assert found is not None
    assert found.of_users.rows() == [("ann", "phone"), ("bob", "desktop")]
    assert load_property(home, 1, "colour", day("03-01")) is None


def test_where_silver_is_not_told_or_not_there_nothing_is_known(tmp_path: Path) -> None:
    home = Home(tmp_path).make()
    write_days(home, received(("ann", "02-01T10:00", "02-01T10:00")), "by someone else")
    assert load_property(home, 1, "device", day("03-01")) is None

    write_days(home, received(("ann", "02-02T10:00", "02-02T10:00")), of_silver(0))
    assert load_property(home, 2, "device", day("03-01")) is None


def test_the_shop_s_users_are_told_apart_by_device(shared_data: Path) -> None:
    rows = judged_rows(AllDays(GA4.user_days(shared_data)), GA4.plan.cuts)
    churned = rows["churned"].cast(pl.Float64).to_numpy()

    found = segments(rows, churned, rows["recency_days"].to_numpy(), 30, 7, GA4.devices(shared_data))

    of_device = {name: part.users for name, part in found.items() if name.startswith("device")}
    assert list(of_device) == ["device desktop", "device mobile", "device tablet"]
    assert sum(of_device.values()) == len(rows)
    assert CDNOW.devices(shared_data).of_users.is_empty()
