"""How well candidates do on rows that they were not trained on: those of the last training cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from lakehouse.contracts import ChurnFeatures as F
from ml.dataset import Cuts
from ml.evaluate import Floats
from ml.labels import labels_end

Mask: TypeAlias = npt.NDArray[np.bool_]
By: TypeAlias = Literal["users", "time"]
"""``users``: models are judged on the last training cut of users they have not seen. ``time``: on the last training
cut, trained with the cuts whose labels end by then."""

FOLDS: Final = 4


@dataclass(frozen=True)
class Validation:
    """Training rows, and which of them are learnt from where which others are scored."""

    x: Floats
    churned: Floats
    parts: tuple[tuple[Mask, Mask], ...]
    """Rows to learn from, and rows to score; every row of ``judged`` is scored once."""
    judged: Mask
    """The rows of the last training cut."""

    @property
    def truth(self) -> Floats:
        """Labels of the judged rows."""
        return self.churned[self.judged]

    def scored(self, give: Callable[[Floats, Floats, Floats], Floats]) -> Floats:
        """What ``give`` says of the judged rows, in order: of the rows and labels to learn from it makes scores of the
        rows to score, one for each or a row of several."""
        given = [(score, give(self.x[learn], self.churned[learn], self.x[score])) for learn, score in self.parts]
        found = np.full((len(self.x), *given[0][1].shape[1:]), np.nan)
        for score, scores in given:
            found[score] = scores
        return np.asarray(found[self.judged], np.float64)


def validation(rows: pl.DataFrame, x: Floats, churned: Floats, cuts: Cuts, by: By, seed: int) -> Validation:
    """Of all training ``rows``, which are those of ``x`` and ``churned``.

    Raises ValueError where it is by time, and no labels end by the last training cut.
    """
    newest = (rows[F.as_of] == cuts.train[-1]).to_numpy()
    parts = _user_folds(rows, newest, seed) if by == "users" else _by_time(rows, newest, cuts)
    return Validation(x, churned, tuple(parts), newest)


def _user_folds(rows: pl.DataFrame, newest: Mask, seed: int) -> list[tuple[Mask, Mask]]:
    users = rows[F.user_id].unique().sort()
    fold = np.random.default_rng(seed).permutation(len(users)) % FOLDS
    folds = rows.select(F.user_id).join(pl.DataFrame({F.user_id: users, "fold": fold}), on=F.user_id, how="left")
    of_row = folds["fold"].to_numpy()
    return [(of_row != n, newest & (of_row == n)) for n in range(FOLDS)]


def _by_time(rows: pl.DataFrame, newest: Mask, cuts: Cuts) -> list[tuple[Mask, Mask]]:
    before = [cut for cut in cuts.train if labels_end(cut, cuts.horizon_days) <= cuts.train[-1].date()]
    if not before:
        raise ValueError(f"cuts: none whose labels end by the last training cut {cuts.train[-1]:%Y-%m-%d}")
    return [(rows[F.as_of].is_in(before).to_numpy(), newest)]
