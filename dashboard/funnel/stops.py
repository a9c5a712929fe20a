"""Where users stop on their way to a purchase, and how long they are given for it."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


class Stop(StrEnum):
    """How far users came, in the order of the bars; the value is the label."""

    BEFORE_VIEW = "No view"
    AFTER_VIEW = "View, no cart"
    AFTER_CART = "Cart, no purchase"
    NOWHERE = "Purchase"


class Within(StrEnum):
    """The conversion window, from the first view; the value is the label."""

    HOUR = "1 hour"
    DAY = "1 day"
    WEEK = "7 days"

    @property
    def length(self) -> timedelta:
        return {Within.HOUR: timedelta(hours=1), Within.DAY: timedelta(days=1), Within.WEEK: timedelta(days=7)}[self]
