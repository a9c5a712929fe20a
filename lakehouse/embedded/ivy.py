"""Fetching Maven artifacts with the Ivy that pyspark ships."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import quoteattr

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse.embedded.console import console
from lakehouse.embedded.java import Java
from lakehouse.errors import LakehouseError

Coordinates = tuple[str, str, str]
"""Organisation, artifact, version."""

WORKERS = 4
"""Ivy fetches one file after the other: four at once take 7 s for 106 jars where one takes 25 s."""


def retrieve(java: Java, jars: Sequence[Coordinates], work: Path, repository: str | None) -> Path:
    """Fetches ``jars`` into a folder below ``work`` as ``ORGANISATION__ARTIFACT-VERSION.jar`` and returns it.

    ``repository`` is the root of a Maven mirror; None leaves it to Ivy's default. Raises LakehouseError where
    one could not be had, with the reason that Ivy gave.
    """
    target = work / "jars"
    shares = [share for share in (jars[worker::WORKERS] for worker in range(WORKERS)) if share]
    folders = [work / f"ivy-{worker}" for worker in range(len(shares))]
    running = [_start(java, share, folder, target, repository) for share, folder in zip(shares, folders, strict=True)]
    try:
        _watch(running, folders, len(jars))
    finally:
        for process in running:
            process.kill()
            process.wait()
    for process, folder in zip(running, folders, strict=True):
        if process.returncode != 0:
            raise LakehouseError(_explain(folder, repository))
    return target


def _start(
    java: Java, jars: Sequence[Coordinates], folder: Path, target: Path, repository: str | None
) -> subprocess.Popen[bytes]:
    folder.mkdir()
    module, settings = folder / "ivy.xml", folder / "settings.xml"
    module.write_text(_module(jars))
    settings.write_text(_settings(repository))
    command: list[str | Path] = [
        java.executable,
        "-Xmx128m",
        f"-Dlakehouse.cache={folder / 'cache'}",
        "-jar",
        _ivy_jar(),
    ]
    command += ["-settings", settings, "-ivy", module]
    command += ["-retrieve", target / "[organisation]__[artifact]-[revision].[ext]"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def _watch(running: list[subprocess.Popen[bytes]], folders: list[Path], total: int) -> None:
    """Shows how many jars have come until all processes have ended."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        if progress.disable:
            console.print(f"fetching {total} jars (once; then offline)")
        task = progress.add_task("fetching jars (once; then offline)", total=total)
        for process in running:
            while process.poll() is None:
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    # Ivy names a file .part until all of it is there.
                    come = sum(1 for folder in folders for _ in folder.glob("cache/*/*/*/*.jar"))
                    progress.update(task, completed=come)
        progress.update(task, completed=total)


def _module(jars: Sequence[Coordinates]) -> str:
    wanted = "".join(
        f'<dependency org="{organisation}" name="{artifact}" rev="{version}" transitive="false"/>'
        for organisation, artifact, version in jars
    )
    return (
        '<ivy-module version="2.0"><info organisation="lakehouse" module="jars"/>'
        f"<dependencies>{wanted}</dependencies></ivy-module>"
    )


def _settings(repository: str | None) -> str:
    root = f" root={quoteattr(repository)}" if repository else ""
    # A cache of its own for each process: Ivy takes a jar as missing where a shared one, or the user's local
    # Maven repository, holds a pom without it. Checksums are ours, so Ivy need not fetch any.
    return (
        '<ivysettings><caches defaultCacheDir="${lakehouse.cache}"/>'
        # One artifact in two versions, one for each set: both are wanted.
        '<settings defaultResolver="central" defaultConflictManager="all"/>'
        '<timeout-constraints><timeout-constraint name="limits" connectionTimeout="15000" readTimeout="60000"/>'
        '</timeout-constraints><resolvers><ibiblio name="central" m2compatible="true" usepoms="false" '
        f'useMavenMetadata="false" checksums="" timeoutConstraint="limits"{root}/></resolvers></ivysettings>'
    )


def _ivy_jar() -> Path:
    pyspark = find_spec("pyspark")
    found = sorted(Path(pyspark.origin).parent.glob("jars/ivy-*.jar")) if pyspark and pyspark.origin else []
    if not found:
        raise LakehouseError("pyspark is not installed with its jars; reinstall the project's packages")
    return found[-1]


_REASONS = ("Server access error", "Host ", "FAILED", "not found")
"""Marks of Ivy's lines that tell why, the most telling first."""


def _explain(folder: Path, repository: str | None) -> str:
    log = (folder / "log").read_text(errors="replace").splitlines()
    telling = (line.strip() for mark in _REASONS for line in log if mark in line)
    reason = next(telling, log[-1] if log else "no reason given")
    return (
        f"jars could not be fetched from {repository or 'Maven Central'} ({reason}); check the network, or set "
        "LAKEHOUSE_MAVEN_REPOSITORY to a mirror that this machine reaches"
    )
