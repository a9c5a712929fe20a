"""The stream from Kafka into bronze: read the topic, keep everything, append it once."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from bronze.transforms import received
from bronze.watch import TopicWatch
from lakehouse.commits import Commit
from lakehouse.contracts import BronzeEvents
from lakehouse.errors import EngineLost, LakehouseError, Unavailable
from lakehouse.faultpoints import reach
from lakehouse.frames import Frame
from lakehouse.kafka_security import KafkaSecurity
from lakehouse.stages import Context, Stage, utc_now
from lakehouse.streams import QueryStage
from lakehouse.topic import ensure_topic

BROKER_LIMIT_MS = 15_000
"""How long Spark waits for an answer of the broker."""


def stages(context: Context) -> list[Stage]:
    return [BronzeStage(context)]


def place(source_id: str, partition: int) -> str:
    """The name of a partition in a commit's offsets."""
    return f"{source_id}/{partition}"


class BronzeStage(QueryStage):
    """Takes what is in Kafka, a capped batch each round."""

    name = "bronze"
    target = BronzeEvents
    targets = (BronzeEvents,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.source_id = ""
        """The topic's id; empty until Kafka has been asked for the first time."""
        self._ends_seen: dict[int, int] = {}
        """For each partition the offset that the next message had at the last look that found work."""
        self._watch: TopicWatch | None = None

    @property
    def watch(self) -> TopicWatch:
        """Made, with the topic, at first use: where Kafka is away at the start, only this stage waits."""
        if self._watch is None:
            bootstrap, settings = self.context.endpoints.kafka, self.context.settings
            for difference in ensure_topic(bootstrap, settings):
                self.context.log(difference)
            self._watch = TopicWatch(bootstrap, settings.topic, KafkaSecurity.of(settings))
        return self._watch

    def _follow(self, source_id: str) -> None:
        """Reads the topic ``source_id`` from now on: from its beginning, unless bronze holds a part of it."""
        if source_id == self.source_id:
            return
        topic = f"topic {self.context.settings.topic}"
        known = self.last is not None and _holds(self.last, source_id)
        if known and self.source_id:
            raise Unavailable(f"Kafka answers for {topic} as it was before it was made anew")
        at_start, self.source_id = not self.source_id, source_id
        if at_start and self.last is None:
            self.checkpoint.remove()  # what it has planned may be of another topic, and nothing of it is in bronze
        elif not known and (self.last is None or self.last.offsets):
            # Its offsets start again, so the checkpoint means nothing; nothing of the old topic is left to read.
            self.context.log(f"{topic} was made anew: it is read from its beginning as source {source_id}")
            self.begin_generation()

    def taken(self) -> dict[int, int]:
        """For each partition of this topic the next offset to take."""
        offsets = {} if self.last is None else self.last.offsets
        own = f"{self.source_id}/"
        return {int(name.removeprefix(own)): offset for name, offset in offsets.items() if name.startswith(own)}

    def watch_offsets(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset that Kafka keeps and the one that the next message gets."""
        return self.watch.offsets()

    def lag(self) -> int:
        """Messages in Kafka that are not in bronze."""
        taken = self.taken()
        return sum(max(0, end - max(taken.get(p, 0), first)) for p, (first, end) in self.watch.offsets().items())

    def has_work(self) -> bool:
        self._follow(self.watch.topic_id())
        taken = self.taken()
        offsets = self.watch.offsets()
        for partition, offset in taken.items():
            if partition in offsets and offset > offsets[partition][1]:
                raise LakehouseError(
                    f"topic {self.context.settings.topic}: partition {partition} ends at {offsets[partition][1]}, but "
                    f"bronze has taken up to {offset}: Kafka has lost messages that bronze holds; to go on, delete the "
                    "topic and have it made anew, and bronze reads it as a new source"
                )
        self._ends_seen = {p: end for p, (first, end) in offsets.items() if end > max(taken.get(p, 0), first)}
        return bool(self._ends_seen)

    def run(self) -> None:
        try:
            super().run()
        except EngineLost:
            raise
        except Exception:
            self.watch.offsets()  # where the broker does not answer, that is the reason
            raise

    def source(self, after: Commit | None) -> DataFrame:
        starting = "earliest"
        if after is not None and _holds(after, self.source_id):
            partitions = {str(p): -2 for p in self.watch.offsets()} | {str(p): o for p, o in self.taken().items()}
            starting = json.dumps({self.context.settings.topic: partitions})
        return (
            self.context.spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self.context.endpoints.kafka)
            .options(**KafkaSecurity.of(self.context.settings).spark())
            .option("subscribe", self.context.settings.topic)
            .option("startingOffsets", starting)
            .option("includeHeaders", "true")
            .option("failOnDataLoss", "true")
            # A broker that goes away in the midst of a batch: Spark's two minutes would be silver's and gold's as well.
            .option("kafkaConsumer.pollTimeoutMs", BROKER_LIMIT_MS)
            .option("kafka.default.api.timeout.ms", BROKER_LIMIT_MS)
            .option("kafka.request.timeout.ms", BROKER_LIMIT_MS)
            .option("maxOffsetsPerTrigger", self.context.settings.max_events_per_batch)
            .load()
        )

    def gathered(self, rows: DataFrame) -> AbstractContextManager[Frame]:
        messages = received(rows, self.source_id, utc_now())
        return self.context.store.gathered(messages, self.context.settings.max_events_per_batch)

    def process(self, rows: Frame, commit: Commit) -> Commit:
        reach("before-bronze-commit")
        # Asked after the rows were read, where they were (see gathered): then they are of this topic.
        if self.watch.topic_id() != self.source_id:
            raise LakehouseError(f"topic {self.context.settings.topic} was made anew while it was read")
        ends, number = _ends(rows)
        before = {} if self.last is None else dict(self.last.offsets)
        commit = commit.with_(
            offsets=before | {place(self.source_id, p): end for p, end in ends.items()},
            rows_in=number,
            rows_out=number,
        )
        self.context.store.append(BronzeEvents, rows, commit)
        reach("after-bronze-commit")
        taken = {p: commit.offsets.get(place(self.source_id, p), 0) for p in self._ends_seen}
        left = sum(max(0, end - taken[p]) for p, end in self._ends_seen.items())
        self.took_all = left == 0
        self.reads_ahead = left >= self.context.settings.max_events_per_batch
        return commit

    def close(self) -> None:
        super().close()
        if self._watch is not None:
            self._watch.close()


def _holds(commit: Commit, source_id: str) -> bool:
    return any(name.startswith(f"{source_id}/") for name in commit.offsets)


def _ends(messages: Frame) -> tuple[dict[int, int], int]:
    """For each partition the offset after its last message, and the number of messages."""
    partition, offset = str(BronzeEvents.partition), str(BronzeEvents.offset)
    if isinstance(messages, pa.Table):
        last = pa.TableGroupBy(messages, partition).aggregate([(offset, "max")]).to_pylist()
        return {row[partition]: row[f"{offset}_max"] + 1 for row in last}, messages.num_rows
    found = messages.groupBy(partition).agg(F.max(offset).alias("last"), F.count("*").alias("rows")).collect()
    return {row[partition]: row["last"] + 1 for row in found}, sum(row["rows"] for row in found)
