"""Scoring, in words and tables."""

from __future__ import annotations

from typing import Any

from benchmarks import markdown as md
from benchmarks.sections import notes


def section(result: Any, options: Any) -> list[str]:
    """The latency of one request, and the speed of batches."""
    loads = result["loads"]
    met = sum(load["latency_s"]["p99"] <= result["goal_s"] for load in loads)
    return [
        "## Scoring",
        f"One worker of the API, {options['rate']:,} requests/s to `/predict` for {md.seconds(options['seconds'])}, "
        f"{notes.times(options['repeats'])}, with reasons; every other request gives all features. The load is a "
        "process of its own, and a latency counts from the moment that the request was due, whether or not those "
        "before it were answered.",
        md.table(
            ("load", "answered/s", "p50", "p95", "p99", "max", "failed", "cores of the API"),
            [
                (
                    f"{number}",
                    md.whole(load["sent_per_second"]),
                    *(md.seconds(load["latency_s"][name]) for name in ("p50", "p95", "p99", "max")),
                    md.whole(load["failed"]),
                    f"{load['api_cores']:.2f}",
                )
                for number, load in enumerate(loads, start=1)
            ],
        ),
        f"p99 is to be {md.seconds(result['goal_s'])} at most: so it was in {met} of {len(loads)}.",
        f"`/predict/batch`, {options['batch_rows']:,} rows a call, one call after the other; from the request's first "
        "byte to the answer's last.",
        md.table(
            ("form, features", "reasons for", "rows/s", "churned"),
            [
                (
                    f"{batch['form']}, {batch['features']}",
                    batch["reasons"],
                    md.spread(batch["rows_per_second"], md.whole),
                    f"{batch['churned_share']:.0%}",
                )
                for batch in result["batches"]
            ],
        ),
        f"The API then took {result['memory_mib']:,.0f} MiB (PSS).",
        notes.busy(result["others_cores"]),
    ]
