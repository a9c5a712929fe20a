"""A scoring API that answers as the real one does, by a rule that a test can work out: few views are churn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pyarrow as pa

MOST_VIEWS = 1_000_000_000


@dataclass
class Api:
    port: int = 0
    champion: str | None = "1"
    asked: list[int] = field(default_factory=list)
    """Rows of each batch."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[Api]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if api.champion is None:
                    return self.answer(503, b'{"detail": "there is no model yet"}')
                return self.answer(200, json.dumps({"model_version": api.champion}).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if api.champion is None:
                    return self.answer(503, b'{"detail": "there is no model yet"}')
                views = pa.ipc.open_stream(body).read_all()["num_views"].to_pylist()
                api.asked.append(len(views))
                bad = [row for row, n in enumerate(views) if n > MOST_VIEWS]
                if bad:
                    detail = [{"loc": ["body", "rows", row, "num_views"], "msg": "is too much"} for row in bad]
                    return self.answer(422, json.dumps({"detail": detail}).encode())
                scores = [1 / (n + int(api.champion)) for n in views]
                table = pa.table(
                    {
                        "churn_probability": scores,
                        "churned": [score >= 0.5 for score in scores],
                        "reasons": pa.array(
                            [["few views"] if score >= 0.5 else [] for score in scores], pa.list_(pa.string())
                        ),
                    }
                )
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, table.schema) as stream:
                    stream.write_table(table)
                return self.answer(200, bytes(sink.getvalue()), **{"X-Model-Version": api.champion, "X-Threshold": 0.5})

            def answer(self, code: int, body: bytes, **headers: Any) -> None:
                self.send_response(code)
                for name, value in {**headers, "Content-Length": len(body), "Connection": "close"}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = server.server_address[1]
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
