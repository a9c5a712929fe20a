"""Pages: how long each page of the dashboard takes in a browser, to its first paint, to its data, and to newer data;
with millions of events behind it, with nothing else going on and with events coming; and what many browsers cost."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser

from benchmarks import browser as chromium
from benchmarks import crowd, pictures
from benchmarks.browser import DESKTOP
from benchmarks.crowd import Meanwhile
from benchmarks.history import Filled, History, fill
from benchmarks.load import load
from benchmarks.measure import Repeated, repeated
from benchmarks.sizes import postgres_sizes
from benchmarks.stack import Stack, fresh_home, running
from benchmarks.statements import Kind, ReaderLog, kinds, most_active_user, upkeep_is_due
from benchmarks.views import View, views
from dashboard.database import SHARED_FOR_S
from lakehouse.contracts import FunnelWindows
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.maintenance.log import Log
from lakehouse.settings import Settings

FIRST_PAINT_GOAL_S: Final = 2.0
REFRESH_GOAL_S: Final = 1.0

DRAINED_WITHIN_S: Final = 3_600.0
SETTLED_WITHIN_S: Final = 300.0
IDLE_WITHIN_S: Final = 180.0
FILLED: Final = "filled.json"
"""In a home that is kept: what it was filled with."""
EVERYWHERE: Final = {"range": "All"}
"""What pictures are of: the view that shows all there is."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    url: str = ""
    """Address of a dashboard that runs; where empty, that of a stack of its own."""
    history: History = field(default_factory=History)
    """What that stack is filled with, where it is not given a file."""
    mapping: str = "ga4"
    """How a file is read."""
    repeats: int = 3
    """Visits of each view, each by a browser whose cache is empty, and as many refreshes."""
    rate: int = 50
    """Events/s that come after a history, while all is measured again; 0: none, and no crowd either."""
    browsers: int = 10
    """In the crowd, which is compared with one browser and with none; 0: no crowd."""
    crowd_s: float = 60.0
    """How long each of the three is watched."""


QUICK: Final = Options(
    history=History(events=50_000, days=30, users=2_000), repeats=1, rate=20, browsers=3, crowd_s=20.0
)


@dataclass(frozen=True)
class Found:
    """One view in one state of the stack; seconds."""

    first_paint_s: Repeated
    """From the address to the first content."""
    drawn_s: Repeated
    """From the address until all numbers, charts and tables are there."""
    refresh_s: Repeated
    """From the click on Refresh until all are there again."""


@dataclass(frozen=True)
class PageTimes:
    """One view of a page; seconds, as in `Found`, with nothing else going on."""

    name: str
    """Of the page."""
    view: str
    first_paint_s: Repeated
    drawn_s: Repeated
    refresh_s: Repeated
    reads: tuple[Kind, ...]
    """Of Postgres, in the last refresh; empty where it was not looked at."""
    with_events: Found | None
    """The same while events come: one visit, and as many refreshes."""


@dataclass(frozen=True)
class Behind:
    """What the stack was filled with, and what came of it."""

    filled: Filled
    drained_s: float
    """From the last message sent until all was in Postgres."""
    balances: int
    books_agree: bool
    """In a full audit."""
    audited_s: float
    rows: Mapping[str, int]
    """Of each Delta table."""
    postgres_bytes: Mapping[str, int]
    """Of each mirror, indexes included."""
    is_settled: bool
    """Whether Postgres' own upkeep and the validator were done before anything was measured."""


@dataclass(frozen=True)
class Pages:
    first_paint_goal_s: float
    refresh_goal_s: float
    data: str
    """In words; empty where the stack was there before."""
    browser: str
    width: int
    height: int
    rate: int
    pages: tuple[PageTimes, ...]
    behind: Behind | None
    crowd: tuple[Meanwhile, ...]


@dataclass(frozen=True)
class _Dashboard:
    """What is measured. A dashboard of somebody's has no stack that is known here."""

    address: str
    views: pictures.Views
    data: str = ""
    stack: Stack | None = None
    behind: Behind | None = None


