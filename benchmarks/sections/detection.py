"""Detection, in words and tables."""

from __future__ import annotations

from typing import Any

from benchmarks import markdown as md


def section(result: Any, options: Any) -> list[str]:
    """What was found of each fault, and of none."""
    found = [fault for fault in result["faults"] if fault["after_s"] is not None]
    return [
        "## Detection",
        f"A running stack at {options['rate']:,} simulated events/s (1 % up to a day late, 1 % copies, 0.2 % broken), "
        f"after {options['history_hours']:g} hours of history. Silence is found after "
        f"{options['freshness_minutes']:g} minutes and mirrors are compared every "
        f"{options['mirrors_interval_s']:g} s here; all else is as it is by default: a look every 30 s.",
        f"**Clean.** In {md.seconds(result['clean_s'])}, with {md.whole(result['clean_events'])} events in bronze by "
        f"then, {md.whole(result['clean_runs'])} runs judged {md.whole(result['clean_rows'])} rows, with "
        f"{md.whole(result['clean_verdicts'])} verdicts; {_none_or(result['false_alarms'])} alarmed or halted, "
        f"{_none_or(result['warnings'])} warned.",
        f"**Faults.** {len(found)} of {len(result['faults'])} were found. Seconds from the first wrong message in "
        "bronze, or the last right one, to the verdict's row in Postgres, which is where a person sees it; they "
        "include the wait for the next look.",
        md.table(
            ("fault", "what", "found by", "severity", "judged after", "in Postgres after", "alarmed too"),
            [
                (
                    fault["name"],
                    fault["what"],
                    f"`{fault['expectation']}` of {fault['table']}",
                    fault["severity"] or "**missed**",
                    md.seconds(fault["judged_after_s"]),
                    md.seconds(fault["after_s"]),
                    ", ".join(fault["also"]) or md.NONE,
                )
                for fault in result["faults"]
            ],
        ),
    ]


def _none_or(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
