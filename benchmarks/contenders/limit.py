"""The limit: Spark reads the topic and parses it, and writes nothing. No pipeline on this engine can be faster."""

from __future__ import annotations

import time

from benchmarks.contenders.contender import tell
from benchmarks.contenders.plain import events
from benchmarks.contenders.session import session
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import load_settings


def main() -> None:
    settings = load_settings()
    home = Home(settings.home)
    spark = session(settings)
    began = time.monotonic()
    query = (
        events(spark, Endpoints.load(home).kafka, settings.topic)
        .writeStream.format("noop")
        .option("checkpointLocation", str(home.checkpoints / "limit"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    seconds = time.monotonic() - began
    rows = sum(int(progress["numInputRows"]) for progress in query.recentProgress)
    spark.stop()
    tell(round(seconds, 3), read=rows)


if __name__ == "__main__":
    main()
