"""Scoring over HTTP, by the application in this process; Postgres is not needed, and is not there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings, load_settings
from ml.models import PROBABILITY, Costs
from ml.package import Package, save
from serving import champion
from serving.api import create_app
from serving.predict import ARROW
from tests.serving.churn_package import churn_package, users

HERE = "http://localhost"
"""What a request names as its host: without a key the API answers to loopback only."""

NOWHERE = "postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse"
ENDPOINTS = Endpoints("", NOWHERE, NOWHERE, NOWHERE, "", "")

THREE = {"num_views": 5, "num_add_to_cart": 2, "num_purchases": 0}


@pytest.fixture(scope="session")
def package() -> Package:
    return churn_package()


@pytest.fixture(scope="session")
def turned() -> Package:
    """Another version, which calls churned whom the first one does not."""
    return churn_package("2", Costs(missed=3.0, needless=1.0), turned=True)


@pytest.fixture
def model_file(tmp_path: Path, package: Package) -> Path:
    path = tmp_path / "model.pkl"
    save(package, path)
    return path


@pytest.fixture
def own(tmp_path: Path, model_file: Path) -> Callable[..., Settings]:
    """Settings with the model of `model_file`, and what a test says."""
    return lambda **given: load_settings(home=tmp_path, model_file=model_file, **given)


@pytest.fixture
def api(own: Callable[..., Settings]) -> Iterator[TestClient]:
    with TestClient(create_app(own(), ENDPOINTS), base_url=HERE) as client:
        yield client


def test_three_counts_are_enough(api: TestClient, package: Package) -> None:
    answer = api.post("/predict", json=THREE)

    assert answer.status_code == 200
    said = answer.json()
    assert set(said) == {"churned", "churn_probability", "threshold", "model_version", "reasons"}
    (expected,) = package.model.probability(pl.DataFrame([THREE]))
    assert said["churn_probability"] == pytest.approx(expected, abs=1e-12)
    assert said["churned"] is bool(expected >= 0.5)
    assert said["threshold"] == 0.5
    assert said["model_version"] == "1"
    assert said["reasons"][0].endswith(("raises the risk", "lowers the risk"))


def test_a_whole_number_may_be_written_with_a_point(api: TestClient) -> None:
    in_floats = {name: float(value) for name, value in THREE.items()}

    assert api.post("/predict", json=in_floats).json() == api.post("/predict", json=THREE).json()


def test_all_features_are_scored_by_the_model_that_knows_them_all(api: TestClient, package: Package) -> None:
    rows = _known(users(20, seed=3))

    for row, expected in zip(rows, package.model.probability(pl.DataFrame(rows)), strict=True):
        said = api.post("/predict", json=row).json()
        assert said["churn_probability"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ('{"num_views": -1, "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "greater than or equal to 0"),
        ('{"num_views": NaN, "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "finite number"),
        ('{"num_views": 1.5, "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "whole number"),
        ('{"num_views": 1e-99, "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "whole number"),
        ('{"num_views": "5", "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "valid number"),
        ('{"num_views": true, "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "valid number"),
        ('{"num_views": null, "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "valid number"),
        ('{"num_views": 1e30, "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "less than or equal to"),
        ('{"num_views": 1000000001, "num_add_to_cart": 0, "num_purchases": 0}', "num_views", "less than or equal to"),
        ('{"num_views": 1, "num_add_to_cart": 0}', "num_purchases", "required"),
        ('{"num_views": 1, "num_add_to_cart": 0, "num_purchases": 0, "recency_days": Infinity}', "recency_days", "fin"),
        ('{"num_views": 1, "num_add_to_cart": 0, "num_purchases": 0, "recency_days": NaN}', "recency_days", "finite"),
        ('{"num_views": 1, "num_add_to_cart": 0, "num_purchases": 0, "recency_days": true}', "recency_days", "number"),
        (
            '{"num_views": 1, "num_add_to_cart": 0, "num_purchases": 0, "trend": 1.5}',
            "trend",
            "less than or equal to 1",
        ),
        ('{"num_views": 1, "num_add_to_cart": 0, "num_purchases": 0, "colour": 1}', "colour", "there are num_views"),
        ('{"num_views": 1, "num_add_to_cart": 0, "num_purchases": 0, "view_to_cart_rate": 0}', "view_to_cart_rate", ""),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_the_reason(
    api: TestClient, body: str, field: str, reason: str
) -> None:
    answer = api.post("/predict", content=body)

    assert answer.status_code == 422
    (told,) = answer.json()["detail"]
    assert told["loc"] == ["body", field]
    assert reason in told["msg"]


@pytest.mark.parametrize("body", ["", "{", "[]", "5", '{"\\ud800": 1}', "9" * 6_000, "[" * 9_000, b"\xff"])
def test_a_body_that_is_no_such_object_is_refused(api: TestClient, body: str | bytes) -> None:
    answer = api.post("/predict", content=body)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


def test_a_body_full_of_nonsense_is_answered_in_one_line(api: TestClient) -> None:
    answer = api.post("/predict", json={f"x{n}": n for n in range(5_000)})

    assert answer.json()["detail"][0]["type"] == "too_many_errors"
    assert len(answer.content) < 200


def test_a_batch_in_json_answers_in_the_rows_order(api: TestClient, package: Package) -> None:
    rows = _known(users(300, seed=5))

    said = api.post("/predict/batch", json={"rows": rows, "reasons": True}).json()

    expected = package.model.predict(pl.DataFrame(rows))
    assert said["model_version"] == "1"
    assert [p["churned"] for p in said["predictions"]] == expected["churned"].to_list()
    np.testing.assert_allclose([p["churn_probability"] for p in said["predictions"]], expected[PROBABILITY], atol=1e-12)
    assert all(bool(p["reasons"]) is p["churned"] for p in said["predictions"])


@pytest.mark.parametrize(
    ("wanted", "given"), [("none", set()), ("churned", {True}), ("all", {True, False}), (False, set()), (True, {True})]
)
def test_reasons_are_for_those_who_were_asked_for(api: TestClient, wanted: Any, given: set[bool]) -> None:
    rows = _known(users(100, seed=5))

    said = api.post("/predict/batch", json={"rows": rows, "reasons": wanted}).json()["predictions"]

    assert {p["churned"] for p in said if p["reasons"]} == given


def test_the_reasons_of_a_batch_are_those_of_single_requests(api: TestClient) -> None:
    rows = _known(users(10, seed=8))

    batch = api.post("/predict/batch", json={"rows": rows, "reasons": "all"}).json()["predictions"]

    assert [p["reasons"] for p in batch] == [api.post("/predict", json=row).json()["reasons"] for row in rows]


def test_a_wrong_row_of_a_batch_is_named_by_its_number(api: TestClient) -> None:
    answer = api.post("/predict/batch", json={"rows": [THREE, THREE, THREE | {"num_views": -1}]})

    assert answer.status_code == 422
    (told,) = answer.json()["detail"]
    assert told["loc"] == ["body", "rows", 2, "num_views"]


def test_a_fraction_in_a_batch_is_named_by_its_row(api: TestClient) -> None:
    answer = api.post("/predict/batch", json={"rows": [THREE, THREE | {"sessions": 1.5}]})

    assert answer.json()["detail"] == [
        {"loc": ["body", "rows", 1, "sessions"], "msg": "Input should be a whole number", "type": "whole_number"}
    ]


def test_an_empty_batch_has_an_empty_answer(api: TestClient) -> None:
    assert api.post("/predict/batch", json={"rows": []}).json()["predictions"] == []


@pytest.mark.parametrize("reasons", ["none", "churned", "all"])
def test_a_batch_in_arrow_gives_what_one_in_json_gives(api: TestClient, reasons: str) -> None:
    frame = users(300, seed=5)
    rows = _known(frame)
    with_more = frame.to_arrow().append_column("user_id", pa.array([f"u{n}" for n in range(len(frame))]))

    answer = _post_arrow(api, with_more, reasons)

    assert answer.headers["content-type"] == ARROW
    assert (answer.headers["x-model-version"], float(answer.headers["x-threshold"])) == ("1", 0.5)
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.types == [pa.float64(), pa.bool_(), pa.list_(pa.string())]
    said = api.post("/predict/batch", json={"rows": rows, "reasons": reasons}).json()["predictions"]
    assert table.to_pylist() == [{name: p[name] for name in table.schema.names} for p in said]


@pytest.mark.parametrize(
    ("column", "values", "loc", "reason"),
    [
        ("num_views", pa.array([1, None, 3]), ["rows", 1, "num_views"], "missing"),
        ("num_views", pa.array([1, 2, -3]), ["rows", 2, "num_views"], "from 0 to"),
        ("num_views", pa.array([1.0, 2.5, 3.0]), ["rows", 1, "num_views"], "whole number from 0 to"),
        ("num_views", pa.array([True, True, False]), ["num_views"], "numbers, and not bool"),
        ("num_views", pa.array(["1", "2", "3"]), ["num_views"], "numbers, and not string"),
        ("num_views", None, ["num_views"], "is missing"),
        ("recency_days", pa.array([1.0, float("nan"), 2.0]), ["rows", 1, "recency_days"], "from 0 to"),
        ("recency_days", pa.array([1.0, float("inf"), None]), ["rows", 1, "recency_days"], "from 0 to"),
        ("trend", pa.array([0.0, -1.0, 1.1]), ["rows", 2, "trend"], "from -1 to 1"),
    ],
)
def test_a_wrong_value_in_arrow_is_named_by_row_and_field(
    api: TestClient, column: str, values: pa.Array | None, loc: list[Any], reason: str
) -> None:
    columns: dict[str, Any] = {name: pa.array([1, 2, 3]) for name in THREE}
    columns |= {} if values is None else {column: values}
    if values is None:
        del columns[column]

    answer = _post_arrow(api, pa.table(columns), "none")

    assert answer.status_code == 422
    (told,) = answer.json()["detail"]
    assert told["loc"] == ["body", *loc]
    assert reason in told["msg"]


def test_bytes_that_are_no_arrow_stream_are_refused(api: TestClient) -> None:
    good = _stream(pa.table({name: [1, 2, 3] for name in THREE}))
    damaged = [b"", b"nonsense", good[: len(good) // 2], good[:60] + b"\xff" * 40 + good[100:]]

    for body in damaged:
        answer = api.post("/predict/batch", content=body, headers={"content-type": ARROW})
        assert answer.status_code == 422, body
        assert answer.json()["detail"][0]["loc"] == ["body"]


def test_more_rows_than_the_limit_are_refused(own: Callable[..., Settings]) -> None:
    with TestClient(create_app(own(api_max_batch_rows=3), ENDPOINTS), base_url=HERE) as api:
        assert api.post("/predict/batch", json={"rows": [THREE] * 3}).status_code == 200
        many = api.post("/predict/batch", json={"rows": [THREE] * 4})
        many_in_arrow = _post_arrow(api, pa.table({name: [1, 2, 3, 4] for name in THREE}), "none")

    for answer in (many, many_in_arrow):
        assert answer.status_code == 422
        (told,) = answer.json()["detail"]
        assert told["loc"] == ["body", "rows"]
    assert "api_max_batch_rows=3" in many_in_arrow.json()["detail"][0]["msg"]


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_compressed_body_is_refused_for_what_it_would_become(own: Callable[..., Settings], codec: str) -> None:
    """A million rows of three zeros are 24 MB, in a body of less than one; so is a dictionary that nobody asked for."""
    zeros = pa.array(np.zeros(1_000_000, np.int64))
    many = pa.table(dict.fromkeys(THREE, zeros))
    hidden = pa.table({**{name: [1] for name in THREE}, "other": pa.DictionaryArray.from_arrays([0], zeros)})
    small, *large = (_stream(table, codec) for table in (many.slice(0, 1_000), many, hidden))

    with (
        TestClient(create_app(own(api_max_batch_rows=1_000_000, api_max_body_mb=1), ENDPOINTS), base_url=HERE) as api,
        _arrow_memory() as used,
    ):
        taken, *answers = (_post_stream(api, body) for body in (small, *large))
    with TestClient(create_app(own(api_max_batch_rows=1_000), ENDPOINTS), base_url=HERE) as api:
        too_long = _post_stream(api, large[0])

    assert taken.status_code == 200
    for answer in answers:
        (told,) = answer.json()["detail"]
        assert (answer.status_code, told["type"]) == (422, "too_long")
        assert "api_max_body_mb=1 MB once decompressed" in told["msg"]
    assert used.max_memory() < 2_000_000
    assert "api_max_batch_rows=1,000" in too_long.json()["detail"][0]["msg"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_limit_is_refused(own: Callable[..., Settings], announced: bool) -> None:
    row = json.dumps(THREE).encode()
    parts = [row, b" " * 600_000, b" " * 600_000]
    with TestClient(create_app(own(api_max_body_mb=1), ENDPOINTS), base_url=HERE) as api:
        small = api.post("/predict", content=iter(parts[:2]))
        large = api.post("/predict", content=b"".join(parts) if announced else iter(parts))

    assert small.status_code == 200
    assert large.status_code == 413
    assert "api_max_body_mb=1" in large.json()["detail"]


def test_without_a_model_it_says_so_and_how_to_get_one(tmp_path: Path) -> None:
    app = create_app(load_settings(home=tmp_path), ENDPOINTS)
    with TestClient(app, base_url=HERE) as api:
        for answer in (
            api.post("/predict", json=THREE),
            api.get("/model"),
            _post_arrow(api, pa.table(_columns()), "all"),
        ):
            assert answer.status_code == 503
            assert "`lakehouse train`" in answer.json()["detail"]
        model = api.get("/readyz").json()["dependencies"][-1]
        assert (model["name"], model["ok"]) == ("model", False)


def test_the_card_says_what_serves_and_what_it_was_trained_on(api: TestClient) -> None:
    card = api.get("/model").json()

    assert (card["model_version"], card["simulated"], card["threshold"]) == ("1", True, 0.5)
    assert card["trained_at"] == "2026-03-01T12:00:00Z"
    assert card["metrics"]["roc_auc"] == {"value": 0.79, "low": 0.77, "high": 0.82}
    assert card["metrics"]["calibration_slope"]["value"] is None
    assert card["calibration"][1] == {"users": 100, "mean_score": 0.8, "churned": 0.9}
    assert [f["name"] for f in card["features"] if f["needed"]] == list(THREE)
    assert (card["data_versions"], card["known_at_cut"]) == ({"gold.user_days": 12}, False)


def test_a_broken_file_does_not_stop_the_model_before_it(
    own: Callable[..., Settings], model_file: Path, turned: Package
) -> None:
    app = create_app(own(), ENDPOINTS)
    with TestClient(app, base_url=HERE) as api:
        _replace(model_file, b"no pickle")
        app.state.champion.look()

        assert api.post("/predict", json=THREE).json()["model_version"] == "1"
        assert "cannot be read as a churn model" in api.get("/model").json()["problem"]
        model = api.get("/readyz").json()["dependencies"][-1]
        assert model["ok"]
        assert "cannot be read as a churn model" in model["reason"]
        assert "lakehouse_api_model_load_failures_total 1.0" in api.get("/metrics").text

        save(turned, model_file)

        card = api.get("/model").json()  # looks for itself
        assert (card["model_version"], card["problem"]) == ("2", None)


def test_a_model_that_gives_no_probability_is_refused(model_file: Path, package: Package) -> None:
    held = champion.Champion(model_file)
    broken = replace(package.model.partial, intercept=float("nan"))
    whole = replace(package.model.whole, intercept=float("nan"))
    save(replace(package, model=replace(package.model, partial=broken, whole=whole)), model_file)

    held.look()

    assert held.serving.package is not None
    assert "which is no probability" in (held.serving.problem or "")


def test_a_file_that_goes_away_leaves_the_model_in_place(model_file: Path) -> None:
    held = champion.Champion(model_file)
    model_file.unlink()

    held.look()

    assert held.serving.required().card.version == "1"
    assert "no churn model" in (held.serving.problem or "")


def test_a_new_champion_is_taken_up_whole_under_load(
    own: Callable[..., Settings], model_file: Path, package: Package, turned: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(champion, "LOOK_EVERY_S", 0.01)
    rows = _known(users(50, seed=4))
    frame = pl.DataFrame(rows)
    expected = {p.card.version: (p.model.threshold, p.model.probability(frame)) for p in (package, turned)}
    answers: list[dict[str, Any]] = []
    with TestClient(create_app(own(), ENDPOINTS), base_url=HERE) as api:
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                answers.append(api.post("/predict/batch", json={"rows": rows, "reasons": "all"}).json())

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(6):
                wanted = turned if number % 2 == 0 else package
                save(wanted, model_file)
                _until(lambda version=wanted.card.version: answers[-1:] and answers[-1]["model_version"] == version)
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    assert {answer["model_version"] for answer in answers} == {"1", "2"}
    for answer in answers:
        threshold, probability = expected[answer["model_version"]]
        assert answer["threshold"] == threshold
        np.testing.assert_allclose([p["churn_probability"] for p in answer["predictions"]], probability, atol=1e-9)


def test_the_metrics_count_by_template_and_outcome(api: TestClient) -> None:
    api.post("/predict", json=THREE)
    api.post("/predict", json={})
    api.get("/users/u%2F1/churn")
    api.get("/nowhere")
    api.request("BREW", "/nowhere")

    told = api.get("/metrics").text

    assert 'lakehouse_api_requests_total{method="POST",route="/predict",status="200"} 1.0' in told
    assert 'lakehouse_api_requests_total{method="POST",route="/predict",status="422"} 1.0' in told
    assert 'lakehouse_api_requests_total{method="GET",route="/users/{user_id}/churn",status="503"} 1.0' in told
    assert 'lakehouse_api_requests_total{method="GET",route="none",status="404"} 1.0' in told
    assert 'lakehouse_api_requests_total{method="OTHER",route="none",status="404"} 1.0' in told
    assert 'lakehouse_api_predictions_total{outcome="churned"} 1.0' in told
    assert 'lakehouse_api_model_info{simulated="true",version="1"} 1.0' in told
    assert 'lakehouse_api_request_seconds_count{route="/predict"} 2.0' in told


def test_with_postgres_away_a_user_s_prediction_is_not_to_be_had_now(api: TestClient) -> None:
    answer = api.get("/users/u1/churn")

    assert answer.status_code == 503
    assert "127.0.0.1:1 does not answer" in answer.json()["detail"]
    assert "s3cret" not in answer.text


def test_beyond_loopback_it_does_not_start_without_a_key(own: Callable[..., Settings]) -> None:
    with pytest.raises(LakehouseError, match=r"0\.0\.0\.0: the API needs a key .* set LAKEHOUSE_API_KEY"):
        create_app(own(bind_address="0.0.0.0"), ENDPOINTS)  # noqa: S104
    for loopback in ("127.0.0.1", "::1", "localhost"):
        create_app(own(bind_address=loopback), ENDPOINTS)


def test_with_a_key_only_health_and_documentation_are_open(own: Callable[..., Settings]) -> None:
    given = own(bind_address="0.0.0.0", api_key="a long enough key")  # noqa: S104
    with TestClient(create_app(given, ENDPOINTS), base_url=HERE) as api:
        assert api.get("/healthz").status_code == 200
        assert api.get("/readyz").status_code == 503  # Postgres is away
        assert api.get("/openapi.json").status_code == 200
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}):
            refused = api.post("/predict", json=THREE, headers=headers)
            assert refused.status_code == 401
            assert "X-API-Key" in refused.json()["detail"]
        for headers in ({"X-API-Key": "a long enough key"}, {"Authorization": "Bearer a long enough key"}):
            assert api.post("/predict", json=THREE, headers=headers).status_code == 200
        assert api.get("/metrics").status_code == 401
        document = api.get("/openapi.json").json()
        assert "401" in document["paths"]["/predict"]["post"]["responses"]


def test_a_key_is_never_shown(own: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a long enough key" not in repr(own(api_key="a long enough key"))
    monkeypatch.setenv("LAKEHOUSE_API_KEY", "sh0rt")
    with pytest.raises(LakehouseError, match="LAKEHOUSE_API_KEY") as error:
        load_settings()
    assert "sh0rt" not in str(error.value)


def _known(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as a caller gives them: without the rates, and without what is unknown."""
    given = frame.drop("view_to_cart_rate", "cart_to_purchase_rate", "view_to_purchase_rate")
    return [{name: value for name, value in row.items() if value is not None} for row in given.to_dicts()]


def _columns() -> dict[str, Any]:
    return {name: [value] for name, value in THREE.items()}


def _stream(table: pa.Table, codec: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _post_arrow(api: TestClient, table: pa.Table, reasons: str) -> Any:
    return _post_stream(api, _stream(table), reasons)


def _post_stream(api: TestClient, body: bytes, reasons: str = "none") -> Any:
    return api.post(f"/predict/batch?reasons={reasons}", content=body, headers={"content-type": ARROW})


@contextmanager
def _arrow_memory() -> Iterator[pa.MemoryPool]:
    """What Arrow takes meanwhile, and its most."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    try:
        yield pool
    finally:
        pa.set_memory_pool(before)


def _replace(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def _until(true: Callable[[], object], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)
