"""Many browsers at once: what they cost Postgres and the dashboard, and what each of them sees of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from playwright.sync_api import Browser, Page

from benchmarks import browser as chromium
from benchmarks.measure import Percentiles, percentiles
from benchmarks.resources import Usage, sampled
from benchmarks.stack import Stack
from benchmarks.statements import Kind, ReaderLog, kinds
from benchmarks.views import View
from lakehouse.errors import LakehouseError

MIX: Final = ("now", "funnel", "retention", "churn", "quality", "time_travel", "pipeline", "now", "now", "now")
"""Which pages they have open, each as it opens; beyond ten from the start again."""
KINDS: Final = 12
"""The costliest kinds of statements that are told."""


@dataclass(frozen=True)
class Meanwhile:
    """Some time with so many browsers, all of them live, on a stack that events come to."""

    browsers: int
    pages: tuple[str, ...]
    seconds: float
    refresh_s: Percentiles | None
    """Of all refreshes that the browsers saw; None without any."""
    refresh_by_page_s: Mapping[str, Percentiles | None]
    statements_per_s: float
    """Of the role that can only read: the dashboard's."""
    statements_busy: float
    """Seconds of each second that these took in Postgres."""
    statement_ms: Percentiles | None
    kinds: tuple[Kind, ...]
    """The costliest `KINDS`."""
    connections_per_s: float
    """Sessions begun, whoever's."""
    connections_most: int
    """Of that role at one moment."""
    transactions_per_s: float
    """Of the whole database, as the rest."""
    active: float
    """Seconds of each second that any statement took."""
    blocks_hit_per_s: float
    """Of 8 KiB."""
    blocks_read_per_s: float
    usage: Usage


def meanwhile(
    browser: Browser, address: str, stack: Stack, log: ReaderLog, count: int, seconds: float, load_pid: int
) -> Meanwhile:
    """Opens ``count`` browsers, each a profile of its own, and measures once all of them are drawn; without any, what
    there is without them."""
    names = tuple(MIX[number % len(MIX)] for number in range(count))
    with ExitStack() as opened:
        pages = [_opened(opened, browser, View(name, "").url(address)) for name in names]
        clock = chromium.blank(browser)  # a page of nothing: what waits lets the browsers' own messages be taken
        opened.callback(clock.context.close)
        with log.asked() as asked, log.connections() as connections, sampled(stack, load_pid) as samples:
            before = log.counters()
            for page in pages:
                chromium.watch(page)
            clock.wait_for_timeout(seconds * 1000)
            refreshed = [chromium.watched(page) for page in pages]
            counted = log.counters().since(before)
    taken = samples.seconds
    by_page = {
        name: [second for own, found in zip(names, refreshed, strict=True) if own == name for second in found]
        for name in dict.fromkeys(names)
    }
    return Meanwhile(
        browsers=count,
        pages=names,
        seconds=round(taken, 1),
        refresh_s=percentiles([second for found in refreshed for second in found]),
        refresh_by_page_s={name: percentiles(found) for name, found in by_page.items()},
        statements_per_s=round(len(asked.statements) / taken, 2),
        statements_busy=round(asked.total_s / taken, 4),
        statement_ms=percentiles([statement.ms for statement in asked.statements]),
        kinds=kinds(asked.statements)[:KINDS],
        connections_per_s=round(counted.sessions / taken, 2),
        connections_most=max(connections, default=0),
        transactions_per_s=round(counted.transactions / taken, 1),
        active=round(counted.active_s / taken, 4),
        blocks_hit_per_s=round(counted.blocks_hit / taken, 1),
        blocks_read_per_s=round(counted.blocks_read / taken, 1),
        usage=samples.usage(),
    )


def in_words(found: Meanwhile) -> str:
    """For the console."""
    seen = (
        ""
        if found.refresh_s is None
        else f", refreshed p50 {found.refresh_s.p50:.2f} s, p95 {found.refresh_s.p95:.2f} s"
    )
    cores = found.usage.cores
    return (
        f"{found.browsers} browsers: {found.statements_per_s:g} statements/s, {found.statements_busy:.1%} of the time; "
        f"Postgres {cores.get('postgres', 0.0):.2f} and dashboard {cores.get('dashboard', 0.0):.2f} cores{seen}"
    )


def _opened(opened: ExitStack, browser: Browser, url: str) -> Page:
    page = chromium.blank(browser)
    opened.callback(page.context.close)
    chromium.visit(page, url)
    if page.get_by_test_id("stException").count():
        raise LakehouseError(f"{url} shows an exception; see the dashboard's log")
    return page
