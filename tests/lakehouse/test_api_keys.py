"""Keys of the API as they are made, kept and taken back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakehouse.api_key_commands import api_key
from lakehouse.api_keys import KeyRing, add, id_of, load, make, revoke, service_key
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


def made(home: Home, *scopes: str, days: float | None = None, now: datetime = NOON) -> str:
    key, kept = make(scopes, "of a test", days, now)  # type: ignore[arg-type]
    add(home, kept)
    return key


def test_a_key_opens_what_it_was_made_for_and_nothing_of_it_is_kept(home: Home) -> None:
    key = made(home, "read", "score")

    found = KeyRing(home).find(key, NOON)

    assert found is not None
    assert found.scopes == ("score", "read")
    text = home.api_keys.read_text()
    assert key not in text
    assert key.split("_", 2)[2] not in text
    assert home.api_keys.stat().st_mode & 0o777 == 0o600


def test_no_two_keys_are_alike_and_each_is_long(home: Home) -> None:
    keys = {made(home, "read") for _ in range(20)}

    assert len(keys) == 20
    assert min(len(key) for key in keys) > 50


@pytest.mark.parametrize(
    "wrong", ["", "lh", "lh__", "lh_{id}_", "lh_{id}_wrong", "{key}x", "xx_{id}_{secret}", "\udcff", "lh_../../x_y"]
)
def test_what_is_not_the_key_opens_nothing(home: Home, wrong: str) -> None:
    key = made(home, "read")
    given = wrong.format(id=id_of(key), key=key, secret=key.split("_", 2)[2])

    assert KeyRing(home).find(given, NOON) is None


def test_a_key_expires(home: Home) -> None:
    key = made(home, "read", days=1.0)
    ring = KeyRing(home)

    assert ring.find(key, NOON + timedelta(hours=23, minutes=59)) is not None
    assert ring.find(key, NOON + timedelta(hours=24)) is None
    assert load(home)[0].state(NOON + timedelta(days=2)) == "expired"


def test_a_key_is_changed_without_a_gap_and_without_a_restart(home: Home) -> None:
    ring = KeyRing(home)
    assert not ring.locks()
    old = made(home, "read")
    assert ring.locks()
    new = made(home, "read")
    both = [ring.find(key, NOON) is not None for key in (old, new)]

    revoke(home, id_of(old), NOON)

    assert both == [True, True]
    assert [ring.find(key, NOON) is not None for key in (old, new)] == [False, True]


def test_a_door_stays_locked_when_its_last_key_is_taken_back(home: Home) -> None:
    ring = KeyRing(home)
    key = made(home, "read")

    revoke(home, id_of(key), NOON)

    assert ring.locks()
    assert ring.find(key, NOON) is None


def test_a_key_that_was_taken_back_stays_so_from_the_first_time_on(home: Home) -> None:
    key = made(home, "read")
    revoke(home, id_of(key), NOON)

    assert revoke(home, id_of(key), NOON + timedelta(days=1)).revoked == NOON


def test_a_damaged_file_opens_nothing_and_is_named(home: Home) -> None:
    key = made(home, "read")
    home.api_keys.write_text('[{"id": 1}]')

    ring = KeyRing(home)

    assert ring.locks()
    assert ring.find(key, NOON) is None
    with pytest.raises(LakehouseError, match=r"api-keys.json cannot be read as keys of the API; restore it"):
        load(home)


def test_a_key_that_was_never_made_cannot_be_taken_back(home: Home) -> None:
    known = id_of(made(home, "read"))

    with pytest.raises(LakehouseError, match=rf"there is no key 'deadbeef' \(known: {known}\)"):
        revoke(home, "deadbeef", NOON)


def test_the_stack_s_own_key_is_made_once_and_is_its_owner_s_alone(home: Home) -> None:
    key = service_key(home)

    assert service_key(home) == key
    assert len(key) >= 32
    assert home.service_key.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in home.root.glob("*.part")] == []


def test_the_commands_make_list_and_take_back(home: Home) -> None:
    where = ["--home", str(home.root)]
    run = CliRunner()

    created = run.invoke(api_key, ["create", "--scope", "score", "--name", "[red]shop", "--expires", "90", *where])
    key = created.stdout.strip()
    listed = run.invoke(api_key, ["list", *where])
    told = json.loads(run.invoke(api_key, ["list", "--json", *where]).stdout)
    revoked = run.invoke(api_key, ["revoke", id_of(key), *where])
    after = json.loads(run.invoke(api_key, ["list", "--json", *where]).stdout)

    assert created.exit_code == 0, created.output
    assert "not shown again" in created.stderr
    assert "[red]shop" in listed.stdout
    assert key not in listed.stdout
    assert [(each["id"], each["scopes"], each["state"]) for each in told] == [(id_of(key), ["score"], "valid")]
    assert revoked.stdout == f"key {id_of(key)} is revoked\n"
    assert after[0]["state"] == "revoked"


def test_a_key_for_nothing_is_refused(home: Home) -> None:
    run = CliRunner().invoke(api_key, ["create", "--home", str(home.root)])

    assert run.exit_code == 2
    assert "--scope" in run.output