def measure(
    options: Options,
    settings: Settings,
    work: Path,
    say: Callable[[str], None],
    *,
    file: Path | None = None,
    home: Path | None = None,
    screenshots: Path | None = None,
) -> Pages:
    """Each view of each page, alone and while events come; then a crowd; then pictures of each page, light and dark, on
    a desktop and a phone, into the folder ``screenshots``.

    A stack of its own takes ``file``, or a history. With ``home`` it lives there and is kept: the next run finds it
    full. Raises LakehouseError where there is no browser, no file, or a page is not drawn.
    """
    pictured = screenshots is not None
    with chromium.browsing() as browser, _dashboard(options, settings, work, file, home, say, pictured) as shown:
        stack = shown.stack
        log = None if stack is None else ReaderLog(stack)
        user = "" if stack is None else most_active_user(stack)
        with nullcontext() if log is None else log.on():
            pages = _alone(browser, shown.address, user, options.repeats, log, say)
            minutes: tuple[Meanwhile, ...] = ()
            # After a file of years ago events of now would move the watermark on by years.
            if stack is not None and log is not None and shown.behind is not None and options.rate:
                pages, minutes = _with_events(browser, shown.address, stack, log, pages, user, options, settings, say)
        if screenshots is not None:
            for picture in pictures.take(browser, shown.address, shown.views, screenshots):
                say(str(picture))
        return Pages(
            FIRST_PAINT_GOAL_S,
            REFRESH_GOAL_S,
            shown.data,
            browser.version,
            DESKTOP.width,
            DESKTOP.height,
            options.rate if shown.behind is not None else 0,
            pages,
            shown.behind,
            minutes,
        )


@contextmanager
def _dashboard(
    options: Options,
    settings: Settings,
    work: Path,
    file: Path | None,
    kept: Path | None,
    say: Callable[[str], None],
    pictured: bool,
) -> Iterator[_Dashboard]:
    """``pictured``: a file comes in two parts, so that there is something to travel back to, and a model is made of its
    events."""
    if options.url:
        address = options.url.rstrip("/")
        yield _Dashboard(address, _views(_of_home(settings, address)))
        return
    if file is not None and not file.is_file():
        raise LakehouseError(f"{file} is not there; name a file of events by --file, or a running dashboard by --url")
    with _home(work, kept) as home, running(home) as stack:
        address = stack.endpoints.dashboard
        if file is not None:
            parts = (pictures.in_two(file, home.root) if pictured else None) or (file,)
            produced, earlier = _replayed(stack, parts, options.mapping, say)
            if pictured:
                _train(stack, say)
            views = _views(stack.endpoints, earlier)
            yield _Dashboard(address, views, f"{produced:,} events of {file.name}", stack)
        else:
            behind = _filled(stack, options.history, settings, say)
            events, days, users = behind.filled.events, behind.filled.days, behind.filled.users
            said = f"{events:,} simulated events of {users:,} users over {days:,} days"
            yield _Dashboard(address, _views(stack.endpoints if pictured else None), said, stack, behind)


def _views(endpoints: Endpoints | None, earlier: int | None = None) -> pictures.Views:
    """With a user and an ``earlier`` state that have something to show, as far as they are known."""
    of_page: dict[str, dict[str, str]] = {}
    if endpoints is not None and (user := pictures.user_with_most_to_see(endpoints)) is not None:
        of_page["user"] = {"user": user}
    if earlier is not None:
        of_page["time_travel"] = {"table": FunnelWindows.name, "as_of": "Version", "version": str(earlier)}
    return pictures.Views(EVERYWHERE, of_page)


def _of_home(settings: Settings, address: str) -> Endpoints | None:
    """Where the settings' home has its servers, if the dashboard at ``address`` is one of them."""
    try:
        found = Endpoints.load(Home(settings.home))
    except LakehouseError:
        return None
    return found if found.dashboard.rstrip("/") == address else None


@contextmanager
def _home(work: Path, kept: Path | None) -> Iterator[Home]:
    """A fresh one, removed at the end; or the one that is kept."""
    if kept is None:
        with fresh_home(work, "pages") as home:
            yield home
    else:
        yield Home(kept.resolve()).make()


