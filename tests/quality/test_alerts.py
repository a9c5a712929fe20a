"""Alert rules: what is wrong with one is said, one fires once and is over, and whoever was away is told later."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from lakehouse.alerts import Alerts, current
from lakehouse.embedded.locks import holding
from lakehouse.embedded.status import look
from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from quality.alert_figures import value
from quality.alert_rules import Figure, Rule, load_rules
from quality.alerting import Watch, start
from quality.telling import Message, NotSent, Recipient

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
LAG = '[[alert]]\nname = "Behind"\nfigure = "lag_seconds"\nabove = 60\n'


@dataclass
class Room:
    """A watch whose figure, clock and recipient are in a test's hands."""

    home: Home
    measured: float | None = None
    now: datetime = NOON
    away: bool = False
    sent: list[Message] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = Watch(
            self.home, lambda _: self.measured, [Recipient("webhook", self.send)], self.said.append, lambda: self.now
        )

    def send(self, message: Message) -> None:
        if self.away:
            raise NotSent("nobody answers")
        self.sent.append(message)

    def look(self, measured: float | None, after: timedelta = timedelta(0)) -> list[str]:
        """Names of the rules that fire, ``after`` the last look."""
        self.measured, self.now = measured, self.now + after
        return [firing.name for firing in self.watch.look().firing]

    @property
    def states(self) -> list[str]:
        """Of the messages that were sent."""
        return [message["state"] for message in self.sent]

    def shown_over(self) -> list[str]:
        """What a page shows to be over, at the time of the last look."""
        found = current(self.home, self.now)
        return [] if found is None else [str(over) for over in found.just_over]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    home = Home(tmp_path).make()
    home.alert_rules.write_text(LAG)
    return Room(home)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[alert]", "is no TOML"),
        ('[[alerts]]\nname = "x"', "'alerts' is not known"),
        ("alert = 3", "below a line [[alert]]"),
        ('[[alert]]\nname = "x"\nfigure = "weather"\nabove = 1', "rule 1 figure"),
        ('[[alert]]\nname = "x"\nfigure = "conversion"', "rule 1: give one of below and above"),
        ('[[alert]]\nname = "x"\nfigure = "conversion"\nabove = 1\nbelow = 1', "rule 1: give one of below and above"),
        (f"{LAG}minutes = 5", "rule 1 minutes"),
        (f"{LAG}color = 5", "rule 1 color"),
        (f"{LAG}{LAG}", "two rules are called 'Behind'"),
        (LAG.replace("60", "nan"), "rule 1 above"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    with pytest.raises(LakehouseError) as raised:
        load_rules(file)
    assert told in str(raised.value)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_rules_of_the_docs_are_rules(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    file = tmp_path / "alerts.toml"
    file.write_text(page.split("```toml\n")[1].split("```")[0])
    assert {rule.figure for rule in load_rules(file)} == set(Figure)


def test_a_rule_fires_once_is_told_once_a_day_and_is_over_when_it_was_met_for_a_while(room: Room) -> None:
    assert room.look(60) == []
    assert room.look(61) == ["Behind"]
    assert room.look(30, timedelta(minutes=4)) == ["Behind"]
    assert room.look(90, timedelta(minutes=4)) == ["Behind"]
    (message,) = room.sent
    assert (message["alert"], message["said"]) == ("Behind", "seconds of lag: 61, above 60")
    assert message["since"] == NOON.isoformat()

    room.look(70, timedelta(days=1))
    assert room.look(30, timedelta(minutes=6)) == []
    assert room.look(70) == ["Behind"]
    assert room.states == ["begun", "lasts", "over", "begun"]


def test_that_a_rule_is_over_is_told_once_and_shown_for_an_hour(room: Room) -> None:
    room.look(61)
    room.look(75, timedelta(minutes=2))
    assert room.look(30, timedelta(minutes=5)) == []
    room.look(30, timedelta(minutes=1))

    assert room.states == ["begun", "over"]
    assert room.sent[1] == {
        "alert": "Behind",
        "state": "over",
        "said": "seconds of lag: 75, above 60",
        "since": "2025-03-01T12:00:00+00:00",
        "until": "2025-03-01T12:02:00+00:00",
        "lasted_seconds": 120.0,
        "home": str(room.home.root),
    }
    shown = "Behind · seconds of lag: 75, above 60 · over since 2025-03-01 12:02:00 UTC, after 0:02:00"
    assert room.shown_over() == [shown]
    room.look(30, timedelta(minutes=59))
    assert room.shown_over() == [shown]
    room.look(30, timedelta(minutes=1))
    assert room.shown_over() == []


def test_a_rule_that_fires_again_is_not_shown_as_over(room: Room) -> None:
    room.look(61)
    room.look(30, timedelta(minutes=5))
    assert room.look(61, timedelta(minutes=1)) == ["Behind"]
    assert room.shown_over() == []
    room.look(30, timedelta(minutes=5))
    assert [shown.split(" · ")[-1] for shown in room.shown_over()] == [
        "over since 2025-03-01 12:06:00 UTC, after 0:00:00"
    ]


def test_a_rule_that_is_taken_away_is_over(room: Room) -> None:
    room.look(61)
    room.home.alert_rules.unlink()
    room.look(None, timedelta(seconds=15))
    assert room.states == ["begun", "over"]


def test_whoever_was_away_when_it_was_over_is_told_later_after_a_restart_too(room: Room) -> None:
    room.look(61)
    room.away = True
    room.look(30, timedelta(minutes=5))
    room.look(30, timedelta(hours=2))
    assert room.states == ["begun"]

    restarted = Room(room.home, now=room.now)
    assert restarted.look(30) == []
    restarted.look(30, timedelta(hours=1))
    assert restarted.states == ["over"]


def test_whoever_was_away_all_the_while_is_told_what_was_before_what_is(room: Room) -> None:
    room.away = True
    room.look(61)
    room.look(30, timedelta(minutes=5))
    room.away = False
    room.look(90, timedelta(minutes=1))
    assert [(message["state"], message["said"]) for message in room.sent] == [
        ("over", "seconds of lag: 61, above 60"),
        ("begun", "seconds of lag: 90, above 60"),
    ]


def test_what_is_over_for_a_day_is_told_no_more(room: Room) -> None:
    room.look(61)
    room.away = True
    room.look(30, timedelta(minutes=5))
    room.away = False
    room.look(30, timedelta(days=1, seconds=1))
    assert room.states == ["begun"]
    kept = Alerts.load(room.home)
    assert kept is not None
    assert kept.over == ()


def test_what_was_noted_before_endings_were_is_read(room: Room) -> None:
    room.look(61)
    kept = json.loads(room.home.alerts.read_text())
    del kept["over"]
    room.home.alerts.write_text(json.dumps(kept))
    assert room.look(61, timedelta(minutes=1)) == ["Behind"]
    assert room.states == ["begun"]


def test_what_was_found_counts_as_long_as_somebody_looks(room: Room) -> None:
    assert current(room.home, NOON) is None
    room.look(61)
    found = current(room.home, NOON + timedelta(minutes=1))
    assert found is not None
    assert [str(firing) for firing in found.firing] == [
        "Behind · seconds of lag: 61, above 60 · since 2025-03-01 12:00:00 UTC"
    ]
    assert current(room.home, NOON + timedelta(minutes=3)) is None


def test_status_tells_what_fires(room: Room) -> None:
    room.now = datetime.now(UTC)
    room.look(61)
    with holding(room.home.supervisor_lock, "stack"):
        report = look(room.home)
        assert report is not None
        (alert,) = report.as_document(room.home)["alerts"]
    assert alert.startswith("Behind · seconds of lag: 61, above 60")


def test_what_is_not_known_begins_nothing_and_ends_nothing(room: Room) -> None:
    assert room.look(None) == []
    assert room.look(61) == ["Behind"]
    assert room.look(None, timedelta(hours=1)) == ["Behind"]


def test_whoever_was_away_is_told_later_and_a_restart_tells_nobody_again(room: Room) -> None:
    room.away = True
    room.look(61)
    room.look(61, timedelta(seconds=1))
    assert room.said == ["webhook: nobody answers; it is tried again"]
    room.away = False
    room.look(61, timedelta(minutes=1))
    assert len(room.sent) == 1

    restarted = Room(room.home, now=room.now)
    assert restarted.look(61) == ["Behind"]
    assert restarted.sent == []


def test_a_file_that_is_broken_keeps_what_fired_and_is_said_once(room: Room) -> None:
    room.look(61)
    room.home.alert_rules.write_text("[[alert]")
    assert room.look(61) == ["Behind"]
    room.look(61)
    (said,) = room.said
    assert "is no TOML" in said
    kept = Alerts.load(room.home)
    assert kept is not None
    assert "is no TOML" in str(kept.problem)

    room.home.alert_rules.unlink()
    assert room.look(61) == []


def test_it_looks_in_a_thread_of_its_own_until_it_is_stopped(room: Room) -> None:
    stop, room.measured = threading.Event(), 61
    start(room.watch, stop)
    assert until(lambda: (found := Alerts.load(room.home)) is not None and bool(found.firing), 10.0)
    stop.set()
    assert until(lambda: "alerts" not in [thread.name for thread in threading.enumerate()], 10.0)


@pytest.fixture
def owner(endpoints: Endpoints) -> Iterator[psycopg2.extensions.connection]:
    """Of tables that hold nothing yet."""
    with closing(psycopg2.connect(endpoints.postgres_owner)) as conn:
        with conn.cursor() as cursor:
            cursor.execute("TRUNCATE funnel_windows, pipeline_history, pipeline_status, churn_prediction")
        conn.commit()
        yield conn


def rule(figure: Figure, minutes: int = 60) -> Rule:
    return Rule(name="x", figure=figure, above=0, minutes=minutes)


def execute(conn: psycopg2.extensions.connection, statement: str) -> None:
    with conn.cursor() as cursor:
        cursor.execute(statement)
    conn.commit()


def test_nothing_is_known_of_an_empty_postgres(owner: psycopg2.extensions.connection) -> None:
    assert [value(owner, rule(figure)) for figure in Figure] == [None] * len(Figure)


def test_conversion_is_of_the_last_whole_windows_of_the_data(owner: psycopg2.extensions.connection) -> None:
    execute(
        owner,
        """INSERT INTO funnel_windows SELECT at, at + interval '10 min', kind, n, at::date FROM (VALUES
           ('2020-11-01 08:50+00'::timestamptz, 'purchase', 90), ('2020-11-01 09:00+00', 'view', 60),
           ('2020-11-01 09:50+00', 'view', 40), ('2020-11-01 09:50+00', 'purchase', 5),
           ('2020-11-01 10:00+00', 'view', 700)) AS rows (at, kind, n)""",
    )
    assert value(owner, rule(Figure.conversion)) == 0.05


def test_events_per_minute_are_by_the_clock(owner: psycopg2.extensions.connection) -> None:
    execute(
        owner,
        """INSERT INTO pipeline_history (minute, name, reported_at, rows_total)
           SELECT now() - ago, name, now() - ago, total FROM (VALUES
           (interval '75 min', 'bronze.user_events', 100), ('61 min', 'bronze.user_events', 400),
           ('20 min', 'bronze.user_events', 1000), ('1 min', 'bronze', 9000)) AS rows (ago, name, total)""",
    )
    assert value(owner, rule(Figure.events_per_minute)) == 10
    assert value(owner, rule(Figure.events_per_minute, minutes=10)) == 0  # nothing came in the last twenty


def test_lag_grows_where_nobody_reports(owner: psycopg2.extensions.connection) -> None:
    execute(
        owner,
        """INSERT INTO pipeline_status (stream, state, rows_total, lag_seconds, updated_at) VALUES
           ('bronze', 'idle', 0, 5, now() - interval '100 s'), ('gold', 'idle', 0, NULL, now())""",
    )
    assert value(owner, rule(Figure.lag_seconds)) == pytest.approx(105, abs=20)


def test_churn_risk_is_the_share_of_scored_users(owner: psycopg2.extensions.connection) -> None:
    execute(
        owner,
        """INSERT INTO churn_prediction
               (user_id, churn_probability, churned, error, as_of, scored_at, features, reasons)
           SELECT *, now(), now(), '{}', '{}' FROM (VALUES
           ('ann', 0.9, true, NULL), ('bob', 0.1, false, NULL), ('eve', NULL, NULL, 'refused')) AS users""",
    )
    assert value(owner, rule(Figure.churn_risk)) == 0.5
