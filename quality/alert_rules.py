"""The rules that a person writes into ``alerts.toml`` under the home; docs/alerts.md shows each."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lakehouse.errors import LakehouseError

MOST_RULES = 50


class Figure(StrEnum):
    """What a rule is about."""

    conversion = "conversion"
    events_per_minute = "events_per_minute"
    lag_seconds = "lag_seconds"
    churn_risk = "churn_risk"

    @property
    def words(self) -> str:
        return {
            Figure.conversion: "purchases for each view",
            Figure.events_per_minute: "events per minute",
            Figure.lag_seconds: "seconds of lag",
            Figure.churn_risk: "share of users at risk of churn",
        }[self]


Finite = Annotated[float, Field(allow_inf_nan=False)]


class Rule(BaseModel):
    """Fires while the figure is below, or above, a bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    figure: Figure
    below: Finite | None = None
    above: Finite | None = None
    minutes: int = Field(60, ge=10, le=1440)
    """Of how much time ``conversion`` (of data) and ``events_per_minute`` (by the clock) are."""

    @model_validator(mode="after")
    def _one_bound(self) -> Rule:
        if (self.below is None) == (self.above is None):
            raise ValueError("give one of below and above")
        return self

    def passed_by(self, value: float) -> str | None:
        """One line where ``value`` is beyond the bound."""
        if self.below is not None and value < self.below:
            return f"{self.figure.words}: {_number(value)}, below {_number(self.below)}{self._of}"
        if self.above is not None and value > self.above:
            return f"{self.figure.words}: {_number(value)}, above {_number(self.above)}{self._of}"
        return None

    @property
    def _of(self) -> str:
        over_time = self.figure in (Figure.conversion, Figure.events_per_minute)
        return f" in the last {self.minutes} min" if over_time else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def load_rules(file: Path) -> tuple[Rule, ...]:
    """The rules; none where there is no file. Raises LakehouseError that names the rule and what is wrong with it."""
    try:
        found: dict[str, Any] = tomllib.loads(file.read_text())
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise LakehouseError(f"{file} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise LakehouseError(f"{file} is no TOML: {error}") from None
    rules = found.pop("alert", [])
    if found:
        raise LakehouseError(f"{file}: {next(iter(found))!r} is not known; each rule begins with [[alert]]")
    if not isinstance(rules, list) or len(rules) > MOST_RULES:
        raise LakehouseError(f"{file}: write each rule below a line [[alert]], {MOST_RULES} at most")
    parsed = tuple(_rule(file, number, rule) for number, rule in enumerate(rules, start=1))
    names = [rule.name for rule in parsed]
    for name in names:
        if names.count(name) > 1:
            raise LakehouseError(f"{file}: two rules are called {name!r}; give each a name of its own")
    return parsed


def _rule(file: Path, number: int, rule: Any) -> Rule:
    try:
        return Rule.model_validate(rule)
    except ValidationError as error:
        problem = error.errors()[0]
        where = f" {'.'.join(str(part) for part in problem['loc'])}" if problem["loc"] else ""
        reason = problem["msg"].removeprefix("Value error, ")
        raise LakehouseError(f"{file}: rule {number}{where}: {reason}; docs/alerts.md shows each rule") from None
