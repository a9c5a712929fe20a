"""Adds to the CycloneDX document on stdin, of Python packages, the jars that run beside them; writes it to stdout."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lakehouse.embedded.jars import locked

Component = dict[str, Any]


def main() -> None:
    document = json.load(sys.stdin)
    fetched = [component(jar.organisation, jar.artifact, jar.version, jar.sha256) for jar in locked()]
    unique = {jar["bom-ref"]: jar for jar in fetched}  # the broker and Spark share some
    document["components"] += unique.values()
    root = document["metadata"]["component"]["bom-ref"]
    for dependency in document["dependencies"]:
        if dependency["ref"] == root:
            dependency["dependsOn"] = [*dependency.get("dependsOn", []), *unique]
    document["dependencies"] += [{"ref": reference} for reference in unique]
    for package in document["components"]:
        if package["name"] == "pyspark":
            package["components"] = list(carried_by_pyspark())
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


def component(group: str, name: str, version: str, sha256: str, *, inside: str = "") -> Component:
    """A jar; ``group`` is empty where it does not say its own."""
    coordinates = "/".join(quote(part) for part in (group, name) if part)
    purl = f"pkg:maven/{coordinates}@{quote(version)}"
    named = {"group": group, "purl": purl} if group else {}
    return {
        "type": "library",
        "bom-ref": f"{inside}{purl}",
        "name": name,
        "version": version,
        **named,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }


def carried_by_pyspark() -> Iterator[Component]:
    """The jars inside its wheel: by the Maven coordinates that they carry, or by file name where they carry none."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        sys.exit("pyspark is not installed; `uv sync` installs it")
    for jar in sorted((Path(spec.origin).parent / "jars").glob("*.jar")):
        sha256 = hashlib.sha256(jar.read_bytes()).hexdigest()
        yield component(*coordinates_of(jar), sha256, inside="pyspark/")


def coordinates_of(jar: Path) -> tuple[str, str, str]:
    """Group, artifact and version; of the several that a shaded jar carries, those of its own name."""
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.namelist():
            if found := re.fullmatch(r"META-INF/maven/([^/]+)/([^/]+)/pom\.properties", entry):
                group, artifact = found.groups()
                if jar.stem.startswith(f"{artifact}-"):
                    return group, artifact, jar.stem.removeprefix(f"{artifact}-")
    named = re.fullmatch(r"(.+?)-(\d.*)", jar.stem)
    return ("", *named.groups()) if named else ("", jar.stem, "")


if __name__ == "__main__":
    main()
