"""The result of a run: as JSON, and as a part of a Markdown page between two markers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.driver import Outcome
from tests.faults.plan import CHECK

BEGIN = "<!-- faults: written by `python -m tests.faults`, begin -->"
END = "<!-- faults: end -->"


@dataclass(frozen=True)
class Summary:
    """What a run came to. Durations are in seconds."""

    seed: int
    agrees: bool
    minutes: float
    messages: int
    """Acknowledged by the broker."""
    events: int
    """Distinct valid ones among them."""
    balances: int
    """Lines of the books that were compared, over all checks."""
    checks: int
    faults: int
    faults_by_kind: dict[str, int]
    skipped: dict[str, str]
    """Actions that could not be done, with the reason given last."""
    recovery_median_s: float
    """From the last fault of a round to the end of its check: all services back, everything arrived and compared."""
    recovery_longest_s: float
    wrong: str | None


def summarise(seed: int, outcomes: Sequence[Outcome], seconds: float) -> Summary:
    checks = [outcome for outcome in outcomes if outcome.step.action == CHECK]
    passed = [outcome.checked for outcome in checks if outcome.checked]
    durations = sorted(outcome.seconds for outcome in checks if outcome.checked)
    by_kind = Counter(outcome.step.action for outcome in outcomes if outcome.is_fault)
    wrong = next((outcome.detail for outcome in outcomes if outcome.result == "wrong"), None)
    return Summary(
        seed=seed,
        agrees=wrong is None and bool(passed),
        minutes=round(seconds / 60, 1),
        messages=passed[-1].messages if passed else 0,
        events=passed[-1].events if passed else 0,
        balances=sum(each.balances for each in passed),
        checks=len(passed),
        faults=by_kind.total(),
        faults_by_kind=dict(sorted(by_kind.items())),
        skipped={o.step.action: o.detail for o in outcomes if o.result == "skipped"},
        recovery_median_s=round(durations[len(durations) // 2], 1) if durations else 0.0,
        recovery_longest_s=round(durations[-1], 1) if durations else 0.0,
        wrong=wrong,
    )


def markdown(summary: Summary) -> str:
    """The result in words and a table."""
    verdict = (
        f"After each of {summary.checks} rounds nothing was missing and nothing came twice"
        if summary.agrees
        else f"**Something was wrong**: {summary.wrong}"
    )
    lines = [
        f"{summary.faults} faults in {summary.minutes:g} minutes, seed {summary.seed}: {summary.messages:,} messages, "
        f"{summary.events:,} distinct valid events. {verdict}; {summary.balances:,} balances of the books agreed. "
        f"From the last fault of a round until everything had arrived and was compared: median "
        f"{summary.recovery_median_s:g} s, longest {summary.recovery_longest_s:g} s.",
        "",
        "| fault | times |",
        "| --- | --- |",
        *(f"| {name} | {count} |" for name, count in summary.faults_by_kind.items()),
        *(
            f"| {name} | skipped: {reason} |"
            for name, reason in summary.skipped.items()
            if name not in summary.faults_by_kind
        ),
    ]
    return "\n".join(lines) + "\n"


def put_into(page: Path, summary: Summary) -> None:
    """Replaces what stands between the markers of ``page``; raises ValueError where it has none."""
    before, found, rest = page.read_text().partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise ValueError(f"{page} lacks the markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{markdown(summary)}{END}{after}")


def save(file: Path, summary: Summary) -> None:
    file.write_text(json.dumps(asdict(summary), indent=1) + "\n")
