"""The jars of Kafka and Spark that no wheel carries: fetched once, checked, then used offline.

``jars.lock`` names each with its SHA-256. They are fetched by the Ivy that pyspark ships, which knows its
default repository by itself, each as it stands and without what it depends on: nothing is resolved at run
time. A jar is under its final name only after its checksum was right.

``python -m lakehouse.embedded.jars spark`` fetches those of one set, for an image that is to need no network.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lakehouse.embedded.cache import cache_folder
from lakehouse.embedded.ivy import retrieve
from lakehouse.embedded.java import Java, find_java
from lakehouse.embedded.locks import Held, exclusively
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings, load_settings

FETCH_LIMIT_S = 900.0
"""Longest wait for another process that is fetching the same jars."""


@dataclass(frozen=True)
class Jar:
    """One line of jars.lock."""

    jar_set: str
    """``kafka`` (the broker's own) or ``spark`` (beyond those that pyspark ships)."""
    organisation: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the cache; by organisation too, since two may use one artifact name."""
        return f"{self.organisation}__{self.artifact}-{self.version}.jar"


def kafka(settings: Settings, java: Java | None = None) -> list[Path]:
    """The class path of the embedded broker; Spark's are fetched in the same go, since its writer starts next.

    See ``obtain``.
    """
    return [path for jar, path in obtain(settings, java).items() if jar.jar_set == "kafka"]


def spark(settings: Settings, java: Java | None = None) -> list[Path]:
    """Delta and the Kafka source, to be added to pyspark's own jars; see ``obtain``."""
    return list(obtain(settings, java, [jar for jar in locked() if jar.jar_set == "spark"]).values())


def locked() -> tuple[Jar, ...]:
    """All jars that jars.lock names."""
    lines = resources.files(__package__).joinpath("jars.lock").read_text().splitlines()
    return tuple(_parse(line) for line in lines if line and not line.startswith("#"))


def obtain(settings: Settings, java: Java | None = None, jars: Iterable[Jar] | None = None) -> dict[Jar, Path]:
    """Where each jar lies, after fetching those that the cache lacks; safe in several processes at once.

    Every jar is hashed each time (0.1 s for all of them), so that a damaged one is fetched again rather than
    run. Raises LakehouseError where one cannot be fetched or is not the one that was locked.
    """
    jars = tuple(locked() if jars is None else jars)
    folder = cache_folder(settings) / "jars"
    if not _wanting(jars, folder):
        return {jar: folder / jar.file for jar in jars}
    try:
        with exclusively(folder / ".lock", FETCH_LIMIT_S):
            if wanting := _wanting(jars, folder):
                _fetch(settings, java or find_java(settings), wanting, folder)
    except Held:
        raise LakehouseError(
            f"another process has been fetching jars into {folder} for {FETCH_LIMIT_S / 60:g} minutes; "
            "end it, then retry"
        ) from None
    return {jar: folder / jar.file for jar in jars}


def _parse(line: str) -> Jar:
    jar_set, coordinates, sha256 = line.split()
    organisation, artifact, version = coordinates.split(":")
    return Jar(jar_set, organisation, artifact, version, sha256)


def _wanting(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    return [jar for jar in jars if _digest(folder / jar.file) != jar.sha256]


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _fetch(settings: Settings, java: Java, jars: list[Jar], folder: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=".fetch-", dir=folder))
    try:
        coordinates = [(jar.organisation, jar.artifact, jar.version) for jar in jars]
        fetched = retrieve(java, coordinates, work, settings.maven_repository)
        for jar in jars:
            part = fetched / jar.file
            digest = _digest(part)
            if digest != jar.sha256:
                raise LakehouseError(
                    f"{jar.organisation}:{jar.artifact}:{jar.version} as fetched has the SHA-256 {digest}, not the "
                    f"locked {jar.sha256}; it was thrown away. Retry, or set LAKEHOUSE_MAVEN_REPOSITORY to a "
                    "mirror that you trust"
                )
        for jar in jars:
            (fetched / jar.file).replace(folder / jar.file)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main() -> None:
    jar_set = sys.argv[1] if len(sys.argv) == 2 else ""
    chosen = [jar for jar in locked() if jar.jar_set == jar_set]
    if not chosen:
        sys.exit("lakehouse.embedded.jars: name one set: kafka or spark")
    try:
        paths = obtain(load_settings(), jars=chosen)
    except LakehouseError as error:
        sys.exit(f"lakehouse.embedded.jars: {error}")
    sys.stdout.write(f"{len(paths)} jars in {next(iter(paths.values())).parent}\n")


if __name__ == "__main__":
    main()
