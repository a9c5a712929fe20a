"""A file of past events, sent again as messages: each line is produced, or refused with its reason.

A replay goes twice over the file. The first pass tells equal lines apart and, where the mapping asks for it, finds
the sessions; the second maps and sends. Each event's id is a hash of the line's whole content and its ordinal among
equal lines, so a second replay, in whatever order the lines stand, gives the same ids and is recognised downstream
as copies, while two real events that look alike stay two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from lakehouse.errors import LakehouseError
from producer.client import MAX_MESSAGE_BYTES, Sender
from producer.event_times import epoch_us
from producer.files import TOO_LONG, BadLine, DamagedFile, Row, read_columns, read_lines
from producer.mapper import Mapper, Unmappable, Who
from producer.mappings import Mapping as EventMapping
from producer.mappings import check_columns
from producer.pace import Pace
from producer.rejects import Rejects
from producer.stop import Stop
from producer.survey import Answers, Ordinals, Sessions, digest

SURVEYING: Final = "reading"
SENDING: Final = "sending"

Progress = Callable[[str, int], None]
"""Takes the pass (SURVEYING or SENDING) and the lines it has done; called every few hundred lines."""

_PROGRESS_EVERY: Final = 512


@dataclass(frozen=True)
class Replayed:
    """What became of a file's lines of data: ``lines`` = ``produced`` + ``refused``."""

    lines: int
    """Lines of data read; the header line of a CSV is none."""
    produced: int
    """Lines sent as messages, every one acknowledged by the broker."""
    refused: int
    """Lines that could not be mapped."""
    too_old: int
    """Of the lines sent, those of before ``oldest``: silver will refuse them."""
    refused_by_reason: Mapping[str, int]
    seconds: float
    """From the start to the last acknowledgement, both passes."""
    rejects: Path | None
    """Where the refused lines are written; None where there are none."""

    @property
    def sentence(self) -> str:
        rate = f"{self.produced / self.seconds:,.0f} events/s" if self.seconds > 0 else "at once"
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.refused_by_reason.items())
        refused = f", {self.refused:,} refused ({reasons}), see {self.rejects}" if self.refused else ""
        return f"{self.lines:,} lines: {self.produced:,} produced{refused}; {self.seconds:.1f} s, {rate}"


class ReplayEnded(LakehouseError):
    """A replay that did not reach the end of its file; ``result`` says how far it came."""

    def __init__(self, message: str, result: Replayed) -> None:
        super().__init__(message)
        self.result = result


class ReplayStopped(ReplayEnded):
    """Somebody asked it to stop: what was read until then is delivered."""

    exit_code = 130


@dataclass(frozen=True)
class Plan:
    """A file with its mapping, found to fit each other."""

    file: Path
    mapping: EventMapping
    columns: list[str] | None
    """The file's columns; None for JSON lines, where each line has its own."""


def plan(file: Path, mapping: EventMapping, mapping_name: str) -> Plan:
    """Looks at the file's beginning only. Raises LakehouseError where it cannot be read or lacks a column."""
    if not file.is_file():
        raise LakehouseError(f"{file}: there is no such file")
    columns = read_columns(file)
    if columns is not None:
        check_columns(mapping, mapping_name, file, columns)
    return Plan(file, mapping, columns)


