"""A backlog and its contenders, in words and tables."""

from __future__ import annotations

from typing import Any

from benchmarks import markdown as md
from benchmarks.sections import notes


def section(result: Any, options: Any) -> list[str]:
    """The contest, its ratios, and whether the result is right."""
    topic, proof = result["topic"], result["proof"]
    parts = [
        "## Backlog",
        f"One topic, {topic['messages']:,} messages ({topic['events']:,} distinct valid events in "
        f"{topic['windows']:,} windows of a user; the rest are copies and broken ones), taken by each in turn, "
        f"{notes.times(options['repeats'])}, with an empty home and an empty Postgres, nothing else at work but Kafka "
        "and Postgres. Median (lowest to highest).",
        md.table(
            ("", "events/s", "time", "peak memory", "events counted"),
            [
                (contest["name"], "failed", md.NONE, md.NONE, md.NONE)
                if contest["seconds"] is None
                else (
                    contest["name"],
                    md.spread(contest["events_per_second"], md.whole),
                    md.spread(contest["seconds"]),
                    f"{contest['peak_memory_mib']:,.0f} MiB",
                    md.whole(contest["counted"]),
                )
                for contest in result["contests"]
            ],
        ),
        _ratios(result),
        "\n".join(f"- **{contest['name']}**: {contest['what']}." for contest in result["contests"]),
        "\n".join(f"- {c['name']} failed: {c['error']}" for c in result["contests"] if c["error"]),
    ]
    if proof:
        wrong = f"; wrong: {', '.join(proof['wrong_balances'])}" if proof["wrong_balances"] else ""
        parts.append(
            f"**The result is {'right' if proof['is_right'] else 'WRONG'}.** `lakehouse audit --full` after each run: "
            f"{proof['audits_that_agree']} of {proof['runs']} agree ({proof['balances']} balances{wrong}). Against a "
            f"count of the messages as they were sent, which no part of the pipeline sees: "
            f"{proof['gold_rows_expected']:,} windows expected in gold, {proof['gold_rows']:,} there, "
            f"{proof['gold_rows_wrong']:,} wrong."
        )
    if result["stage_seconds"]:
        turns = ", ".join(f"{name} {md.seconds(s)}" for name, s in result["stage_seconds"].items())
        parts.append(f"At work in the lakehouse's first run, the mirrors beside the tables: {turns}.")
    parts.append(notes.busy(max((contest["others_cores"] for contest in result["contests"]), default=0.0)))
    return parts


def _ratios(result: Any) -> str:
    said = []
    if result["times_plain"] is not None:
        said.append(f"{result['times_plain']:.2f} times the speed of the plain design")
    if result["share_of_limit"] is not None:
        said.append(f"{result['share_of_limit']:.0%} of that of a bare reader")
    return f"The lakehouse runs at {' and '.join(said)}." if said else ""
