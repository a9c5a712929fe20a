"""What the validator costs, in words and tables."""

from __future__ import annotations

import statistics
from typing import Any, Final

from benchmarks import markdown as md
from benchmarks.sections import notes

WORDS: Final = {
    "off": "no validator",
    "on": "validator",
    "gate": "validator, a gate behind silver.events",
}


def section(result: Any, options: Any) -> list[str]:
    """Freshness and throughput of each arrangement."""
    arrangements = result["arrangements"]
    return [
        "## What the validator costs",
        f"Freshness at {result['events_per_second']:,} events/s for {md.seconds(options['seconds'])} after "
        f"{md.seconds(options['warm_up_s'])}, {notes.times(options['repeats'])} each in turns: the median of the runs, "
        "and the lowest and highest.",
        md.table(
            ("", "table", "p50", "p95", "p99", "lost"),
            [
                (
                    WORDS[each["name"]],
                    f"`{table}`",
                    *(_over_runs(each, table, name) for name in ("p50", "p95", "p99")),
                    md.whole(sum(run["missing"][table] for run in each["runs"])),
                )
                for each in arrangements
                for table in each["runs"][0]["latency_s"]
            ],
        ),
        f"Throughput: {md.whole(result['backlog_messages'])} messages that came while the writer stood still, from its "
        "going on until every table and Postgres had them.",
        md.table(
            ("", "time", "events/s"),
            [
                (
                    WORDS[each["name"]],
                    _spread(each["backlog_s"], md.seconds),
                    _spread([result["backlog_messages"] / seconds for seconds in each["backlog_s"]], md.whole),
                )
                for each in arrangements
                if each["backlog_s"]
            ],
        ),
        notes.busy(max(run["usage"]["cores"].get("others", 0.0) for each in arrangements for run in each["runs"])),
    ]


def _over_runs(arrangement: Any, table: str, name: str) -> str:
    found = [run["latency_s"][table][name] for run in arrangement["runs"] if run["latency_s"][table]]
    return _spread(found, md.seconds)


def _spread(runs: list[float], show: Any) -> str:
    return md.spread({"median": statistics.median(runs), "runs": runs, "lowest": min(runs), "highest": max(runs)}, show)
