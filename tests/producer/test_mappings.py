"""Mappings: the known formats, a user's own, and what a wrong one is told."""

from __future__ import annotations

import csv
import gzip
import io
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from lakehouse.errors import LakehouseError
from producer.mapper import Mapper, Unmappable
from producer.mappings import Mapping, check_columns, load_mapping, mapping_names


def mapped(mapping: Mapping, text: str, session_id: str | None = None) -> list[dict[str, Any]]:
    """The events of a CSV."""
    rows = list(csv.DictReader(io.StringIO(text)))
    columns = list(rows[0])
    check_columns(mapping, "test", Path("test.csv"), columns)
    mapper = Mapper(mapping, columns)
    return [json.loads(mapper.message(row, mapper.who(row), "id", session_id)) for row in rows]


def test_the_known_formats_are_named() -> None:
    assert mapping_names() == ["cdnow", "events", "ga4", "rees46", "retailrocket"]


def test_ga4_divides_the_total_by_the_items_and_keeps_it() -> None:
    [purchase] = mapped(
        load_mapping("ga4"),
        "event_time,event_type,user_id,session_id,country,device,source,medium,item,category,value,n_items\n"
        "2020-11-02T03:46:45.123456Z,purchase,28378,28378_2243,CA,mobile,,,Onesie,Apparel,71.0,4\n",
    )
    assert purchase == {
        "event_id": "id",
        "user_id": "28378",
        "event_type": "purchase",
        "timestamp": "2020-11-02T03:46:45.123456Z",
        "session_id": "28378_2243",
        "product_id": "Onesie",
        "category": "Apparel",
        "quantity": 4,
        "price": 17.75,
        "value": "71.0",
        "country": "CA",
        "device": "mobile",
    }


def test_ga4_as_it_lies_on_disk(shared_data: Path) -> None:
    with gzip.open(shared_data / "ga4_store_events.csv.gz", "rt") as file:
        events = mapped(load_mapping("ga4"), "".join(islice(file, 9)))
    start, _, view = events[:3]
    assert start["event_type"] == "session_start"
    assert not {"price", "quantity", "product_id", "category"} & set(start)
    assert view["event_type"] == "view"
    assert (view["product_id"], view["price"], view["quantity"]) == ("google jotter task pad", 3.0, 1)
    assert view["timestamp"] == "2020-11-01T00:26:40.498688Z"


def test_cdnow_as_it_lies_on_disk(shared_data: Path) -> None:
    with gzip.open(shared_data / "cdnow_purchases.csv.gz", "rt") as file:
        events = mapped(load_mapping("cdnow"), "".join(islice(file, 3)))
    assert [(e["user_id"], e["timestamp"], e["price"], e["quantity"], e["currency"]) for e in events] == [
        ("00001", "1997-01-01T00:00:00Z", 11.77, 1, "USD"),
        ("00004", "1997-01-01T00:00:00Z", 14.665, 2, "USD"),
    ]


def test_rees46_renames_cart_and_reads_its_times() -> None:
    [cart, removal] = mapped(
        load_mapping("rees46"),
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
        "2019-10-01 00:00:00 UTC,cart,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde\n"
        "2019-10-01 00:00:01 UTC,remove_from_cart,3900821,1,appliances,aqua,33.20,554748717,9333dfbd\n",
    )
    assert (cart["event_type"], cart["timestamp"], cart["price"]) == ("add_to_cart", "2019-10-01T00:00:00Z", 35.79)
    assert "category" not in cart
    assert cart["category_id"] == "2103807459595387724"
    assert removal["event_type"] == "remove_from_cart"


def test_retailrocket_reads_milliseconds_and_takes_the_derived_session() -> None:
    [event] = mapped(
        load_mapping("retailrocket"),
        "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,transaction,355908,4000\n",
        session_id="257597-1433221332117",
    )
    assert event["timestamp"] == "2015-06-02T05:02:12.117000Z"
    assert (event["event_type"], event["session_id"]) == ("purchase", "257597-1433221332117")
    assert event["transactionid"] == "4000"


