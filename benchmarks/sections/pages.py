"""The dashboard's pages and a crowd of browsers, in words and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from benchmarks import markdown as md
from benchmarks.sections import notes

FIGURES: Final = ("first_paint_s", "drawn_s", "refresh_s")
WRITER: Final = ("writer: Python", "writer: Spark")


def section(result: Any, options: Any) -> list[str]:
    """First paint, data and refresh of each view; what lay behind them; and what many browsers cost."""
    rate = result["rate"]
    return [
        "## Pages",
        f"Every page of the dashboard in Chromium {result['browser']} without a window, {result['width']} by "
        f"{result['height']}, each time with an empty cache, {notes.times(options['repeats'])}"
        + (f"; **behind it {result['data']}**" if result["data"] else "")
        + ". First paint, and everything drawn, count from the moment that the address is opened; newer data from the "
        "click on Refresh until everything is drawn again."
        + (f" First with nothing else going on, then while {rate:,} events/s come." if rate else ""),
        *_behind(result["behind"]),
        _times(result["pages"], rate),
        _goals(result),
        *_reads(result["pages"]),
        *_crowd(result["crowd"], rate),
    ]


def _behind(behind: Any) -> list[str]:
    if behind is None:
        return []
    filled, rows = behind["filled"], behind["rows"]
    told = ", ".join(f"`{name}` {rows[name]:,}" for name in rows if rows[name])
    mirrors = behind["postgres_bytes"]
    sizes = ", ".join(f"`{name}` {md.mebibytes(mirrors[name])}" for name in mirrors)
    books = "agree" if behind["books_agree"] else "**DO NOT AGREE**"
    return [
        f"Filled by {filled['messages']:,} messages in {md.seconds(filled['seconds'])}; all of it in Postgres "
        f"{md.seconds(behind['drained_s'])} later; the {behind['balances']} balances of a full audit {books}. Rows: "
        f"{told}. In Postgres, with indexes: {sizes}."
        + ("" if behind["is_settled"] else " **Upkeep or the validator was still at work when this was measured.**")
    ]


def _times(pages: Sequence[Any], rate: int) -> str:
    head = ["page", "view", "first paint", "everything drawn", "newer data"]
    events = [page["with_events"] for page in pages]
    if rate:
        head += ["first paint, events coming", "everything drawn", "newer data"]
    rows = []
    for page, meanwhile in zip(pages, events, strict=True):
        row = [page["name"], page["view"], *(md.spread(page[figure]) for figure in FIGURES)]
        if rate:
            row += [md.spread(meanwhile[figure]) if meanwhile else md.NONE for figure in FIGURES]
        rows.append(row)
    return md.table(head, rows)


def _goals(result: Any) -> str:
    pages = result["pages"]
    found = [*pages, *(page["with_events"] for page in pages if page["with_events"])]
    said = (
        f"First paint is to take {md.seconds(result['first_paint_goal_s'])} at most, newer data "
        f"{md.seconds(result['refresh_goal_s'])}: so it was in "
        f"{_within(found, 'first_paint_s', result['first_paint_goal_s'])} and "
        f"{_within(found, 'refresh_s', result['refresh_goal_s'])} of {len(found)} cases."
    )
    missed = [
        f"{page['name']} ({page['view']}{', events coming' if times is not page else ''}): {what} "
        f"{md.seconds(times[figure]['median'])}"
        for page in pages
        for times in (page, page["with_events"])
        if times
        for figure, what, goal in (
            ("first_paint_s", "first paint", result["first_paint_goal_s"]),
            ("refresh_s", "newer data", result["refresh_goal_s"]),
        )
        if times[figure]["median"] > goal
    ]
    return said + (f" Missed: {'; '.join(missed)}." if missed else "")


def _within(found: Sequence[Any], figure: str, goal: float) -> int:
    return sum(times[figure]["median"] <= goal for times in found)


def _reads(pages: Sequence[Any]) -> list[str]:
    """The costliest reads of each view's refresh."""
    rows = [
        (
            page["name"],
            page["view"],
            f"{sum(kind['count'] for kind in page['reads'])}",
            md.seconds(sum(kind["total_s"] for kind in page["reads"])),
            f"{page['reads'][0]['reads']} ({page['reads'][0]['most_ms']:,.1f} ms)",
        )
        for page in pages
        if page["reads"]
    ]
    if not rows:
        return []
    head = ("page", "view", "statements", "in all", "the costliest reads")
    return ["What one refresh asks of Postgres:", md.table(head, rows)]


