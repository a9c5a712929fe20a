"""From silver into users' days: aggregate the new events by user and day, and add them to the days there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from gold.days_stream import DaysStage
from gold.remake import USER_DAYS
from gold.user_days import MOST
from lakehouse.commits import Commit
from lakehouse.contracts import UserDays
from lakehouse.dialects import Dialect
from lakehouse.frames import Frame
from lakehouse.store import Merge

D = UserDays


class UserDaysStage(DaysStage):
    """Users' days: each batch is one merge in SQL."""

    name = "user_days"
    targets = (UserDays,)
    layer = USER_DAYS
    fault_point = "before-user-days-commit"

    def add(self, days: Frame, dates: Sequence[date], commit: Commit) -> None:
        self.context.store.merge(D, days, _add_days(dates, self.context.settings.session_ids_cap), commit)


def _add_days(dates: Sequence[date], cap: int) -> Merge:
    """`gold.user_days.merged` in SQL, bounded by the batch's days, which are partitions."""

    def bounds(dialect: Dialect) -> str:
        return f"t.{D.date} IN ({', '.join(dialect.date(day) for day in dates)})"

    def update(dialect: Dialect) -> Mapping[str, str]:
        ids = dialect.head(f"array_sort(array_union(t.{D.session_ids}, s.{D.session_ids}))", cap)
        most = f"CAST({MOST} AS DECIMAL(18,4))"
        return {
            **{
                str(column): f"t.{column} + s.{column}"
                for column in (D.num_views, D.num_add_to_cart, D.num_purchases, D.num_events)
            },
            str(D.first_event_time): f"least(t.{D.first_event_time}, s.{D.first_event_time})",
            str(D.last_event_time): f"greatest(t.{D.last_event_time}, s.{D.last_event_time})",
            str(D.last_purchase_time): f"greatest(t.{D.last_purchase_time}, s.{D.last_purchase_time})",
            str(D.revenue): f"CAST(least(t.{D.revenue} + s.{D.revenue}, {most}) AS DECIMAL(18,4))",
            str(D.active_hours): f"t.{D.active_hours} | s.{D.active_hours}",
            str(D.session_ids): ids,
            str(D.sessions): f"CAST(cardinality({ids}) AS BIGINT)",
            str(D.sessions_capped): f"cardinality({ids}) >= {cap}",
        }

    return Merge(keys=[str(column) for column in D.key], bounds=bounds, update=update)
