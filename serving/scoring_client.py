"""The scoring API as the mirror asks it: Arrow in, Arrow out, and errors that say what to do about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pyarrow as pa

from lakehouse.answers import complaint, detail_of, in_words
from lakehouse.errors import LakehouseError, Unavailable

CONNECT_LIMIT_S = 2.0
ANSWER_LIMIT_S = 30.0
"""For a batch with reasons; what was measured is below two seconds."""
LOOK_LIMIT_S = 2.0
"""For the question which model serves: it is asked again soon."""

ARROW = "application/vnd.apache.arrow.stream"
_AWAY = frozenset({429, 502, 503, 504})
"""Answers of a server, or of one before it, that will do what it was asked later."""
_REFUSED = frozenset({413, 422})


@dataclass(frozen=True)
class Scored:
    """An answer."""

    rows: pa.Table
    """``churn_probability`` (double), ``churned`` (bool), ``reasons`` (list of text), in the order of the request."""
    model_version: str
    threshold: float


class Refused(Exception):
    """The API will never score the batch as it is."""

    def __init__(self, reason: str, rows: Mapping[int, str]) -> None:
        super().__init__(reason)
        self.rows = rows
        """Why, for each row that it names, by its number in the batch; empty where it names none."""


@dataclass
class ScoringClient:
    """Asks the API at ``address`` (http://…); an ``api_key`` goes along where there is one."""

    address: str
    api_key: str | None = field(default=None, repr=False)
    _open: httpx.Client | None = field(default=None, repr=False)

    def score(self, features: pa.Table) -> Scored:
        """Scores rows of the feature columns, with reasons for those that churn.

        Raises Unavailable where the API is away or has no model yet, Refused where it takes offence at rows, and
        LakehouseError for any other answer.
        """
        answer = self._ask(
            "POST",
            "/predict/batch",
            ANSWER_LIMIT_S,
            params={"reasons": "churned"},
            content=_to_stream(features),
            headers={"Content-Type": ARROW, "Accept": ARROW},
        )
        try:
            rows = pa.ipc.open_stream(answer.content).read_all()
            rows = rows.select(["churn_probability", "churned", "reasons"])
            scored = Scored(rows, answer.headers["X-Model-Version"], float(answer.headers["X-Threshold"]))
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            raise self._not_understood(answer, f"{type(error).__name__}: {error}") from None
        if rows.num_rows != features.num_rows:
            raise self._not_understood(answer, f"{rows.num_rows} rows for {features.num_rows}")
        return scored

    def model_version(self) -> str:
        """The model that serves now. Raises Unavailable where there is none or no API, and LakehouseError."""
        answer = self._ask("GET", "/model", LOOK_LIMIT_S)
        try:
            return str(answer.json()["model_version"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._not_understood(answer, f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Ends the connections; the next question opens one."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def _ask(self, method: str, path: str, limit_s: float, **options: Any) -> httpx.Response:
        if self._open is None:
            headers = {} if self.api_key is None else {"X-API-Key": self.api_key}
            # An address of this stack: no proxy has a say in it.
            self._open = httpx.Client(base_url=self.address, headers=headers, trust_env=False)
        try:
            timeout = httpx.Timeout(limit_s, connect=CONNECT_LIMIT_S)
            answer = self._open.request(method, path, timeout=timeout, **options)
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise Unavailable(
                f"the API at {self.address} does not answer: {why}; `lakehouse status` shows whether it runs"
            ) from None
        if answer.status_code == httpx.codes.OK:
            return answer
        detail = detail_of(answer)
        if answer.status_code in _AWAY:
            raise Unavailable(f"the API at {self.address} cannot score now: {in_words(detail)}")
        if answer.status_code in _REFUSED and method == "POST":
            raise Refused(in_words(detail), _by_row(detail))
        raise LakehouseError(f"the API at {self.address} answers {path} with {answer.status_code}: {in_words(detail)}")

    def _not_understood(self, answer: httpx.Response, why: str) -> LakehouseError:
        return LakehouseError(f"the API at {self.address} answers {answer.url.path} with something else ({why})")


def _to_stream(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return bytes(sink.getvalue())


def _by_row(detail: Any) -> dict[int, str]:
    """What is said of each row: the first number of a place, ``["body", "rows", 3, "num_views"]``, is the row's."""
    found: dict[int, list[str]] = {}
    for part in detail if isinstance(detail, list) else []:
        place = part.get("loc") if isinstance(part, dict) else None
        number = next((each for each in place or () if isinstance(each, int)), None)
        if number is not None:
            found.setdefault(number, []).append(complaint(part))
    return {number: "; ".join(complaints)[:300] for number, complaints in found.items()}
