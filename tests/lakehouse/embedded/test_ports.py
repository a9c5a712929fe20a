from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.errors import LakehouseError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_names_the_service_and_the_setting_to_change(taken: int) -> None:
    with pytest.raises(LakehouseError, match=rf"port {taken} .* api .* is taken; .* LAKEHOUSE_API_PORT"):
        assign([Door("api", "LAKEHOUSE_API_PORT", LOOPBACK, taken)])


def test_zero_picks_free_ports_that_differ() -> None:
    ports = assign(Door(f"service {n}", "", LOOPBACK, 0) for n in range(20))

    assert len(set(ports.values())) == 20


def test_two_services_on_one_port_are_refused() -> None:
    free = assign([Door("kafka", "", LOOPBACK, 0)])["kafka"]

    with pytest.raises(LakehouseError, match="which dashboard is to listen on"):
        assign([Door("api", "A", LOOPBACK, free), Door("dashboard", "B", LOOPBACK, free)])
