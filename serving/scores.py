"""Rows and a package into answers. Pure, apart from reading the bytes of an Arrow stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ml.evaluate import Floats
from ml.labels import CHURNED
from ml.models import PROBABILITY, matrix, probabilities
from ml.package import Package
from ml.reasons import explain
from serving.features import GIVEN, Reasons, refusals
from serving.gate import MB
from serving.ipc import announced
from serving.problems import MOST, Refusal, Refused

REASONS: Final = "reasons"

_ANSWER: Final = pa.schema([(PROBABILITY, pa.float64()), (CHURNED, pa.bool_()), (REASONS, pa.list_(pa.string()))])


@dataclass(frozen=True)
class Scores:
    """Of each row, in order."""

    probability: Floats
    churned: npt.NDArray[np.bool_]
    reasons: list[list[str]]
    """Empty for a row that was to get none."""


def score(package: Package, x: Floats, reasons: Reasons) -> Scores:
    """Scores of the rows of ``x`` (as `ml.models.matrix` gives them)."""
    model = package.model
    if reasons == "all":
        explained = explain(model, package.typical, x)
        return Scores(explained.probability, explained.probability >= model.threshold, explained.reasons)
    probability = probabilities(model.log_odds(x))
    churned = probability >= model.threshold
    said: list[list[str]] = [[] for _ in range(len(x))]
    if reasons == "churned":
        of_churned = explain(model, package.typical, x[churned]).reasons
        for row, why in zip(np.flatnonzero(churned).tolist(), of_churned, strict=True):
            said[row] = why
    return Scores(probability, churned, said)


def as_json(package: Package, scores: Scores) -> bytes:
    """The answer to a batch."""
    rows = zip(scores.churned.tolist(), scores.probability.tolist(), scores.reasons, strict=True)
    answer: dict[str, Any] = {
        "model_version": package.card.version,
        "threshold": package.model.threshold,
        "predictions": [{CHURNED: c, PROBABILITY: p, REASONS: why} for c, p, why in rows],
    }
    return msgspec.json.encode(answer)


def as_arrow(scores: Scores) -> bytes:
    """The answer to a batch, as an Arrow IPC stream."""
    columns = [pa.array(scores.probability), pa.array(scores.churned), pa.array(scores.reasons, pa.list_(pa.string()))]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _ANSWER) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=_ANSWER))
    return bytes(sink.getvalue())


def rows_of_arrow(body: bytes, max_rows: int, max_mb: int) -> Floats:
    """The features in an Arrow IPC stream, as rows of `FEATURES`; its other columns are not read.

    Raises Refused where it is none, has more than ``max_rows`` rows, is compressed and more than ``max_mb`` MB without
    that, or where a feature is missing, of another type or out of bounds.
    """
    rows = _features_of(body, max_rows, max_mb)
    if found := refusals(rows, MOST):
        raise Refused(found)
    numbers = {name: pc.cast(rows[name], pa.float64(), safe=False) for name in rows.schema.names}
    return matrix(pl.DataFrame(pa.table(numbers)))


def _features_of(body: bytes, max_rows: int, max_mb: int) -> pa.Table:
    try:
        _check_announced(body, max_rows, max_mb)
        schema = pa.ipc.open_stream(body).schema
        wanted = [place for place, name in enumerate(schema.names) if name in GIVEN]
        if not wanted:
            return pa.table({})
        with pa.ipc.open_stream(body, options=pa.ipc.IpcReadOptions(included_fields=wanted)) as stream:
            rows = stream.read_all()
        rows.validate(full=True)  # a length or an offset that lies would be read as memory of someone else
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"is no Arrow IPC stream that can be read: {' '.join(str(error).split())[:200]}"
        raise Refused([Refusal(("body",), message, "arrow_invalid")]) from None
    return rows


def _check_announced(body: bytes, max_rows: int, max_mb: int) -> None:
    rows = unpacked = 0
    for one in announced(body):
        rows, unpacked = rows + one.rows, unpacked + one.unpacked_bytes
        if rows > max_rows:
            raise Refused([_too_many(max_rows)])
        if unpacked > max_mb * MB:
            message = f"is more than api_max_body_mb={max_mb} MB once decompressed; send fewer rows at once"
            raise Refused([Refusal(("body",), message, "too_long")])


def _too_many(max_rows: int) -> Refusal:
    message = f"has more rows than api_max_batch_rows={max_rows:,}; send them in several batches"
    return Refusal(("body", "rows"), message, "too_long")
