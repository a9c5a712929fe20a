"""The bill of materials names what runs, whoever brings it: a wheel, a jar that is fetched, a jar within a wheel."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lakehouse.embedded.jars import locked

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("bill") / "bill.cdx.json"
    subprocess.run(["bash", str(ROOT / ".ci/sbom"), str(file)], check=True, timeout=120)
    made: dict[str, Any] = json.loads(file.read_text())
    return made


def test_it_is_of_this_version(document: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = document["metadata"]["component"]

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert (told["name"], told["version"]) == (project["name"], project["version"])


def test_it_names_each_package_of_the_lock_that_runs_and_none_for_development(document: dict[str, Any]) -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    versions = {package["name"]: package["version"] for package in packages}
    named = {part["name"]: part["version"] for part in document["components"] if part["purl"].startswith("pkg:pypi/")}

    assert named.items() <= versions.items()
    assert {"pyspark", "deltalake", "streamlit", "fastapi", "psycopg2-binary"} <= named.keys()
    assert {"pytest", "mypy", "playwright"}.isdisjoint(named)


def test_it_names_each_jar_of_the_lock_with_its_hash(document: dict[str, Any]) -> None:
    hashes = {part["purl"]: part["hashes"][0]["content"] for part in document["components"] if "hashes" in part}

    for jar in locked():
        assert hashes[f"pkg:maven/{jar.organisation}/{jar.artifact}@{jar.version}"] == jar.sha256


def test_it_looks_into_pyspark(document: dict[str, Any]) -> None:
    (pyspark,) = (part for part in document["components"] if part["name"] == "pyspark")
    within = {part["name"]: part for part in pyspark["components"]}

    assert within["log4j-core"]["group"] == "org.apache.logging.log4j"
    assert within["spark-core_2.13"]["purl"] == f"pkg:maven/org.apache.spark/spark-core_2.13@{pyspark['version']}"
    assert len(within) > 200


def test_each_part_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    parts = [
        *document["components"],
        *(within for part in document["components"] for within in part.get("components", [])),
    ]
    references = [part["bom-ref"] for part in parts]
    depended = {ref for dependency in document["dependencies"] for ref in dependency.get("dependsOn", [])}

    assert len(set(references)) == len(references)
    assert depended <= set(references)
