"""Footprint, in words and tables."""

from __future__ import annotations

from typing import Any

from benchmarks import markdown as md
from benchmarks.sections import notes


def section(result: Any, options: Any) -> list[str]:
    """Starts, memory and disk."""
    disk = result["disk"]
    messages = disk["topic"]["messages"]
    per_million = 1_000_000 / messages
    delta = [
        (
            f"`{name}`",
            md.whole(size["rows"]),
            md.whole(size["files"]),
            md.mebibytes(size["bytes"] * per_million),
            md.mebibytes(size["bytes_on_disk"] * per_million),
        )
        for name, size in disk["delta"].items()
    ]
    others = {f"Postgres `{name}`": size for name, size in disk["postgres_bytes"].items()} | {
        "Kafka": disk["kafka_bytes"],
        "checkpoints": disk["checkpoint_bytes"],
    }
    return [
        "## Footprint",
        "### Starting",
        f"`lakehouse up` with the simulator, {notes.times(options['repeats'])} each; seconds from the command. Cold: "
        "an empty home, the jars in the cache. Warm: a home that has run before.",
        md.table(
            ("", "ready", "first row in Postgres", "`lakehouse down`"),
            [
                (
                    name,
                    md.spread(result[name]["ready_s"]),
                    md.spread(result[name]["first_row_s"]),
                    md.spread(result[name]["stop_s"]),
                )
                for name in ("cold", "warm")
            ],
        ),
        "Each service from its own start until healthy, cold: "
        + ", ".join(f"{name} {md.seconds(s)}" for name, s in result["cold"]["services_s"].items())
        + ".",
        "### Memory",
        notes.memory([("idle", result["idle"]), (f"taking {messages:,} events", result["loaded"])]),
        f"Idle, the whole stack keeps {sum(_own_cores(result['idle'])):.2f} cores busy.",
        "### Disk",
        f"After a backlog of {messages:,} messages in large batches, before any upkeep; for each million messages.",
        md.table(
            ("", "rows", "files", "for a million", "with old versions, change data and log"),
            [
                *delta,
                *((name, md.NONE, md.NONE, md.mebibytes(size * per_million), md.NONE) for name, size in others.items()),
            ],
        ),
        notes.busy(max(result[name]["cores"].get("others", 0.0) for name in ("idle", "loaded"))),
    ]


def _own_cores(usage: Any) -> list[float]:
    return [cores for name, cores in usage["cores"].items() if name not in ("others", "benchmark", "load")]