def _replayed(stack: Stack, parts: Sequence[Path], mapping: str, say: Callable[[str], None]) -> tuple[int, int | None]:
    """How many events there are in the parts of a file, and the version of gold before the last part; None for one
    part only."""
    produced, earlier = 0, None
    for part in parts:
        if produced:
            earlier = Log(stack.home.table(FunnelWindows.name)).commits()[-1]
        say(f"the stack takes {part.name}")
        produced += int(json.loads(stack.run("replay", str(part), "--mapping", mapping, "--json"))["produced"])
        stack.drain(SETTLED_WITHIN_S)
        if not until(lambda: _settled(stack), SETTLED_WITHIN_S, tick_s=2.0):
            say("some pages are not full: the champion or the verdicts are not there yet")
    return produced, earlier


def _train(stack: Stack, say: Callable[[str], None]) -> None:
    """Makes a model of the events, has it compared with today's users, and waits until every score is by it."""
    say("a model is trained of the events")
    try:
        stack.run("train")
        stack.run("model", "drift", may_fail=True)  # it ends with 1 where a training is due, too
        until(lambda: pictures.scores_are_of_own_model(stack.endpoints), SETTLED_WITHIN_S, tick_s=2.0)
    except LakehouseError as error:  # too few events for a model
        say(f"{error}; the scores stay those of the model of simulated data")


def _filled(stack: Stack, history: History, settings: Settings, say: Callable[[str], None]) -> Behind:
    """Fills it, where it has not been, lets it take everything, audits it, and waits until it has nothing to do."""
    note = stack.home.root / FILLED
    wanted = dataclasses.asdict(history)
    told: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {"history": wanted}
    if told["history"] != wanted:
        raise LakehouseError(f"{stack.home.root} was filled with {told['history']}; name another home by --home")
    for step, do in (("filled", _fill), ("books", _audit)):
        if step not in told:
            told |= do(stack, history, settings, say)
            note.write_text(json.dumps(told) + "\n")
    is_settled = until(lambda: _settled(stack, is_idle=True), IDLE_WITHIN_S, tick_s=5.0)
    if not is_settled:
        say(f"after {IDLE_WITHIN_S:g} s there still is no champion, or the validator or Postgres' upkeep is at work")
    return Behind(
        filled=Filled(**told["filled"]),
        drained_s=told["drained_s"],
        balances=len(told["books"]["balances"]),
        books_agree=bool(told["books"]["agrees"]),
        audited_s=told["audited_s"],
        rows=stack.writer().get("tables", {}),
        postgres_bytes=postgres_sizes(stack.endpoints.postgres_owner),
        is_settled=is_settled,
    )


def _fill(stack: Stack, history: History, settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"the stack is given {history.events:,} events")
    filled = fill(stack.endpoints.kafka, settings, history, datetime.now(UTC), say)
    say(f"{filled.messages:,} messages sent in {filled.seconds:g} s")
    began = time.monotonic()
    stack.drain(DRAINED_WITHIN_S)
    drained_s = round(time.monotonic() - began, 1)
    say(f"drained in another {drained_s:g} s")
    return {"filled": dataclasses.asdict(filled), "drained_s": drained_s}


def _audit(
    stack: Stack,
    history: History,  # noqa: ARG001 (as `_fill`)
    settings: Settings,  # noqa: ARG001
    say: Callable[[str], None],
) -> dict[str, Any]:
    began = time.monotonic()
    books = stack.audit()
    audited_s = round(time.monotonic() - began, 1)
    verdict = "agree" if books["agrees"] else "DO NOT AGREE"
    say(f"the books {verdict}: {len(books['balances'])} balances in {audited_s:g} s")
    return {"books": books, "audited_s": audited_s}


def _settled(stack: Stack, *, is_idle: bool = False) -> bool:
    """Whether what comes after the events is there too: a model, and verdicts; ``is_idle``: on everything, and
    Postgres has tidied up."""
    told = json.loads(stack.run("status", "--json", may_fail=True) or "{}")
    judged = (told.get("quality") or {}).get("tables", {})
    if told.get("champion") is None or (judged.get("gold.user_days") or {}).get("validated") is None:
        return False
    behind = any(table.get("lag_versions") for table in judged.values())
    return not (is_idle and (behind or upkeep_is_due(stack)))


