"""Freshness, in words and tables."""

from __future__ import annotations

from typing import Any

from benchmarks import markdown as md
from benchmarks.sections import notes


def section(result: Any, options: Any) -> list[str]:
    """Latencies by rate, the pause, the stages and the memory."""
    parts = [
        "## Freshness",
        f"Seconds from the producer's send to the row in Postgres. Tagged events of users that nobody else is are sent "
        f"every {result['probe_every_s']:g} s among a steady simulated load (of which 1 % are up to a day late, 1 % "
        f"copies, 0.2 % broken) and looked for every 30 ms, for {options['seconds']:g} s after a warm-up of "
        f"{options['warm_up_s']:g} s that counts nowhere; each rate on a stack of its own that begins empty.",
        md.table(
            ("events/s", "sent/s", "table", "p50", "p95", "p99", "max", "probes", "lost", "drift"),
            [
                (
                    md.whole(rate["events_per_second"]),
                    md.whole(rate["sent_per_second"]),
                    f"`{table}`",
                    *(_percentile(found, name) for name in ("p50", "p95", "p99", "max")),
                    md.whole(found["count"] if found else 0),
                    md.whole(rate["missing"][table]),
                    md.seconds(rate["drift_s"]),
                )
                for rate in result["rates"]
                for table, found in rate["latency_s"].items()
            ],
        ),
        "Drift: median of the last third less that of the first, in `funnel_summary`; it grows where the stack falls "
        "behind the load.",
        _pause(result["pause"]),
        "### Where the time goes",
        _stages(result["rates"]),
        "### Memory under load",
        notes.memory([(f"{rate['events_per_second']:,} events/s", rate["usage"]) for rate in result["rates"]]),
    ]
    parts.append(notes.busy(max((rate["usage"]["cores"].get("others", 0.0) for rate in result["rates"]), default=0.0)))
    return parts


def _percentile(found: Any, name: str) -> str:
    return md.seconds(found[name] if found else None)


def _pause(pause: Any) -> str:
    if pause is None:
        return ""
    recovered = pause["recovered_after_s"]
    normal = (
        f"the median of ten seconds was normal again ({md.seconds(pause['normal_s'])} or less) "
        f"{md.seconds(recovered)} after it went on"
        if recovered is not None
        else "the median was not normal again while it was watched"
    )
    return (
        f"**After a pause.** At {pause['events_per_second']:,} events/s the writer and its JVM were stopped for "
        f"{md.seconds(pause['paused_s'])}: {normal}, and the last event sent during the pause was in Postgres "
        f"{md.seconds(pause['backlog_gone_after_s'])} after. The longest that an event took was "
        f"{md.seconds(pause['longest_s'])}; {pause['missing']:,} were lost."
    )


def _stages(rates: list[Any]) -> str:
    names = list(dict.fromkeys(name for rate in rates for name in rate["stages"]))
    head = ["micro-batch, median"]
    for rate in rates:
        head += [f"{rate['events_per_second']:,}/s: rows", "time"]
    rows = []
    for name in names:
        row = [name]
        for rate in rates:
            stage = rate["stages"].get(name)
            row += [md.whole(stage["median_rows"]), md.seconds(stage["median_s"])] if stage else [md.NONE, md.NONE]
        rows.append(row)
    return md.table(head, rows)
