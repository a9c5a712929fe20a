"""Fetching jars, from a Maven repository made here."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse.embedded.jars import Jar, locked, obtain
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings, load_settings


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "a mirror"


@pytest.fixture
def settings(tmp_path: Path, repository: Path) -> Settings:
    return load_settings(cache=tmp_path / "a cache", maven_repository=repository.as_uri())


def publish(repository: Path, artifact: str, content: bytes, version: str = "1.0") -> Jar:
    """Puts a jar into the repository and returns its line in the lock."""
    path = repository / "org" / "example" / artifact / version / f"{artifact}-{version}.jar"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return Jar("test", "org.example", artifact, version, hashlib.sha256(content).hexdigest())


def cached(settings: Settings) -> set[str]:
    assert settings.cache is not None
    return {path.name for path in settings.cache.glob("jars/*.jar")}


def test_jars_are_fetched_once_then_used_offline(settings: Settings, repository: Path) -> None:
    jars = [publish(repository, "one", b"1"), publish(repository, "one", b"2", "2.0"), publish(repository, "two", b"3")]

    first = obtain(settings, jars=jars)
    for path in repository.rglob("*.jar"):
        path.unlink()
    again = obtain(settings, jars=jars)

    assert [path.read_bytes() for path in first.values()] == [b"1", b"2", b"3"]
    assert again == first


def test_a_jar_with_another_checksum_is_thrown_away_and_said(settings: Settings, repository: Path) -> None:
    good = publish(repository, "good", b"good")
    changed = publish(repository, "changed", b"as it was locked")
    next(repository.rglob("changed-1.0.jar")).write_bytes(b"something else")

    with pytest.raises(LakehouseError, match=r"org\.example:changed:1\.0 as fetched has the SHA-256"):
        obtain(settings, jars=[good, changed])

    assert cached(settings) == set()


def test_a_damaged_jar_in_the_cache_is_fetched_again(settings: Settings, repository: Path) -> None:
    jar = publish(repository, "one", b"whole")
    path = obtain(settings, jars=[jar])[jar]
    path.write_bytes(b"who")

    assert obtain(settings, jars=[jar])[jar].read_bytes() == b"whole"


def test_what_cannot_be_fetched_is_one_sentence_with_a_remedy(settings: Settings, repository: Path) -> None:
    repository.mkdir()
    with pytest.raises(LakehouseError, match=r"could not be fetched .* set LAKEHOUSE_MAVEN_REPOSITORY") as caught:
        obtain(settings, jars=[Jar("test", "org.example", "gone", "1.0", "0" * 64)])

    assert "\n" not in str(caught.value)
    assert cached(settings) == set()


def test_several_processes_may_want_them_at_once(settings: Settings, repository: Path) -> None:
    jars = [publish(repository, "one", b"1"), publish(repository, "two", b"2")]

    with ThreadPoolExecutor(4) as pool:  # an flock is held by an open file: threads see it as processes do
        results = list(pool.map(lambda _: obtain(settings, jars=jars), range(4)))

    assert all(result == results[0] for result in results)
    assert cached(settings) == {jar.file for jar in jars}


def test_the_lock_names_both_sets_with_a_checksum_each() -> None:
    jars = locked()

    assert {jar.jar_set for jar in jars} == {"kafka", "spark"}
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert len({jar.file for jar in jars}) == len(jars)