def _crowd(minutes: Sequence[Any], rate: int) -> list[str]:
    if not minutes:
        return []
    most = minutes[-1]
    names = ", ".join(f"{name} ({most['pages'].count(name)})" for name in dict.fromkeys(most["pages"]))
    head = ["", *({0: "no browser", 1: "one"}.get(minute["browsers"], str(minute["browsers"])) for minute in minutes)]

    def row(what: str, show: Any) -> list[str]:
        return [what, *(show(minute) for minute in minutes)]

    def cores(name: str) -> Any:
        return lambda minute: f"{minute['usage']['cores'].get(name, 0.0):.2f}"

    def memory(name: str) -> Any:
        return lambda minute: f"{minute['usage']['memory'][name]['peak']:,.0f} MiB"

    table = md.table(
        head,
        [
            row("the dashboard's statements/s", lambda m: f"{m['statements_per_s']:.1f}"),
            row("time they take, of each second", lambda m: md.seconds(m["statements_busy"])),
            row("one of them, p50 / p95 / longest", lambda m: _percentiles(m["statement_ms"])),
            row("its connections, at most when looked at", lambda m: f"{m['connections_most']}"),
            row("sessions begun/s, everybody's", lambda m: f"{m['connections_per_s']:.1f}"),
            row("transactions/s, everybody's", lambda m: f"{m['transactions_per_s']:.1f}"),
            row("time all statements take, of each second", lambda m: md.seconds(m["active"])),
            row("blocks found in Postgres' buffers/s", lambda m: md.whole(m["blocks_hit_per_s"])),
            row("blocks read into them/s", lambda m: md.whole(m["blocks_read_per_s"])),
            row("Postgres, cores", cores("postgres")),
            row("dashboard, cores", cores("dashboard")),
            row("writer, cores", lambda m: f"{sum(m['usage']['cores'].get(w, 0.0) for w in WRITER):.2f}"),
            row("Chromium and whoever measures, cores", cores("benchmark")),
            row("Postgres, memory", memory("postgres")),
            row("dashboard, memory", memory("dashboard")),
            row("a refresh as seen, p50", lambda m: md.seconds(m["refresh_s"] and m["refresh_s"]["p50"])),
            row("p95", lambda m: md.seconds(m["refresh_s"] and m["refresh_s"]["p95"])),
            row("of Now, p50", lambda m: _of_now(m)),
        ],
    )
    kinds = md.table(
        ("statements that read", "number", "time in all", "mean", "longest"),
        [
            (
                kind["reads"],
                f"{kind['count']:,}",
                md.seconds(kind["total_s"]),
                f"{kind['mean_ms']:.1f} ms",
                f"{kind['most_ms']:.1f} ms",
            )
            for kind in most["kinds"]
        ],
    )
    return [
        f"**Many browsers.** {most['browsers']} with a page open each, live at the default refresh: {names}. For "
        f"{md.seconds(most['seconds'])} while {rate:,} events/s come, beside the same time with one and with none.",
        table,
        f"What the {most['browsers']} asked of Postgres:",
        kinds,
    ]


def _percentiles(found: Any) -> str:
    return md.NONE if found is None else f"{found['p50']:.1f} / {found['p95']:.1f} / {found['max']:.1f} ms"


def _of_now(minute: Any) -> str:
    found = minute["refresh_by_page_s"].get("now")
    return md.seconds(found and found["p50"])
