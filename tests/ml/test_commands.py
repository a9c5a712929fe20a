"""`lakehouse train` and `lakehouse model` as commands: what they say where there is nothing to work on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakehouse.cli import build_app
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from tests.ml.churn_days import days
from tests.ml.test_registry import write

RUN = CliRunner()


def lakehouse(home: Path, *arguments: str) -> str:
    """What it prints; raises what the command line would print as one line."""
    found = RUN.invoke(build_app([*arguments]), [*arguments, "--home", str(home)])
    if isinstance(found.exception, LakehouseError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.stdout


def test_without_models_there_is_a_line_or_an_empty_list(tmp_path: Path) -> None:
    assert lakehouse(tmp_path, "model", "list") == (
        f"no churn model is registered under {tmp_path}; `lakehouse train` makes one\n"
    )
    assert lakehouse(tmp_path, "model", "list", "--json") == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train",), "gold.user_days: is not under .* yet; start `lakehouse up`"),
        (("model", "promote", "3"), "version 3: no such churn model under .*, there is none"),
        (("model", "export", "churn_model.pkl"), "no champion is under .* yet; `lakehouse train` makes one"),
        (("model", "export", "churn_model.pkl", "--version", "2"), "version 2: no such churn model"),
        (("model", "drift"), "no champion is under .* yet"),
    ],
)
def test_what_is_missing_is_named_with_what_helps(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(LakehouseError, match=said):
        lakehouse(tmp_path, *arguments)
    assert not (tmp_path / "models").exists()


def test_a_history_of_days_is_too_short_to_train_on(tmp_path: Path) -> None:
    write(Home(tmp_path), days(("ann", "03-01T10:00"), ("ann", "03-09T10:00"), ("bob", "03-05T10:00")))

    with pytest.raises(
        LakehouseError, match=r"events of 2026-03-01 to 2026-03-09, .* shorten the horizon: --horizon 3"
    ):
        lakehouse(tmp_path, "train")
    with pytest.raises(LakehouseError, match="nothing was trained: cut=2026-03-03: 1 of its users churned and 0 ret"):
        lakehouse(tmp_path, "train", "--horizon", "3")
