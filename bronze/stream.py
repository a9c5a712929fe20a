"""The stream from Kafka into bronze: read the topic, keep everything, append it once."""

from __future__ import annotations

import json

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from bronze.transforms import received
from bronze.watch import TopicWatch
from lakehouse.commits import Commit
from lakehouse.contracts import BronzeEvents
from lakehouse.errors import LakehouseError
from lakehouse.faultpoints import reach
from lakehouse.stages import Context, Stage, utc_now
from lakehouse.store import Frame
from lakehouse.streams import QueryStage
from lakehouse.topic import ensure_topic, topic_id


def stages(context: Context) -> list[Stage]:
    return [BronzeStage(context)]


def place(source_id: str, partition: int) -> str:
    """The name of a partition in a commit's offsets."""
    return f"{source_id}/{partition}"


class BronzeStage(QueryStage):
    """Takes what is in Kafka, a capped batch each round."""

    name = "bronze"
    target = BronzeEvents

    def open(self) -> None:
        bootstrap, topic = self.context.endpoints.kafka, self.context.settings.topic
        for difference in ensure_topic(bootstrap, self.context.settings):
            self.context.log(difference)
        self.source_id = topic_id(bootstrap, topic)
        self.watch = TopicWatch(bootstrap, topic)
        super().open()
        if self.last is not None and self.last.offsets and not self._of_this_topic(self.last):
            # Its offsets start again, so the checkpoint means nothing; nothing of the old topic is left to read.
            self.context.log(f"topic {topic} was made anew: it is read from its beginning as source {self.source_id}")
            self.begin_generation()

    def _of_this_topic(self, commit: Commit) -> bool:
        return any(name.startswith(f"{self.source_id}/") for name in commit.offsets)

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
        taken = self.taken()
        offsets = self.watch.offsets()
        for partition, offset in taken.items():
            if partition in offsets and offset > offsets[partition][1]:
                raise LakehouseError(
                    f"topic {self.context.settings.topic}: partition {partition} ends at {offsets[partition][1]}, but "
                    f"bronze has taken up to {offset}: the topic was made anew or lost messages; restart the stack to "
                    "have it read as a new source"
                )
        return any(end > max(taken.get(p, 0), first) for p, (first, end) in offsets.items())

    def source(self, after: Commit | None) -> DataFrame:
        starting = "earliest"
        if after is not None and self._of_this_topic(after):
            partitions = {str(p): -2 for p in self.watch.offsets()} | {str(p): o for p, o in self.taken().items()}
            starting = json.dumps({self.context.settings.topic: partitions})
        return (
            self.context.spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self.context.endpoints.kafka)
            .option("subscribe", self.context.settings.topic)
            .option("startingOffsets", starting)
            .option("includeHeaders", "true")
            .option("failOnDataLoss", "true")
            .option("maxOffsetsPerTrigger", self.context.settings.max_events_per_batch)
            .load()
        )

    def process(self, rows: DataFrame, commit: Commit) -> Commit:
        reach("before-bronze-commit")
        messages = received(rows, self.source_id, utc_now())
        with self.context.store.gathered(messages, self.context.settings.max_events_per_batch) as gathered:
            ends, number = _ends(gathered)
            before = {} if self.last is None else dict(self.last.offsets)
            commit = commit.with_(
                offsets=before | {place(self.source_id, p): end for p, end in ends.items()},
                rows_in=number,
                rows_out=number,
            )
            self.context.store.append(BronzeEvents, gathered, commit)
        reach("after-bronze-commit")
        self.took_all = number < self.context.settings.max_events_per_batch
        return commit

    def close(self) -> None:
        super().close()
        self.watch.close()


def _ends(messages: Frame) -> tuple[dict[int, int], int]:
    """For each partition the offset after its last message, and the number of messages."""
    partition, offset = str(BronzeEvents.partition), str(BronzeEvents.offset)
    if isinstance(messages, pa.Table):
        last = pa.TableGroupBy(messages, partition).aggregate([(offset, "max")]).to_pylist()
        return {row[partition]: row[f"{offset}_max"] + 1 for row in last}, messages.num_rows
    found = messages.groupBy(partition).agg(F.max(offset).alias("last"), F.count("*").alias("rows")).collect()
    return {row[partition]: row["last"] + 1 for row in found}, sum(row["rows"] for row in found)
