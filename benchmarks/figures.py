"""What was measured, by its meaning, for plans past one machine; and what could not be measured here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from benchmarks.measure import Cost
from benchmarks.sections.costs import largest_rounds, processor_per_message, stage_costs
from benchmarks.simulation import Spread
from lakehouse.errors import LakehouseError

Document = dict[str, Any]

MIRRORS: Final = ("raw_events", "funnel_summary", "funnel_windows", "session_funnel", "cohorts", "churn_prediction")
WINDOW_S: Final = 600.0
"""Of the windows that were measured."""


@dataclass(frozen=True)
class Assumed:
    """What was not measured here. Each is a usual figure to be replaced by one's own."""

    replicas: int = 3
    """Copies that Kafka keeps."""
    broker_bytes_per_s: float = 100e6
    """That a broker takes in, copies of others' included, while it is read from as well."""
    partition_bytes_per_s: float = 10e6
    busy: float = 0.6
    """Share of the cores that is planned to be at work; the rest is for peaks and catching up."""
    executor_cores: int = 4
    file_bytes: float = 256e6
    """Of a file once compaction is done with it."""


SPARK_COMMITS_S: Final[Mapping[str, float]] = {
    "bronze": 0.8,
    "silver": 0.8,
    "gold": 4.8,
    "user_days": 3.3,
    "churn_features": 3.3,
}
"""What Spark takes to commit a batch whatever is in it, where ``costs`` did not measure it: an append 0.8 s, a merge
1.5 to 3.3 s, of which gold has two (lakehouse.store)."""


@dataclass(frozen=True)
class Figures:
    """What was measured, by its meaning. Per message unless it says otherwise."""

    small: Any
    """The part of ``costs`` in which delta-rs commits."""
    large: Any
    """That in which Spark does, as on a cluster; the other one where it was not measured."""
    rate: int
    """Messages for each second of event time, in ``costs``."""
    freshness: Any
    """The result of ``freshness``; None where there is none."""
    scoring: Any
    """The result of ``scoring``; None where there is none."""
    sent_bytes: float | None = None
    """Of a message's value, where ``costs`` was not measured."""
    touched: tuple[tuple[float, float], ...] = ()
    """Likewise: seconds that a batch spans, and rows of the funnel that it touches for each message."""
    worked_s: Mapping[str, float] | None = None
    """Likewise: seconds of processor for a message, by stage, the mirrors' with Postgres's own."""

    @cached_property
    def stages(self) -> Mapping[str, Cost]:
        """Where delta-rs commits."""
        return stage_costs(self.small)

    @cached_property
    def cluster_stages(self) -> Mapping[str, Cost]:
        found = dict(stage_costs(self.large))
        if not self.has_spark:
            known, nothing = self.worked_s or found, Cost(0.0, 0.0)
            found |= {
                name: replace(found.get(name, nothing), fixed_s=fixed)
                for name, fixed in SPARK_COMMITS_S.items()
                if name in known
            }
        return found

    @cached_property
    def processor_s(self) -> Mapping[str, float]:
        if self.worked_s is not None:
            return {"postgres": sum(seconds for name, seconds in self.worked_s.items() if name in MIRRORS)}
        return processor_per_message(self.large)

    def stage_processor_s(self, name: str) -> float:
        """Seconds of processor for a message in a stage: the writer's, shared out by how long the stages take."""
        if self.worked_s is not None:
            return self.worked_s[name]
        costs = self.cluster_stages
        whole = sum(cost.per_event_s for cost in costs.values())
        return (self.processor_s["python"] + self.processor_s["spark"]) * costs[name].per_event_s / whole

    @property
    def has_spark(self) -> bool:
        """Whether it was measured what Spark's commits cost."""
        return self.large is not self.small

    @property
    def message_bytes(self) -> float:
        if self.sent_bytes is not None:
            return self.sent_bytes
        return float(self.small["stored"]["message_bytes"] / self.small["stored"]["messages"])

    @property
    def kafka_bytes(self) -> float:
        """On the broker's disk, one copy, compressed by the producer."""
        return float(self.small["stored"]["kafka_bytes"] / self.small["stored"]["messages"])

    def table_bytes(self) -> Mapping[str, float]:
        """Of the newest version of each Delta table that has rows."""
        stored = self.small["stored"]
        return {name: size["bytes"] / stored["messages"] for name, size in stored["delta"].items() if size["rows"]}

    def table_rows(self, name: str) -> float:
        stored = self.small["stored"]
        return float(stored["delta"][name]["rows"] / stored["messages"])

    def mirror_bytes(self, name: str) -> float:
        return float(self.small["stored"]["postgres_bytes"][name] / self.small["stored"]["messages"])

    def keys_touched(self, span_s: float, stage: str = "funnel_summary") -> float:
        """Rows that ``stage`` takes for each message of a batch of ``span_s`` seconds of events.

        Linear in the logarithm of the span between those measured; beyond them as at the nearest.
        """
        if self.touched:
            given, found = zip(*self.touched, strict=True)
            return float(np.interp(math.log(span_s), np.log(given), found))
        spans, shares = [], []
        for size in sorted({found["messages"] for found in self.small["rounds"]}):
            told = [f for f in self.small["rounds"] if f["messages"] == size and stage in f["stages"]]
            if told:
                spans.append(math.log(size / self.rate))
                shares.append(statistics.median(found["stages"][stage][0] / size for found in told))
        return float(np.interp(math.log(span_s), spans, shares)) if spans else 0.0

    def rows_a_round(self, stage: str) -> float:
        """Rows that a mirror takes of the largest round; 0 where it took none."""
        took = [found["stages"][stage][0] for found in largest_rounds(self.small) if stage in found["stages"]]
        return float(statistics.median(took)) if took else 0.0

    @property
    def scored_per_s(self) -> float | None:
        """Users that one worker of the API scores in a second, asked as the mirror of scores asks it."""
        for batch in self.scoring["batches"] if self.scoring else ():
            if (batch["form"], batch["features"], batch["reasons"]) == ("Arrow", "all", "churned"):
                return float(batch["rows_per_second"]["median"])
        return None

    def spread(self) -> Spread:
        """How rounds of one size differ from their median."""
        factors = []
        for size in {found["messages"] for found in self.small["rounds"]}:
            took = [found["seconds"] for found in self.small["rounds"] if found["messages"] == size]
            factors += [seconds / statistics.median(took) for seconds in took]
        return Spread(factors)


