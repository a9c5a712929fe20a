"""The scoring API as a server, in a thread of its own, with the model that a test gives it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import uvicorn
from fastapi import FastAPI

from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.settings import load_settings
from ml.package import Package, save
from serving.api import create_app

START_LIMIT_S = 20.0


@dataclass
class Api:
    """Where it answers stays the same when it is started again."""

    home: Path
    endpoints: Endpoints
    port: int = 0
    _app: FastAPI | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, package: Package) -> None:
        """``package`` is the champion from now on."""
        save(package, self.home / "model.pkl")
        if self._app is not None:
            self._app.state.champion.look()

    @contextmanager
    def running(self) -> Iterator[Api]:
        settings = load_settings(home=self.home, model_file=self.home / "model.pkl")
        with socket.socket() as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(("127.0.0.1", self.port))
            self.port = door.getsockname()[1]
            self._app = create_app(settings, self.endpoints)
            server = uvicorn.Server(uvicorn.Config(self._app, log_level="error", timeout_graceful_shutdown=2))
            thread = Thread(target=server.run, args=([door],), name="api")
            thread.start()
            try:
                assert until(lambda: server.started, START_LIMIT_S)
                yield self
            finally:
                server.should_exit = True
                thread.join()
                self._app = None
