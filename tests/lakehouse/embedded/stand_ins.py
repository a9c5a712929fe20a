"""`lakehouse` with stand-ins for the project's own services; Kafka and Postgres are real.

python stand_ins.py up --no-simulator
"""

from __future__ import annotations

import sys
from dataclasses import replace

from lakehouse import cli
from lakehouse.embedded import stack, up
from lakehouse.embedded.process import Service
from lakehouse.home import Home
from lakehouse.settings import Settings

SERVE_HTTP = """
import http.server, sys
class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ok).serve_forever()
"""

ANSWER_PINGS = """
import os, socket, sys
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("round 1", flush=True)
while True:
    connection = server.accept()[0]
    connection.makefile().readline()
    connection.sendall(b'{"result": "pong"}\\n')
    connection.close()
"""


def plan_with_stand_ins(settings: Settings, home: Home, simulate: bool) -> stack.Plan:
    plan = plan_stack(settings, home, simulate)
    python = (sys.executable, "-c")
    programs = {
        stack.MIGRATE: (*python, ""),
        stack.WRITER: (*python, ANSWER_PINGS, str(home.socket)),
        stack.API: (*python, SERVE_HTTP, plan.endpoints.api.rpartition(":")[2]),
        stack.DASHBOARD: (*python, SERVE_HTTP, plan.endpoints.dashboard.rpartition(":")[2]),
        stack.VALIDATOR: (*python, SERVE_HTTP, plan.endpoints.quality.rpartition(":")[2]),
        stack.CHAMPION: (*python, ""),
        stack.SIMULATOR: ("/bin/sh", "-c", "while :; do sleep 0.1; done"),
    }

    def stand_in(service: Service) -> Service:
        return replace(service, argv=programs.get(service.name, service.argv))

    return replace(plan, services=tuple(stand_in(service) for service in plan.services))


plan_stack = stack.plan_stack
up.plan_stack = plan_with_stand_ins

if __name__ == "__main__":
    cli.main()
