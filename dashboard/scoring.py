"""The scoring API as the pages ask it: what would be said of a user, and what serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import httpx
import msgspec
import streamlit as st

from lakehouse.answers import detail_of, in_words
from lakehouse.doors import own_key
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError, Unavailable
from lakehouse.home import Home
from lakehouse.settings import Settings

LIMIT_S: Final = 3.0
"""A score takes milliseconds, and a person waits for it."""
MODEL_KEPT_S: Final = 5.0
"""Viewers within so long share what is said of the model; a new one comes a few times a day."""

_REFUSED: Final = frozenset({413, 422})

T = TypeVar("T")


class Refused(LakehouseError):
    """The API takes offence at a value."""


@dataclass(frozen=True)
class Prediction:
    """What is said of a user."""

    churned: bool
    churn_probability: float
    threshold: float
    model_version: str
    reasons: tuple[str, ...]
    """What moved the probability most, the strongest first."""


@dataclass(frozen=True)
class Metric:
    """A value, and where 95 % of its bootstrap values lie; null where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Calibrated:
    """Users with nearby scores: what was said of them, and the share that churned."""

    users: int
    mean_score: float
    churned: float


@dataclass(frozen=True)
class Model:
    """What serves."""

    model_version: str
    kind: str
    threshold: float
    simulated: bool
    trained_at: datetime
    horizon_days: int
    lookback_days: int
    test_cut: datetime
    training_rows: int
    test_rows: int
    metrics: Mapping[str, Metric]
    counts_metrics: Mapping[str, Metric]
    calibration: tuple[Calibrated, ...]
    data_versions: Mapping[str, int]
    problem: str | None
    """Why a newer file does not serve."""


def predict(settings: Settings, features: Mapping[str, float | None]) -> Prediction:
    """Raises Refused where a value cannot be, Unavailable where the API is away or has no model, LakehouseError."""
    return _ask(*_door(settings), Prediction, "POST", "/predict", json=dict(features))


def serving_model(settings: Settings) -> Model:
    """Raises Unavailable where the API is away or has no model, and LakehouseError."""
    return _model(*_door(settings))


@st.cache_data(ttl=MODEL_KEPT_S, max_entries=10, show_spinner=False)
def _model(address: str, key: str | None) -> Model:
    return _ask(address, key, Model, "GET", "/model")


def _door(settings: Settings) -> tuple[str, str | None]:
    """Where the API answers, and the key it asks for; looked up each time, for a new stack may answer elsewhere."""
    address = Endpoints.load(Home(settings.home)).api
    if not address:
        raise Unavailable(f"the stack under {settings.home} runs without the API; `lakehouse up` starts it with it")
    return address, own_key(settings)


def _ask(address: str, key: str | None, kind: type[T], method: str, path: str, **options: Any) -> T:
    headers = {} if key is None else {"X-API-Key": key}
    try:
        # An address of this stack: no proxy has a say in it.
        with httpx.Client(base_url=address, headers=headers, timeout=LIMIT_S, trust_env=False) as client:
            answer = client.request(method, path, **options)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise Unavailable(f"the API at {address} does not answer: {why}") from None
    if answer.status_code in _REFUSED:
        raise Refused(in_words(detail_of(answer)))
    if answer.status_code != httpx.codes.OK:
        raise Unavailable(f"the API at {address} answers with {answer.status_code}: {in_words(detail_of(answer))}")
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.MsgspecError as error:
        raise LakehouseError(f"the API at {address} answers {path} with something else ({error})") from None
