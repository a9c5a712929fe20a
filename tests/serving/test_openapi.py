"""The API against its own description: requests made of it, good and bad, and what may come back."""

from __future__ import annotations

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation, BaseSchema

from lakehouse.settings import load_settings
from ml.package import save
from serving.api import create_app
from tests.serving.churn_package import churn_package
from tests.serving.test_scoring import ENDPOINTS

OPERATIONS = {
    ("/", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
    ("/model", "GET"),
    ("/predict", "POST"),
    ("/predict/batch", "POST"),
    ("/users/{user_id}/churn", "GET"),
}
NEED_POSTGRES = {"/users/{user_id}/churn", "/readyz"}
"""Postgres is away here, so these answer 503; no other may answer with anything from 500 on."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("model")
    save(churn_package(), folder / "model.pkl")
    return create_app(load_settings(home=folder, model_file=folder / "model.pkl"), ENDPOINTS)


@pytest.fixture(scope="module")
def described(app: FastAPI) -> BaseSchema:
    schema: BaseSchema = schemathesis.openapi.from_asgi("/openapi.json", app)
    return schema


def test_every_operation_is_tried(described: BaseSchema) -> None:
    assert {(found.ok().path, found.ok().method.upper()) for found in described.get_all_operations()} == OPERATIONS


@pytest.mark.parametrize(("path", "method"), sorted(OPERATIONS))
def test_what_the_description_allows_is_answered(described: BaseSchema, path: str, method: str) -> None:
    _try(described[path][method], GenerationMode.POSITIVE)


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_what_it_does_not_allow_is_refused(described: BaseSchema, path: str) -> None:
    _try(described[path]["POST"], GenerationMode.NEGATIVE)


def _try(operation: APIOperation, mode: GenerationMode) -> None:
    """The same 100 requests each time; the library judges status, form and content of each answer."""
    allowed = [not_a_server_error] if operation.path in NEED_POSTGRES else []

    @settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=allowed, headers={"Host": "localhost"})

    answered()
