"""A cluster and its workers, in words and tables."""

from __future__ import annotations

from typing import Any

from benchmarks import markdown as md


def section(result: Any, options: Any) -> list[str]:
    """What each number of workers took, what the second gained, and who had the cores meanwhile."""
    parts = result["parts"]
    topic = parts[0]["topic"]
    kinds = sorted({kind for part in parts for kind in part["cores"]})
    return [
        "## Cluster",
        f"A standalone Spark master on this machine, workers of one core each, three brokers, a topic of "
        f"{options['partitions']} partitions with {topic['messages']:,} messages; one run each, from a writer that is "
        "ready to the last row in Postgres. On a laptop's settings Spark is local, and delta-rs commits small batches.",
        md.table(
            ("", "time", "events/s", "`audit --full`"),
            [
                (
                    part["name"],
                    md.seconds(part["seconds"]),
                    md.whole(part["seconds"] and part["topic"]["messages"] / part["seconds"]),
                    _books(part),
                )
                for part in parts
            ],
        ),
        _speed_up(parts),
        "Cores kept busy meanwhile, from the start of the writer to the end of its books:",
        md.table(
            ("", *kinds, "others"),
            [
                (
                    part["name"],
                    *(f"{part['cores'].get(kind, 0.0):.2f}" for kind in kinds),
                    f"{part['others_cores']:.2f}",
                )
                for part in parts
            ],
        ),
        "\n".join(
            f"- At work with {part['name']}: "
            + ", ".join(f"{name} {md.seconds(seconds)}" for name, seconds in part["stage_seconds"].items())
            for part in parts
        ),
    ]


def _books(part: Any) -> str:
    if part["error"]:
        return f"failed: {part['error']}"
    return f"{'agrees' if part['audit']['agrees'] else 'DOES NOT AGREE'} ({part['audit']['balances']} balances)"


def _speed_up(parts: Any) -> str:
    seconds = {part["workers"]: part["seconds"] for part in parts}
    one, two = seconds.get(1), seconds.get(2)
    return f"From one worker to two: {one / two:.2f} times the speed." if one and two else ""