@pytest.mark.parametrize(
    ("time_format", "text", "expected"),
    [
        ("iso", "2024-03-01T12:00:00.000001+02:00", "2024-03-01T10:00:00.000001Z"),
        ("iso", "2024-03-01 12:00:00", "2024-03-01T11:00:00Z"),  # no zone: the mapping's
        ("epoch_s", "1709294400.25", "2024-03-01T12:00:00.250000Z"),
        ("epoch_ms", "1709294400001", "2024-03-01T12:00:00.001000Z"),
        ("%d/%m/%Y %H:%M", "01/07/2024 12:00", "2024-07-01T10:00:00Z"),  # summer time in Berlin
    ],
)
def test_times_come_out_in_utc(time_format: str, text: str, expected: str) -> None:
    mapping = Mapping(
        fields={"user_id": "who", "event_type": "what", "timestamp": "at"},  # type: ignore[dict-item]
        time_format=time_format,
        time_zone="Europe/Berlin",
    )
    [event] = mapped(mapping, f"who,what,at\nu1,view,{text}\n")
    assert event["timestamp"] == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "NaN", "99999999999999999999"])
@pytest.mark.parametrize("time_format", ["iso", "epoch_ms", "epoch_s", "%Y-%m-%d"])
def test_a_time_that_cannot_be_read_is_refused(time_format: str, text: str) -> None:
    mapping = Mapping(
        fields={"user_id": "who", "event_type": "what", "timestamp": "at"},  # type: ignore[dict-item]
        time_format=time_format,
    )
    with pytest.raises(Unmappable, match="unreadable time"):
        Mapper(mapping, ["who", "what", "at"]).who({"who": "u1", "what": "view", "at": text})


def test_what_silver_judges_goes_along_as_it_is() -> None:
    [event] = mapped(
        load_mapping("events"),
        "user_id,event_type,timestamp,price,quantity\nu1,teleport,2024-01-01,cheap,12345678901234567890\n",
    )
    assert event["event_type"] == "teleport"
    assert (event["price"], event["quantity"]) == ("cheap", "12345678901234567890")


OWN = """
fields:
  user_id: customer
  event_type: action
  timestamp: when
  price: {column: total, divide_by: pieces}
constants: {currency: EUR, shop: Köln}
event_types: {seen: view}
time_format: "%d.%m.%Y"
extra: [note]
"""


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    [event] = mapped(
        load_mapping(str(tmp_path / "own.yaml")),
        "customer,action,when,total,pieces,note,other\nu1,seen,31.12.2023,10,4,Käse,x\n",
    )
    assert event == {
        "event_id": "id",
        "user_id": "u1",
        "event_type": "view",
        "timestamp": "2023-12-31T00:00:00Z",
        "session_id": None,
        "price": 2.5,
        "currency": "EUR",
        "shop": "Köln",
        "note": "Käse",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fields: {user_id: a, event_type: b, timestamp: c}\nzone: UTC\n", "zone: no such key; allowed: about, fields"),
        (
            "fields: {user_id: a, event_type: b, timestamp: c, colour: d}\n",
            "no event field 'colour'; allowed: ",
        ),
        ("fields: {user_id: a, event_type: b}\n", "must say where 'timestamp' comes from"),
        ("fields: {user_id: {col: a}, event_type: b, timestamp: c}\n", "fields.user_id"),
        ("fields: {user_id: a, event_type: b, timestamp: c}\ntime_format: epoch\n", "none of iso, epoch_ms, epoch_s"),
        ("fields: {user_id: a, event_type: b, timestamp: c}\ntime_zone: Mars\n", "no IANA time zone"),
        ("fields: {user_id: a, event_type: b, timestamp: c}\nsessions: guess\n", "sessions: "),
        (
            "fields: {user_id: a, event_type: b, timestamp: c, session_id: d}\nsessions: derive\n",
            "session_id is given",
        ),
        ("- a list\n", "must be keys and values"),
        ("fields: [\n", "not YAML"),
    ],
)
def test_a_wrong_mapping_gets_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(LakehouseError) as error:
        load_mapping(str(file))
    assert str(file) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_column_that_the_file_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(LakehouseError, match=r"fields.timestamp: a.csv has no column 'event_time'; it has: x, y") as _:
        check_columns(
            Mapping(fields={"user_id": "x", "event_type": "y", "timestamp": "event_time"}),  # type: ignore[dict-item]
            "mine",
            Path("a.csv"),
            ["x", "y"],
        )


def test_a_column_with_the_name_of_an_event_field_must_be_explained() -> None:
    mapping = Mapping(fields={"user_id": "x", "event_type": "y", "timestamp": "z"})  # type: ignore[dict-item]
    with pytest.raises(LakehouseError, match="a column 'event_id', which is also an event field"):
        check_columns(mapping, "mine", Path("a.csv"), ["x", "y", "z", "event_id"])
