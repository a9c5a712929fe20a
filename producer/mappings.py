"""How a foreign file's columns become events: mappings, named ones and those of a user's own file.

A mapping is checked twice: when it is read (against its model) and when it meets a file (against the file's
columns), so that a wrong one gets one clear error before the first line is sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from lakehouse import event
from lakehouse.errors import LakehouseError

_FOLDER: Final = Path(__file__).parent / "mappings"
_REQUIRED: Final = (event.USER_ID, event.EVENT_TYPE, event.TIMESTAMP)
NUMBERS: Final = (event.PRICE, event.QUANTITY)
"""The event fields that go out as JSON numbers where their text is one."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Strict):
    """Where one event field comes from. In YAML a bare column name is enough."""

    column: str = Field(min_length=1)
    divide_by: str | None = None
    """Column of a count: the field is ``column`` divided by it, to four decimals; absent where it is zero."""
    absent: tuple[str, ...] = ()
    """Further texts that mean nothing was there; an empty cell always does."""
    optional: bool = False
    """Whether a file may lack the column."""


def _source(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


SourceOf = Annotated[Source, BeforeValidator(_source)]


class Mapping(_Strict):
    """Columns to event fields, with everything that a known format needs said once."""

    about: str = Field("", description="What the file is, and what was decided about it.")
    fields: dict[str, SourceOf]
    """Event field to the column it comes from."""
    constants: dict[str, str | int | float | bool] = {}
    """Fields that every event gets, whatever the line says."""
    event_types: dict[str, str] = {}
    """Renames of the values of event_type; a value that is not named goes along as it is."""
    time_format: str = "iso"
    """``iso`` (ISO 8601, also with a trailing `` UTC``), ``epoch_ms``, ``epoch_s``, or a strptime pattern with %."""
    time_zone: str = "UTC"
    """IANA zone of times that carry none."""
    extra: Literal["all", "none"] | tuple[str, ...] = "all"
    """Columns that no field uses and that go along unchanged, under their own name."""
    sessions: Literal["derive"] | None = None
    """``derive``: a session ends after ``session_gap_minutes`` without an event of the user."""
    session_gap_minutes: float = Field(30.0, gt=0)

    @field_validator("fields")
    @classmethod
    def _known_fields(cls, fields: dict[str, Source]) -> dict[str, Source]:
        unknown = sorted(set(fields) - set(event.FIELDS))
        if unknown:
            raise ValueError(f"no event field {unknown[0]!r}; allowed: {', '.join(event.FIELDS)}")
        return fields

    @field_validator("time_format")
    @classmethod
    def _known_time_format(cls, value: str) -> str:
        if value not in {"iso", "epoch_ms", "epoch_s"} and "%" not in value:
            raise ValueError(f"{value!r} is none of iso, epoch_ms, epoch_s and no strptime pattern such as %d/%m/%Y")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no IANA time zone such as UTC or Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _complete(self) -> Mapping:
        given = set(self.fields) | set(self.constants)
        missing = [name for name in _REQUIRED if name not in given]
        if missing:
            raise ValueError(f"fields must say where {missing[0]!r} comes from")
        twice = sorted(set(self.fields) & set(self.constants))
        if twice:
            raise ValueError(f"{twice[0]!r} is both in fields and in constants")
        for name in (event.USER_ID, event.TIMESTAMP, event.EVENT_ID):
            if name in self.constants:
                raise ValueError(f"constants: {name!r} differs from event to event; allowed in fields only")
        if self.sessions and event.SESSION_ID in given:
            raise ValueError("sessions: derive, though session_id is given; keep one of the two")
        return self

    @property
    def id_is_named(self) -> bool:
        """Whether every event takes its id from a column, so that no line needs one made for it."""
        source = self.fields.get(event.EVENT_ID)
        return source is not None and not source.optional


def mapping_names() -> list[str]:
    """Names of the mappings that come with the project."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_mapping(name: str) -> Mapping:
    """The mapping called ``name``, or the one in the YAML file at that path.

    Raises LakehouseError naming the file, the key and what is allowed.
    """
    file = _FOLDER / f"{name}.yaml" if name in mapping_names() else Path(name)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError:
        raise LakehouseError(
            f"no mapping {name!r}: give the path of a YAML file, or one of {', '.join(mapping_names())}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LakehouseError(f"mapping {file}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise LakehouseError(f"mapping {file}: must be keys and values; allowed: {', '.join(Mapping.model_fields)}")
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise LakehouseError(f"mapping {file}: {_explain(error)}") from None


def check_columns(mapping: Mapping, name: str, file: Path, columns: list[str]) -> None:
    """Raises LakehouseError where ``mapping`` (called ``name``) asks for a column that ``file`` does not have."""
    have = ", ".join(columns)
    for field, source in mapping.fields.items():
        for key, column in (("column", source.column), ("divide_by", source.divide_by)):
            if column is not None and column not in columns and not source.optional:
                place = f"fields.{field}" if key == "column" else f"fields.{field}.{key}"
                raise LakehouseError(f"mapping {name}: {place}: {file} has no column {column!r}; it has: {have}")
    if isinstance(mapping.extra, tuple):
        for column in mapping.extra:
            if column not in columns:
                raise LakehouseError(f"mapping {name}: extra: {file} has no column {column!r}; it has: {have}")
    for column in extra_columns(mapping, columns):
        if column in event.FIELDS or column in mapping.constants:
            raise LakehouseError(
                f"mapping {name}: {file} has a column {column!r}, which is also an event field or constant; "
                f"say what it is (fields: {column}: {column}), or name the columns to keep in extra"
            )


def extra_columns(mapping: Mapping, columns: list[str]) -> list[str]:
    """The columns that go along unchanged: those that no field uses, and those that a quotient was made from."""
    if mapping.extra == "none":
        return []
    used = {source.column for source in mapping.fields.values() if source.divide_by is None}
    if isinstance(mapping.extra, tuple):
        return [column for column in columns if column in mapping.extra]
    return [column for column in columns if column not in used]


def _explain(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"] if not str(part).startswith(("literal[", "tuple[")))
    reason = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        allowed = Source.model_fields if place.startswith("fields.") else Mapping.model_fields
        reason = f"no such key; allowed: {', '.join(allowed)}"
    elif problem["type"] == "missing":
        reason = "must be given"
    return f"{place}: {reason}" if place else reason
