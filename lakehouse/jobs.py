"""Jobs asked of the running writer, over a Unix socket in the home: one JSON line asks, JSON lines answer.

Every change, and every `sql` against a running stack, goes through the one process that writes. A job is a function
``(writer, arguments, progress) -> result`` that a room registers under the entry point group ``lakehouse.jobs``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.errors import EngineLost, LakehouseError
from lakehouse.home import Home

if TYPE_CHECKING:
    from lakehouse.writer import Writer

Progress = Callable[[str], None]
Job = Callable[["Writer", Mapping[str, Any], Progress], Any]


class WriterGone(LakehouseError):
    """The writer is not there, or ended before it had answered."""


def call(
    home: Home,
    job: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    timeout_s: float | None = None,
    progress: Progress = lambda _: None,
) -> Any:
    """Has the running writer do ``job`` and returns its result, a JSON value.

    Raises WriterGone where no writer listens, or it ends before it has answered; LakehouseError where none answers
    within ``timeout_s``, or with the job's own reason.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(home.socket))
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.write(json.dumps({"job": job, "arguments": dict(arguments or {})}) + "\n")
                stream.flush()
                for line in stream:
                    answer = json.loads(line)
                    if "progress" in answer:
                        progress(answer["progress"])
                    elif "error" in answer:
                        raise LakehouseError(answer["error"])
                    else:
                        return answer["result"]
        except TimeoutError:
            raise LakehouseError(
                f"{job}: the writer did not answer within {timeout_s:g} s; see `lakehouse status`"
            ) from None
        except (FileNotFoundError, ConnectionError):
            raise WriterGone(f"{job}: the writer is not running; see `lakehouse status` and its log") from None
    raise WriterGone(f"{job}: the writer ended before it had answered; see `lakehouse status`")


class JobServer:
    """Answers on the home's socket, each connection in a thread of its own."""

    def __init__(self, home: Home, run: Callable[[str, Mapping[str, Any], Progress], Any]) -> None:
        path = home.socket
        path.unlink(missing_ok=True)

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                def say(**answer: Any) -> None:
                    with contextlib.suppress(OSError):  # who asked has gone; the job is done all the same
                        self.wfile.write(json.dumps(answer, default=str).encode() + b"\n")
                        self.wfile.flush()

                try:
                    request = json.loads(self.rfile.readline() or b"{}")
                    if "job" not in request:  # a health check that only connects
                        return
                    say(result=run(request["job"], request["arguments"], lambda text: say(progress=text)))
                except EngineLost:
                    return  # the writer is about to end
                except LakehouseError as error:
                    say(error=str(error))
                except Exception as error:
                    say(error=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._path = path
        self._server = Server(str(path), Handler)
        os.chmod(path, 0o600)  # noqa: PTH101 (Path.chmod follows the same way; the socket must be closed to others)
        self._thread = threading.Thread(target=self._server.serve_forever, name="jobs", daemon=True)

    def __enter__(self) -> JobServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)
