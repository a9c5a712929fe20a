"""Serves Great Expectations' Data Docs, the files of one folder, and nothing else."""

from __future__ import annotations

import socket
import threading
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from lakehouse.doors import is_asked_by_this_machine, is_loopback
from lakehouse.errors import LakehouseError

NOTHING_YET = b"<!doctype html><title>Data Docs</title><p>Nothing has been judged yet."


class _Pages(SimpleHTTPRequestHandler):
    """Pages are read by GET only; a folder is not listed, and a read is not logged."""

    def send_head(self) -> Any:
        here = is_loopback(cast(Any, self.server.server_address)[0])
        if here and not is_asked_by_this_machine(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        if self.path == "/" and not (Path(self.directory) / "index.html").is_file():
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(NOTHING_YET)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(NOTHING_YET)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:  # noqa: ARG002
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *_: Any) -> None: ...


class _OfSix(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Serves ``folder``, which need not be there yet, in a thread until ``shutdown``.

    Raises LakehouseError where the port is taken.
    """
    try:
        server = (_OfSix if ":" in host else ThreadingHTTPServer)((host, port), partial(_Pages, directory=str(folder)))
    except OSError as error:
        raise LakehouseError(
            f"port {port} of {host} cannot be listened on ({error.strerror}); set LAKEHOUSE_QUALITY_PORT to another"
        ) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="data docs", daemon=True).start()
    return server
