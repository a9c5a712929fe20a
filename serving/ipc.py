"""What an Arrow IPC stream says of its batches, read before any of it is decompressed.

pyarrow decompresses a batch before it tells how many rows it has, and 8 MB of zeros are as many GB by then. So the
messages' metadata are read here: flatbuffers, laid out as Message.fbs of the Arrow format has them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
"""Kinds of a message's header."""
_NOT_COMPRESSED: Final = -1
"""In the place of a buffer's length: it is kept as it is within a stream that is compressed."""


@dataclass(frozen=True)
class Announced:
    """A batch, or a dictionary, before it is read."""

    rows: int
    """0 of a dictionary."""
    unpacked_bytes: int
    """What its buffers are to be decompressed to; 0 where it is not compressed, for then it is as large as it came."""


def announced(body: bytes) -> Iterator[Announced]:
    """The batches of the stream ``body``, in order.

    Raises ValueError where it is no such stream, as pyarrow's errors are, or its metadata point elsewhere.
    """
    try:
        for message in pa.ipc.MessageReader.open_stream(body):
            found = _announced(message)
            if found is not None:
                yield found
    except struct.error as error:
        raise ValueError(f"the metadata of a message cannot be read ({error})") from None


def _announced(message: pa.ipc.Message) -> Announced | None:
    told = bytes(message.metadata)
    root = _Table.at(told, 0)
    kind = root.number(1, "B")
    if kind == _RECORD_BATCH:
        batch = root.table(2)
        return None if batch is None else Announced(batch.number(0, "q"), _unpacked(batch, message.body))
    if kind == _DICTIONARY_BATCH:
        header = root.table(2)
        batch = None if header is None else header.table(1)
        return None if batch is None else Announced(0, _unpacked(batch, message.body))
    return None


def _unpacked(batch: _Table, body: pa.Buffer) -> int:
    if batch.table(3) is None:  # of the compression
        return 0
    total = 0
    for offset, length in batch.pairs(2):
        if length:
            (size,) = struct.unpack_from("<q", body, offset)  # each compressed buffer begins with what it unpacks to
            total += length if size == _NOT_COMPRESSED else max(size, 0)
    return total


@dataclass(frozen=True)
class _Table:
    """A table of a flatbuffer; fields by their place in the schema."""

    told: bytes
    place: int

    @classmethod
    def at(cls, told: bytes, pointer: int) -> _Table:
        return cls(told, pointer + _read(told, "I", pointer))

    def number(self, field: int, form: str) -> int:
        """0 where the field is left out."""
        where = self._where(field)
        return 0 if where is None else _read(self.told, form, where)

    def table(self, field: int) -> _Table | None:
        where = self._where(field)
        return None if where is None else _Table.at(self.told, where)

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """Of a list of structs of two longs."""
        where = self._where(field)
        if where is None:
            return
        start = where + _read(self.told, "I", where)
        for number in range(_read(self.told, "I", start)):
            first = start + 4 + 16 * number
            yield _read(self.told, "q", first), _read(self.told, "q", first + 8)

    def _where(self, field: int) -> int | None:
        fields = self.place - _read(self.told, "i", self.place)
        entry = 4 + 2 * field
        if entry >= _read(self.told, "H", fields):
            return None
        offset = _read(self.told, "H", fields + entry)
        return self.place + offset if offset else None


def _read(told: bytes, form: str, place: int) -> int:
    if place < 0:
        raise struct.error("points before its start")
    found: int
    (found,) = struct.unpack_from(f"<{form}", told, place)
    return found
