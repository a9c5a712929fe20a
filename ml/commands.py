"""`lakehouse train` and `lakehouse model`."""

from __future__ import annotations

import json as json_format
import os
import time
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from ml.challenge import Challenge
    from ml.monitoring import Watch
    from ml.realised import Realised
    from ml.training import Trained
    from ml.watches import Kept

LEAST_WIDTH = 105
"""Of tables, in characters: narrower, an interval would be folded."""


EARLIER = 5
"""Watches that `model drift` shows beside today's."""


class ValidateBy(StrEnum):
    users = "users"
    time = "time"


def train(
    data: Annotated[
        int | None, typer.Option(min=0, metavar="VERSION", help="Version of gold.user_days; default: the newest.")
    ] = None,
    horizon: Annotated[
        int, typer.Option(min=1, metavar="DAYS", help="Churned: no event for so long after the cut.")
    ] = 30,
    lookback: Annotated[
        int | None,
        typer.Option(min=1, metavar="DAYS", help="What the counts are of; default: LAKEHOUSE_CHURN_LOOKBACK_DAYS."),
    ] = None,
    test_cut: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Midnight (UTC); default: the last with whole labels."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, metavar="DAYS", help="From one training cut to the next.")] = 7,
    cuts: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Training cuts; default: up to 3, with a full lookback.")
    ] = None,
    validate_by: Annotated[
        ValidateBy, typer.Option(help="Candidates are judged on users, or at a time, that they have not seen.")
    ] = ValidateBy.users,
    cost_missed: Annotated[float, typer.Option(min=0.0001, metavar="X", help="Of one who churns unseen.")] = 1.0,
    cost_needless: Annotated[float, typer.Option(min=0.0001, metavar="Y", help="Of one called so who stays.")] = 1.0,
    search: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="For a search of better settings of the models; 0: none.")
    ] = 0,
    search_trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="In place of --search: exactly so many, which can be had again."),
    ] = None,
    known_at_cut: Annotated[
        bool,
        typer.Option(
            "--known-at-cut", help="Features of what the broker had by the cut; not for data that were replayed."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same data and seed give the same model.")] = 7,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Train a churn model on the users' days under the home, register it, and promote it if it beats the champion.

    The data are read at one version, beside a running stack or without one. A challenger that does not beat the
    champion by more than noise is kept, and it is said why; `lakehouse model promote` overrules.

    A search tries settings in validation, and never on the test; those that beat the defaults by more than noise become
    candidates. Without one the same data and seed give the same model; how many settings there is time for is another
    number each time, so --search-trials pins it.

    Examples:

      lakehouse train
      lakehouse train --horizon 7
      lakehouse train --search 120
      LAKEHOUSE_CHURN_LOOKBACK_DAYS=365 lakehouse train --horizon 91 --every 91 --cuts 2 --validate-by time
      lakehouse train --data 120 --cost-missed 5 --cost-needless 1 --json
    """
    settings = settings_for(home)
    # Before anything loads OpenMP: where the stack keeps the cores busy its threads wait for each other, and candidates
    # took 15 s to compare in place of 2 s.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    steps = _Steps()
    steps("loading")
    from lakehouse.home import Home
    from ml.challenge import Wish, challenge
    from ml.models import Costs
    from ml.search import Budget

    found = challenge(
        Home(settings.home),
        Wish(
            data=data,
            horizon_days=horizon,
            lookback_days=lookback or settings.churn_lookback_days,
            test=test_cut.date() if test_cut else None,
            every_days=every,
            cuts=cuts,
            validate_by=validate_by.value,
            costs=Costs(cost_missed, cost_needless),
            seed=seed,
            search=Budget(search, search_trials),
            known_at_cut=known_at_cut,
            session_ids_cap=settings.session_ids_cap,
            segment_property=settings.churn_segment_property,
        ),
        settings.churn_lookback_days,
        steps,
        steps.tried,
    )
    steps.end()
    if json:
        typer.echo(json_format.dumps(found.as_document(), indent=1))
    else:
        _print_challenge(found)


model = typer.Typer(help="List, promote and export the churn models that were trained.", no_args_is_help=True)


@model.command("list")
def list_models(json: JsonOption = False, home: HomeOption = None) -> None:
    """Show every version: what it was trained on, how good it was, and which one is the champion.

    Examples:

      lakehouse model list
      lakehouse model list --json | jq '.[] | select(.champion)'
    """
    from lakehouse.home import Home
    from ml.registry import Registry

    folder = Home(settings_for(home).home)
    versions = Registry(folder).versions()
    if json:
        typer.echo(json_format.dumps([_document(one) for one in versions], indent=1))
        return
    if not versions:
        typer.echo(f"no churn model is registered under {folder.root}; `lakehouse train` makes one")
        return
    _print_versions([_document(one) for one in versions])


@model.command("promote")
def promote(
    version: Annotated[int, typer.Argument(min=1, help="As `lakehouse model list` shows it.")],
    home: HomeOption = None,
) -> None:
    """Make a version the champion, whatever it was found to be; the API takes it up without a restart.

    Examples:

      lakehouse model promote 3
    """
    from lakehouse.home import Home
    from ml.registry import Registry

    promoted = Registry(Home(settings_for(home).home)).promote(version)
    typer.echo(f"version {version} is the champion; test ROC AUC {promoted.card.metrics['roc_auc']}")


@model.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to; a file that is there is replaced.", dir_okay=False)],
    version: Annotated[int | None, typer.Option(min=1, help="Default: the champion.")] = None,
    home: HomeOption = None,
) -> None:
    """Write a version to one file, from which the API can serve without MLflow.

    It is a pickle: load such a file only where you have made it yourself, for it can run any code.

    Examples:

      lakehouse model export churn_model.pkl
      lakehouse model export churn_model.pkl --version 3
    """
    from lakehouse.errors import LakehouseError
    from lakehouse.home import Home
    from ml.challenge import present_champion
    from ml.package import save
    from ml.registry import Registry

    folder = Home(settings_for(home).home)
    registry = Registry(folder)
    package = present_champion(registry) if version is None else registry.load(version)
    if package is None:
        raise LakehouseError(f"no champion is under {folder.root} yet; `lakehouse train` makes one")
    try:
        save(package, file)
    except OSError as error:
        raise LakehouseError(f"{file}: cannot be written ({error.strerror})") from None
    made = "of simulated data" if package.card.simulated else f"version {package.card.version}"
    typer.echo(f"{made} written to {file}")


@model.command("drift")
def drift(json: JsonOption = False, home: HomeOption = None) -> None:
    """Compare today's users with those that the champion was trained on, and say whether retraining is due.

    Of users who acted within the lookback, then and now: the population stability index of the score and of each
    feature; below 0.1 is nothing, above 0.25 another population.

    Of past predictions whose horizon is over, as far as a running stack keeps them: what came of them. All of it is
    kept in MLflow's experiment churn-monitoring. Exit 1 where retraining is due.

    Examples:

      lakehouse model drift
      lakehouse model drift || lakehouse train
    """
    from lakehouse.embedded.console import out
    from lakehouse.errors import LakehouseError
    from lakehouse.home import Home
    from ml.challenge import present_champion
    from ml.documents import plain
    from ml.registry import Registry
    from ml.source import load_user_days
    from ml.watches import Watches, watch_and_keep

    folder = Home(settings_for(home).home)
    registry = Registry(folder)
    champion = present_champion(registry)
    if champion is None:
        raise LakehouseError(f"no champion is under {folder.root} yet; `lakehouse train` makes one")
    pinned = load_user_days(folder)
    if pinned.days.is_empty():
        raise LakehouseError(f"gold.user_days under {folder.root} holds no events yet, and there is nothing to compare")
    earlier = Watches(folder).latest(EARLIER)
    found = watch_and_keep(registry, champion, pinned)
    if json:
        document = {**found.as_document(), "earlier": plain(earlier)}
        typer.echo(json_format.dumps(document, indent=1))
    else:
        _print_watch(found)
        _print_earlier(earlier)
        out.print(_say_due(found))
    if found.due:
        raise typer.Exit(1)


class _Steps:
    """Tells on stderr what begins, and how long it took once the next begins."""

    def __init__(self) -> None:
        from lakehouse.embedded.console import console

        self._console = console
        self._doing: str | None = None
        self._so_far = ""
        self._began = 0.0
        self._bar: Progress | None = None

    def __call__(self, what: str) -> None:
        self.end()
        self._doing, self._began = what, time.monotonic()
        if self._console.is_terminal:
            self._console.print(f"  … {what}", style="dim", end="\r")

    def tried(self, number: int, share: float) -> None:
        """How far a search is, of what began last: a bar on a terminal, and how many there were at its end."""
        from rich.progress import Progress

        if self._bar is None and self._console.is_terminal:
            self._bar = Progress(console=self._console, transient=True)
            self._bar.start()
            self._bar.add_task("", total=1.0)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=share, description=f"  {number:,} tried")
        self._so_far = f", {number:,} tried"

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._doing is not None:
            self._console.print(
                f"  [green]✓[/] {self._doing}{self._so_far} [dim]{time.monotonic() - self._began:.1f} s[/]"
            )
        self._doing, self._so_far, self._bar = None, "", None


def _print_challenge(found: Challenge) -> None:
    from rich.table import Table
    from rich.text import Text

    from lakehouse.contracts import SilverEvents
    from lakehouse.embedded.console import out
    from ml.training import CHOSEN

    trained, cuts = found.trained, found.plan.cuts
    out.print(
        f"Trained at {', '.join(f'{cut:%Y-%m-%d}' for cut in cuts.train)} on {trained.training_rows:,} rows of "
        f"gold.user_days at version {found.data_version}; tested at {cuts.test:%Y-%m-%d} on {trained.judged_rows:,} "
        f"users; churned: no event in {cuts.horizon_days} days. Chosen: {trained.model.name}."
    )
    if found.package.card.known_at_cut:
        version = found.package.card.data_versions[SilverEvents.name]
        out.print(f"Features are of what the broker had by their cut, from silver.events at version {version}.")
    if trained.search.tried:
        out.print(_say_searched(trained))
    table = Table("model", "test ROC AUC", "less logistic regression", "Brier skill", box=None, pad_edge=False)
    for name, metrics in trained.test.items():
        style = "bold" if name == CHOSEN else None
        table.add_row(
            name, str(metrics["roc_auc"]), str(trained.differences[name]), str(metrics["brier_skill"]), style=style
        )
    _wide().print(table)
    parts = Table("users", "number", "churned", "mean score", "ROC AUC", box=None, pad_edge=False)
    for name, part in found.segments.items():
        parts.add_row(Text(name), f"{part.users:,}", f"{part.churned:.1%}", f"{part.mean_score:.1%}", str(part.roc_auc))
    _wide().print(parts)
    strongest = ", ".join(f"{one.feature} {one.loss:.3f}" for one in found.importance[:5] if one.loss > 0)
    out.print(f"ROC AUC lost where one feature is shuffled: {strongest or 'nothing'}")
    if found.replaced is not None:
        out.print(f"The champion before: {_say_due(found.replaced)}")
        _print_realised(found.replaced.realised)
    if found.verdict.promote:
        out.print(f"[bold]Version {found.version} is the champion[/]: {found.verdict.reason}.")
    else:
        out.print(
            f"[bold]Version {found.version} is kept and not promoted[/]: {found.verdict.reason}. "
            f"`lakehouse model promote {found.version}` overrules."
        )


def _say_searched(trained: Trained) -> str:
    search = trained.search
    best = ", ".join(f"{kind} {auc:.3f} for {search.defaults[kind]:.3f}" for kind, auc in sorted(search.best.items()))
    better = " and ".join(sorted(search.log_odds)) or "neither"
    return (
        f"{len(search.tried):,} settings were tried in {search.seconds:.0f} s; ROC AUC in validation, the best for the "
        f"default: {best}. On rows that did not choose, better by more than noise: {better}."
    )


def _print_watch(found: Watch) -> None:
    from rich.table import Table

    from lakehouse.embedded.console import out

    out.print(
        f"Champion {found.model_version}, on {found.users:,} users who acted within the lookback, as of {found.at}."
    )
    table = Table("", "stability index", box=None, pad_edge=False)
    for name, index in found.indices.items():
        table.add_row(name, f"{index:.3f}")
    out.print(table)
    _print_realised(found.realised)
    if found.not_realised:
        out.print(f"{found.not_realised}.")


def _print_realised(found: list[Realised]) -> None:
    """Nothing where no past prediction is over."""
    from rich.table import Table

    if not found:
        return
    table = Table(
        "model", "of", "predictions", "users", "ROC AUC", "Brier", "predicted", "churned", box=None, pad_edge=False
    )
    for one in found:
        table.add_row(
            one.model_version,
            f"{one.first} to {one.last}",
            f"{one.predictions:,}",
            f"{one.users:,}",
            str(one.roc_auc),
            f"{one.brier.value:.3f}",
            f"{one.mean_predicted.value:.1%}",
            f"{one.observed_share.value:.1%}",
        )
    _wide().print("What came of past predictions:")
    _wide().print(table)


def _print_earlier(earlier: list[Kept]) -> None:
    from rich.table import Table

    if not earlier:
        return
    table = Table("earlier", "model", "as of", "score's index", "retraining", box=None, pad_edge=False)
    for one in earlier:
        index = "" if one.score is None else f"{one.score:.3f}"
        table.add_row(f"{one.kept_at:%Y-%m-%d %H:%M}", one.model_version, one.at, index, "due" if one.due else "")
    _wide().print(table)


def _say_due(found: Watch) -> str:
    """Of the champion that is there."""
    if found.due:
        return f"retraining is due: {'; '.join(found.due)}."
    return f"retraining is not due before {found.due_again}, when a whole horizon of new labels is there."


def _document(one: Any) -> dict[str, Any]:
    return {
        "version": one.version,
        "champion": one.champion,
        "registered_at": one.registered_at.isoformat(timespec="seconds"),
        "run_id": one.run_id,
        "tags": dict(one.tags),
    }


def _print_versions(documents: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(
        "version", "", "registered", "chosen", "test ROC AUC", "test cut", "horizon", box=None, pad_edge=False
    )
    for one in documents:
        tags = one["tags"]
        table.add_row(
            str(one["version"]),
            "champion" if one["champion"] else "",
            one["registered_at"][:16].replace("T", " "),
            tags.get("chosen", ""),
            tags.get("roc_auc", ""),
            tags.get("test_cut", ""),
            f"{tags.get('horizon_days', '')} days",
        )
    _wide().print(table)


def _wide() -> Console:
    from rich.console import Console

    from lakehouse.embedded.console import out

    return Console(highlight=False, width=max(out.width, LEAST_WIDTH))
