"""The Data Docs' door: pages of one folder, and nothing beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lakehouse.errors import LakehouseError
from quality.docs_server import serve


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[tuple[Path, httpx.Client]]:
    (tmp_path / "secrets.json").write_text("{}")
    folder = tmp_path / "data_docs"
    server = serve(folder, "127.0.0.1", 0)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}") as client:
        yield folder, client
    server.shutdown()


def test_before_anything_was_judged_it_says_so(pages: tuple[Path, httpx.Client]) -> None:
    answer = pages[1].get("/")

    assert (answer.status_code, "Nothing has been judged yet" in answer.text) == (200, True)


def test_pages_are_served_and_folders_are_not_listed(pages: tuple[Path, httpx.Client]) -> None:
    folder, client = pages
    (folder / "validations").mkdir(parents=True)
    (folder / "index.html").write_text("<p>runs")

    assert client.get("/").text == "<p>runs"
    assert client.get("/validations/").status_code == 404
    assert client.get("/%2e%2e/secrets.json").status_code == 404
    assert client.post("/").status_code == 501


def test_a_port_that_is_taken_is_one_line() -> None:
    server = serve(Path("nowhere"), "127.0.0.1", 0)
    port = server.server_address[1]

    with pytest.raises(LakehouseError, match=f"port {port} of 127.0.0.1 cannot be listened on"):
        serve(Path("nowhere"), "127.0.0.1", port)

    server.shutdown()
