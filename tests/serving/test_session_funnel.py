"""The ordered funnel in Postgres: made by the real stages, and row by row what Delta holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from psycopg2.extensions import connection as Connection
from serving_rows import read

from gold.sessions_stream import SessionDaysStage, SessionFunnelStage
from lakehouse.contracts import SessionFunnel
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context
from serving.stream import MIRRORS, MirrorStage
from tests.gold.gold_shop import Shop, act


def test_a_session_that_moves_to_an_earlier_hour_moves_in_the_mirror(
    tmp_path: Path, endpoints: Endpoints, writer: Connection
) -> None:
    settings = Settings(home=tmp_path, commit_engine="delta-rs", funnel_dimensions=("device",))
    shop = Shop(Home(tmp_path).make(), settings, cast(Any, None))
    context = Context(settings, shop.home, endpoints, shop.spark, shop.store, lambda _: None)
    mirror = MirrorStage(context, next(each for each in MIRRORS if each.origin is SessionFunnel))
    mirror.open()
    mobile = {"properties": json.dumps({"device": "mobile"})}
    for acts in (
        [act("ann", "view", "10T10:00", "s1", **mobile), act("bob", "view", "10T11:00", "s2")],
        [act("ann", "view", "10T09:59", "s1"), act("ann", "purchase", "10T12:00", "s1", price=None)],
    ):
        shop.bring(*acts)
        shop.take(SessionDaysStage, SessionFunnelStage)
        mirror.run()

    names = ", ".join(SessionFunnel.columns())
    found = read(writer, f"SELECT {names} FROM session_funnel ORDER BY hour, dimension, value")
    assert found == shop.table(SessionFunnel).rows()
    assert [(row[0].hour, *row[1:4]) for row in found] == [
        (9, "", "", 1),
        (9, "device", "mobile", 1),
        (11, "", "", 1),
        (11, "device", "", 1),
    ]
