"""A form of features, and what the model that serves says of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any, Final

import streamlit as st

from dashboard.frame import broken
from dashboard.scoring import Prediction, Refused, predict
from dashboard.words import per_cent
from lakehouse.contracts import ChurnFeatures as F
from lakehouse.contracts import Column
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

COUNTS: Final[tuple[Column, ...]] = (F.num_views, F.num_add_to_cart, F.num_purchases)
"""What a score needs."""
_RATES: Final = (F.view_to_cart_rate, F.cart_to_purchase_rate, F.view_to_purchase_rate)
OTHERS: Final[tuple[Column, ...]] = tuple(
    column for column in F.columns() if column.type in ("long", "double") and column not in (*COUNTS, *_RATES)
)
"""What makes a score better; the rates follow from the counts."""

_EXAMPLE: Final[Mapping[str, float]] = {F.num_views: 5, F.num_add_to_cart: 2, F.num_purchases: 0}
_MOST: Final = 2**53 - 1
"""What a browser can count to."""


@st.fragment
def what_if(settings: Settings, known: Mapping[str, Any] | None = None, of: str = "anybody") -> None:
    """The form, which begins with the features ``known`` of the user ``of``, else with an example of three counts."""
    begin: Mapping[str, Any] = _EXAMPLE if known is None else known
    with st.form(f"what_if_{of}"):
        given: dict[str, float | None] = {
            column: _input(place, column, begin.get(column) or 0, of)
            for place, column in zip(st.columns(len(COUNTS)), COUNTS, strict=True)
        }
        with st.expander("More of the user", icon=":material/tune:"):
            st.caption(
                "Each makes the score better; what is left empty is not known. The rates follow from the counts."
            )
            for place, column in zip(cycle(st.columns(3)), OTHERS, strict=False):
                given[column] = _input(place, column, begin.get(column), of)
        asked = st.form_submit_button("Ask the model", icon=":material/psychology:", key=f"what_if_ask_{of}")
    if asked:
        _answer(settings, {name: value for name, value in given.items() if value is not None})


def _answer(settings: Settings, features: Mapping[str, float]) -> None:
    try:
        found = predict(settings, {str(name): value for name, value in features.items()})
    except Refused as error:
        broken("The model cannot be asked that; correct the value and ask again.", error)
    except LakehouseError as error:
        broken("The API is away, or has no model yet. `lakehouse status` shows what runs; ask again then.", error)
    else:
        _prediction(found)


def _prediction(found: Prediction) -> None:
    with st.container(border=True):
        st.metric("Probability of churn", per_cent(found.churn_probability))
        verdict(found.churned)
        st.caption(f"Called churned from {per_cent(found.threshold)} on. What moved the score most:")
        for reason in found.reasons:
            st.text(f"· {reason}")
        st.text(f"By model {found.model_version}.")


def verdict(churned: bool) -> None:
    if churned:
        st.badge("At risk: called churned", color="orange", icon=":material/trending_down:")
    else:
        st.badge("Not at risk", color="green", icon=":material/check_circle:")


def _input(place: Any, column: Column, value: Any, of: str) -> float | None:
    whole = column.type == "long"
    needed = column in COUNTS
    kind: Any = int if whole else float
    given: float | None = place.number_input(
        label(column),
        value=None if value is None else kind(min(max(value, -_MOST), _MOST)),
        min_value=0 if needed else None,
        step=1 if whole else None,
        format=None if whole else "%g",
        placeholder="not known",
        help=column.comment,
        key=f"what_if_{of}_{column}",
    )
    return (given or 0) if needed else given


def label(column: str) -> str:
    """A feature as people say it: "Adds to cart", "Recency days"."""
    told: dict[str, str] = {F.num_views: "Views", F.num_add_to_cart: "Adds to cart", F.num_purchases: "Purchases"}
    return told.get(column) or column.removeprefix("num_").replace("_", " ").capitalize()