def _alone(
    browser: Browser, address: str, user: str, repeats: int, log: ReaderLog | None, say: Callable[[str], None]
) -> tuple[PageTimes, ...]:
    """Every view, with nothing else going on."""
    found: list[PageTimes] = []
    for view in views(user):
        if not any(before.name == view.page for before in found):
            _visited(browser, address, view, None)  # the first one has the server import what the page needs
        visits = [_visited(browser, address, view, log) for _ in range(repeats)]
        times = PageTimes(
            view.page,
            view.name,
            repeated([visit.first_paint_s for visit in visits]),
            repeated([visit.drawn_s for visit in visits]),
            repeated([visit.refresh_s for visit in visits]),
            visits[-1].reads,
            None,
        )
        say(f"{view.page}, {view.name}: {_in_words(times)}")
        found.append(times)
    return tuple(found)


def _with_events(
    browser: Browser,
    address: str,
    stack: Stack,
    log: ReaderLog,
    pages: tuple[PageTimes, ...],
    user: str,
    options: Options,
    settings: Settings,
    say: Callable[[str], None],
) -> tuple[tuple[PageTimes, ...], tuple[Meanwhile, ...]]:
    """The views again while events come, and the crowd."""
    with load(stack.endpoints.kafka, settings.topic, options.rate, options.history.users) as generator:
        if not until(lambda: (stack.writer().get("events_per_second") or 0.0) > 0.0, SETTLED_WITHIN_S):
            raise LakehouseError("no event comes through the stack; see its writer's log")
        again = []
        for view, times in zip(views(user), pages, strict=True):
            found = _refreshed(browser, address, view, options.repeats)
            say(f"{view.page}, {view.name}, while {options.rate:,} events/s come: {_in_words(found)}")
            again.append(dataclasses.replace(times, with_events=found))
        minutes = []
        for count in sorted({0, 1, options.browsers}) if options.browsers else ():
            minute = crowd.meanwhile(browser, address, stack, log, count, options.crowd_s, generator.pid)
            say(crowd.in_words(minute))
            minutes.append(minute)
        generator.stop()
    return tuple(again), tuple(minutes)


@dataclass(frozen=True)
class _Visit:
    first_paint_s: float
    drawn_s: float
    refresh_s: float
    reads: tuple[Kind, ...]


def _visited(browser: Browser, address: str, view: View, log: ReaderLog | None) -> _Visit:
    """By a browser whose cache is empty; then one refresh."""
    page = chromium.blank(browser)
    timing = chromium.visit(page, view.url(address, live="false"))  # a refresh by itself would come in between
    # Not sooner: for so long the server answers what it has answered already.
    page.wait_for_timeout(SHARED_FOR_S * 1_200)
    reads: tuple[Kind, ...] = ()
    if log is None:
        refreshed = chromium.refresh(page)
    else:
        with log.asked() as asked:
            refreshed = chromium.refresh(page)
        reads = kinds(asked.statements)
    page.context.close()
    return _Visit(timing.first_paint_s, timing.drawn_s, refreshed, reads)


def _refreshed(browser: Browser, address: str, view: View, repeats: int) -> Found:
    """One visit, and refreshes of it."""
    page = chromium.blank(browser)
    timing = chromium.visit(page, view.url(address, live="false"))
    refreshes = []
    for _ in range(repeats):
        page.wait_for_timeout(SHARED_FOR_S * 1_200)
        refreshes.append(chromium.refresh(page))
    page.context.close()
    return Found(repeated([timing.first_paint_s]), repeated([timing.drawn_s]), repeated(refreshes))


def _in_words(found: PageTimes | Found) -> str:
    return (
        f"first paint {found.first_paint_s.median:.2f} s, drawn {found.drawn_s.median:.2f} s, "
        f"refreshed {found.refresh_s.median:.2f} s"
    )
