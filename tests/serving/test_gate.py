"""The API's door from both sides: keys and their scopes, the rate, other origins and hosts, and words that would be
SQL, a path or a header. By the application in this process; Postgres is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from lakehouse.api_keys import Scope, add, id_of, make, revoke, service_key
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings
from ml.package import save
from serving.api import create_app
from tests.serving.churn_package import churn_package
from tests.serving.test_scoring import ENDPOINTS, HERE, THREE

ELSEWHERE = "https://evil.example.com"


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    save(churn_package(), path)
    return path


@pytest.fixture
def own(tmp_path: Path, model_file: Path) -> Callable[..., Settings]:
    return lambda **given: load_settings(home=tmp_path, model_file=model_file, **given)


@pytest.fixture
def api(own: Callable[..., Settings]) -> Iterator[TestClient]:
    with TestClient(create_app(own(), ENDPOINTS), base_url=HERE) as client:
        yield client


def key(home: Path, *scopes: Scope, days: float | None = None) -> str:
    made, kept = make(scopes, "of a test", days, datetime.now(UTC))
    add(Home(home), kept)
    return made


def statuses(api: TestClient, given: str | None) -> dict[str, int]:
    headers = {} if given is None else {"X-API-Key": given}
    return {
        "score": api.post("/predict", json=THREE, headers=headers).status_code,
        "score many": api.post("/predict/batch", json={"rows": [THREE]}, headers=headers).status_code,
        "model": api.get("/model", headers=headers).status_code,
        "metrics": api.get("/metrics", headers=headers).status_code,
        "user": api.get("/users/u1/churn", headers=headers).status_code,
        "health": api.get("/healthz", headers=headers).status_code,
    }


def test_the_first_key_locks_a_running_api_and_each_opens_what_it_is_for(api: TestClient, tmp_path: Path) -> None:
    open_to_all = statuses(api, None)
    score, read = key(tmp_path, "score"), key(tmp_path, "read")

    away = 503  # Postgres is not there: it was asked
    assert open_to_all == {"score": 200, "score many": 200, "model": 200, "metrics": 200, "user": away, "health": 200}
    assert statuses(api, None) == {**dict.fromkeys(open_to_all, 401), "health": 200}
    assert statuses(api, "wrong") == statuses(api, None)
    assert statuses(api, score) == {**dict.fromkeys(open_to_all, 403), "score": 200, "score many": 200, "health": 200}
    assert statuses(api, read) == {**open_to_all, "score": 403, "score many": 403}
    assert statuses(api, key(tmp_path, "score", "read")) == open_to_all


def test_a_key_taken_back_or_expired_opens_nothing_from_then_on(api: TestClient, tmp_path: Path) -> None:
    before, after = key(tmp_path, "read"), key(tmp_path, "read")
    assert [statuses(api, each)["model"] for each in (before, after)] == [200, 200]

    revoke(Home(tmp_path), id_of(before), datetime.now(UTC))

    assert [statuses(api, each)["model"] for each in (before, after)] == [401, 200]
    assert statuses(api, key(tmp_path, "read", days=-1.0))["model"] == 401


def test_the_stack_s_own_services_come_in_whoever_else_does(api: TestClient, tmp_path: Path) -> None:
    key(tmp_path, "read")

    assert statuses(api, service_key(Home(tmp_path)))["score"] == 200


def test_a_key_of_the_home_is_enough_beyond_loopback(own: Callable[..., Settings], tmp_path: Path) -> None:
    given = own(bind_address="0.0.0.0")  # noqa: S104
    with pytest.raises(LakehouseError, match="the API needs a key"):
        create_app(given, ENDPOINTS)
    read = key(tmp_path, "read")

    with TestClient(create_app(given, ENDPOINTS)) as api:
        assert api.get("/model", headers={"X-API-Key": read}).status_code == 200
        assert api.get("/model").status_code == 401

    revoke(Home(tmp_path), id_of(read), datetime.now(UTC))
    with pytest.raises(LakehouseError, match=r"lakehouse api-key create"):
        create_app(given, ENDPOINTS)


def test_too_many_requests_are_told_when_to_come_again_and_health_is_never_refused(
    own: Callable[..., Settings], tmp_path: Path
) -> None:
    score = {"X-API-Key": key(tmp_path, "score")}
    with TestClient(create_app(own(api_requests_per_minute=3), ENDPOINTS), base_url=HERE) as api:
        guesses = [api.get("/model", headers={"X-API-Key": f"guess {n}"}) for n in range(5)]
        scored = [api.post("/predict", json=THREE, headers=score).status_code for _ in range(4)]
        healthy = [api.get(path).status_code for path in ("/healthz", "/healthz", "/healthz", "/healthz")]

    assert [answer.status_code for answer in guesses] == [401, 401, 401, 429, 429]
    assert 1 <= int(guesses[-1].headers["Retry-After"]) <= 20
    assert "api_requests_per_minute" in guesses[-1].json()["detail"]
    assert scored == [200, 200, 200, 429]
    assert healthy == [200] * 4


def test_by_default_the_limit_is_in_nobody_s_way_and_none_is_none(own: Callable[..., Settings]) -> None:
    for settings in (own(), own(api_requests_per_minute=0)):
        with TestClient(create_app(settings, ENDPOINTS), base_url=HERE) as api:
            assert {api.get("/model").status_code for _ in range(300)} == {200}


def test_pages_of_other_origins_are_told_nothing(api: TestClient) -> None:
    asked = {
        "Origin": ELSEWHERE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key",
    }
    before = api.options("/predict", headers=asked)
    answer = api.get("/model", headers={"Origin": ELSEWHERE})

    assert before.status_code == 405
    for each in (before, answer):
        assert [name for name in each.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:8000", "127.0.0.1.evil.com", "10.0.0.7"])
def test_a_name_of_the_web_that_leads_here_is_not_answered(api: TestClient, tmp_path: Path, host: str) -> None:
    refused = api.get("/model", headers={"Host": host})

    assert refused.status_code == 421
    assert "Host" in refused.json()["detail"]
    assert api.get("/healthz", headers={"Host": host}).status_code == 200
    read = key(tmp_path, "read")  # with a key no such page has it
    assert api.get("/model", headers={"Host": host, "X-API-Key": read}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]", "LOCALHOST"])
def test_this_machine_may_be_called_by_each_of_its_names(api: TestClient, host: str) -> None:
    assert api.get("/model", headers={"Host": host}).status_code == 200


INJECTIONS = (
    "'; DROP TABLE churn_prediction; --",
    "' OR '1'='1",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "$(touch /tmp/owned)",
    "`id`",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "\0",
    "\r\nSet-Cookie: owned=1",
)


@pytest.mark.parametrize("text", INJECTIONS)
def test_injected_text_is_data_in_every_place(api: TestClient, text: str) -> None:
    written = quote(text, safe="")
    answers = [
        api.get(f"/users/{written}/churn"),
        api.get("/model", headers={"X-API-Key": written}),
        api.post("/predict", json={**THREE, text: 1}),
        api.post("/predict", json={**THREE, "num_views": text}),
        api.post(f"/predict/batch?reasons={written}", json={"rows": [THREE]}),
        api.post("/predict/batch", json={"rows": [THREE], "reasons": text}),
    ]

    for answer in answers:
        assert answer.status_code in {200, 400, 404, 422, 503}
        assert "owned" not in answer.headers.get("set-cookie", "")
        assert answer.headers["content-type"].startswith("application/json")
    assert [answer.status_code for answer in answers[2:4]] == [422, 422]
    assert not Path("/tmp/owned").exists()  # noqa: S108 (where the injected command would have put it)