def figures(documents: Mapping[str, Document]) -> Figures:
    """From ``costs``; without it from ``freshness`` and ``backlog``, which tell nothing of bytes on disk.

    Raises LakehouseError where neither was measured.
    """
    parts = {part["name"]: part for part in documents.get("costs", {}).get("result", {}).get("parts", ())}
    good = {name: part for name, part in parts.items() if part["rounds"] and not part["error"]}
    if "delta-rs" not in good:
        return _without_costs(documents)
    return Figures(
        small=good["delta-rs"],
        large=good.get("spark", good["delta-rs"]),
        rate=documents["costs"]["options"]["rate"],
        freshness=documents.get("freshness", {}).get("result"),
        scoring=documents.get("scoring", {}).get("result"),
    )


def _without_costs(documents: Mapping[str, Document]) -> Figures:
    if "freshness" not in documents or "backlog" not in documents:
        raise LakehouseError("there is no result of costs to compute from; `python -m benchmarks costs` makes one")
    measured, backlog = documents["freshness"]["result"], documents["backlog"]["result"]
    rounds = [_as_round(rate) for rate in measured["rates"]]
    part = {"name": "freshness", "rounds": rounds, "stored": None, "postgres": _as_alone(rounds[-1])}
    topic, rows = backlog["topic"], backlog["rows"]["gold.funnel_summary"]
    last = rounds[-1]
    return Figures(
        small=part,
        large=part,
        rate=measured["rates"][-1]["events_per_second"],
        freshness=measured,
        scoring=documents.get("scoring", {}).get("result"),
        sent_bytes=topic["bytes"] / topic["messages"],
        touched=(
            (last["messages"] / measured["rates"][-1]["events_per_second"], _share(last, "funnel_summary")),
            (WINDOW_S, rows / topic["messages"]),
        ),
        worked_s=_worked_s(backlog, documents["backlog"]["machine"]["cores"]),
    )


def _as_round(rate: Any) -> dict[str, Any]:
    """The median micro-batch of a rate, as a round of ``costs``."""
    stages = {name: [found["median_rows"], found["median_s"]] for name, found in rate["stages"].items()}
    messages = stages["bronze"][0]
    return {
        "messages": messages,
        "seconds": sum(stages[name][1] for name in ("bronze", "silver", "gold")),
        "stages": stages,
    }


def _as_alone(found: Any) -> dict[str, Any]:
    """Rows/s of the mirrors' median transactions, beside everything else."""

    def rows_per_s(name: str) -> dict[str, Any]:
        rows, seconds = found["stages"][name]
        return {"median": rows / seconds}

    copied, updated = rows_per_s("raw_events"), rows_per_s("funnel_summary")
    return {"rows": found["messages"], "copied": copied, "updated": updated}


def _worked_s(backlog: Any, cores: int) -> dict[str, float]:
    """All that the machine worked on the backlog, less what others did, shared out by how long stages were at work."""
    (ours,) = (contest for contest in backlog["contests"] if contest["name"] == "lakehouse")
    whole = (cores - ours["others_cores"]) * ours["seconds"]["median"] / backlog["topic"]["messages"]
    at_work = backlog["stage_seconds"]
    return {name: whole * seconds / sum(at_work.values()) for name, seconds in at_work.items()}


def _share(found: Any, stage: str) -> float:
    return float(found["stages"][stage][0] / found["messages"])
