"""The manifests for Kubernetes: valid by its own schemas, and in agreement with the project that they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lakehouse.cli import build_app
from lakehouse.settings import SECRET, Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.37")
"""The oldest and the newest Kubernetes that they are checked for."""


def documents() -> Iterator[dict[str, Any]]:
    for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


def named(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


DOCUMENTS = {named(document): document for document in documents()}
PODS = {name: each["spec"]["template"] for name, each in DOCUMENTS.items() if "template" in each.get("spec", {})}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_it_is_valid(name: str, version: str) -> None:
    kubernetes_validate.validate(DOCUMENTS[name], version, strict=True)


def test_every_file_is_taken() -> None:
    taken = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]

    assert {*taken, "kustomization.yaml"} == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_may_do_nothing_that_it_need_not(name: str) -> None:
    pod = PODS[name]["spec"]
    [container] = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert not pod["enableServiceLinks"], "Spark would take the variables for settings of its own"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", [name for name in PODS if "master" not in name])
def test_writer_and_workers_have_the_home_at_one_path(name: str) -> None:
    [container] = PODS[name]["spec"]["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}

    assert mounted["home"] == settings()["LAKEHOUSE_HOME"]


def test_every_variable_is_a_setting_and_no_secret_stands_there() -> None:
    for variable in settings():
        assert variable.removeprefix("LAKEHOUSE_").lower() in Settings.model_fields.keys() - SECRET
    assert not [name for name in DOCUMENTS if name.startswith("Secret")]
    [container] = PODS["Deployment writer"]["spec"]["containers"]
    [dsn] = [each for each in container["env"] if each["name"] == "LAKEHOUSE_POSTGRES_DSN"]
    assert "secretKeyRef" in dsn["valueFrom"]


def test_the_settings_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    [container] = PODS["Deployment writer"]["spec"]["containers"]
    written = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    for name, value in (settings() | written).items():
        monkeypatch.setenv(name, value)

    taken = Settings(_env_file=None)  # type: ignore[call-arg]

    assert taken.spark_master == "spark://spark-master:7077"
    assert taken.spark_conf["spark.driver.host"] == "$(POD_IP)"


def test_the_writers_command_is_there() -> None:
    [container] = PODS["Deployment writer"]["spec"]["containers"]
    program, command = container["command"]

    assert program == "lakehouse"
    assert [each.name for each in build_app([command]).registered_commands] == [command]


def settings() -> dict[str, str]:
    found: dict[str, str] = DOCUMENTS["ConfigMap settings"]["data"]
    return found