def replay(
    plan: Plan,
    sender: Sender,
    rejects: Rejects,
    scratch: Path,
    *,
    pace: Pace,
    stop: Stop,
    progress: Progress,
    oldest: datetime | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Replayed:
    """Sends every line of the file that can be mapped, in the order of the file.

    ``scratch`` is a folder on a disk with room for 24 bytes a line, 16 for each line that repeats
    another, and 48 a line where sessions are derived. Memory does not grow with the file. ``stop`` is looked at
    before each line.

    Raises ReplayStopped where ``stop`` was set, ReplayEnded where the file is damaged or changes underneath (both
    after everything sent was delivered), LakehouseError where the broker does not take a message.
    """
    began = clock()
    before = _fingerprint(plan.file)
    with _survey(plan, scratch, stop, progress) as answers:
        sending = _Sending(plan, sender, rejects, answers, pace, stop, oldest)
        damage: DamagedFile | None = None
        try:
            for line in read_lines(plan.file):
                if stop.is_set():
                    break
                sending.line(line)
                if sending.lines % _PROGRESS_EVERY == 0:
                    progress(SENDING, sending.lines)
        except DamagedFile as error:
            damage = error
    sender.flush()
    result = replace(sending.result(), seconds=clock() - began)
    if stop.is_set():
        raise ReplayStopped(
            f"stopped: {result.sentence}; replaying {plan.file} again is safe, copies are recognised by their event_id",
            result,
        )
    if damage is not None:
        raise ReplayEnded(f"{damage}; until there {result.sentence}", result) from None
    if _fingerprint(plan.file) != before:
        raise ReplayEnded(f"{plan.file} was changed during its replay; replay it again: {result.sentence}", result)
    return result


class _Sending:
    """The second pass."""

    def __init__(
        self,
        plan: Plan,
        sender: Sender,
        rejects: Rejects,
        answers: Answers,
        pace: Pace,
        stop: Stop,
        oldest: datetime | None,
    ) -> None:
        self._mapper = Mapper(plan.mapping, plan.columns)
        self._sender = sender
        self._rejects = rejects
        self._ordinals = answers.ordinals
        self._session_starts_us = answers.session_starts_us
        self._pace = pace
        self._stop = stop
        self._oldest = oldest
        self._produced = 0
        self._too_old = 0

    @property
    def lines(self) -> int:
        return self._produced + self._rejects.count

    def line(self, line: Row | BadLine) -> None:
        """Sends or refuses one line; neither, where it is stopped while it waits for the event's time."""
        if isinstance(line, BadLine):
            self._rejects.refuse(line, line.reason, line.detail)
            return
        ordinal = next(self._ordinals)
        start_us = next(self._session_starts_us) if self._session_starts_us is not None else None
        try:
            who = self._mapper.who(line.values)
            value = self._message(line, who, ordinal, start_us)
        except Unmappable as refusal:
            self._rejects.refuse(line, refusal.reason, refusal.detail)
            return
        self._pace.wait_for(who.time)
        if not self._stop.is_set():
            self._sender.send(who.user_id.encode(), value)
            self._produced += 1
            self._too_old += self._oldest is not None and who.time < self._oldest

    def result(self) -> Replayed:
        refused = self._rejects.count
        path = self._rejects.path if refused else None
        return Replayed(self.lines, self._produced, refused, self._too_old, self._rejects.by_reason, 0.0, path)

    def _message(self, row: Row, who: Who, ordinal: int, start_us: int | None) -> bytes:
        event_id = self._mapper.event_id(row.values) or f"{digest(row.canonical).hex()}-{ordinal}"
        session_id = None if start_us is None else f"{who.user_id}-{start_us // 1000}"
        value = self._mapper.message(row.values, who, event_id, session_id)
        if len(value) > MAX_MESSAGE_BYTES:
            raise Unmappable(TOO_LONG, f"a message of {len(value):,} bytes, above {MAX_MESSAGE_BYTES:,}")
        return value


def _survey(plan: Plan, scratch: Path, stop: Stop, progress: Progress) -> Answers:
    """The first pass. A damaged file is surveyed as far as it can be read; the second pass says so."""
    mapping = plan.mapping
    ordinals = None if mapping.id_is_named else Ordinals(scratch)
    gap_us = timedelta(minutes=mapping.session_gap_minutes) // timedelta(microseconds=1)
    sessions = Sessions(scratch, gap_us) if mapping.sessions else None
    if ordinals is None and sessions is None:
        return Answers(None, None)
    mapper = Mapper(mapping, plan.columns)
    row = 0
    try:
        for line in read_lines(plan.file):
            if isinstance(line, BadLine):
                continue
            if ordinals is not None:
                ordinals.add(digest(line.canonical))
            if sessions is not None:
                _add_session(sessions, row, mapper, line)
            row += 1
            if row % _PROGRESS_EVERY == 0:
                progress(SURVEYING, row)
                if stop.is_set():
                    break
    except DamagedFile:
        pass
    return Answers(ordinals.solve() if ordinals else None, sessions.solve() if sessions else None)


def _add_session(sessions: Sessions, row: int, mapper: Mapper, line: Row) -> None:
    try:
        who = mapper.who(line.values)
    except Unmappable:
        return
    sessions.add(row, who.user_id, epoch_us(who.time))


def _fingerprint(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
