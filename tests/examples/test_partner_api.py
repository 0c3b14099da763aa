"""docs/examples/partner_api.py, run by two workers against a partner that is sometimes busy."""

import http.server
import json
import re
import threading
import time
from contextlib import contextmanager

from docs.examples import partner_api
from tests import factories
from tests.worker.processes import wait_for_status, worker_process


class Partner(http.server.BaseHTTPRequestHandler):
    """Registers each key once. Answers the first call for order B-1 with 503, and any for Z-1 with 400."""

    def do_PUT(self) -> None:
        order, key = self.path.rpartition("/")[2], self.headers["Idempotency-Key"]
        self.server.calls.append((time.time(), order, key))
        status = {"Z-1": 400, "B-1": 503 if [call[1] for call in self.server.calls].count("B-1") == 1 else 200}.get(order, 200)
        body = json.dumps({"registration": f"r-{key}"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def partner():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Partner)
    server.calls = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def register_job(sql, alice, order: str):
    return factories.make_job(sql, alice, job_type="partner.register", max_attempts=5, parameters=f'{{"order": "{order}"}}')


def test_two_workers_keep_the_rate_together_and_a_busy_partner_is_asked_again(dsn, sql, alice, tmp_path):
    for statement in re.findall(r"(?:CREATE TABLE|INSERT INTO) .*?;", partner_api.__doc__, re.DOTALL):
        sql.execute(statement)
    ids = {order: register_job(sql, alice, order) for order in ["B-1", "Z-1", *(f"A-{n}" for n in range(10))]}

    with partner() as server:
        url = f"http://127.0.0.1:{server.server_port}"
        given = {"JOBHUB_HANDLERS": "docs.examples.partner_api", "PARTNER_URL": url, "PARTNER_DATABASE_URL": dsn, "JOBHUB_CONCURRENCY": "6"}
        with worker_process(dsn, tmp_path, **given), worker_process(dsn, tmp_path, **given):
            rows = {order: wait_for_status(sql, id_, "failed" if order == "Z-1" else "completed", seconds=30) for order, id_ in ids.items()}

    assert rows["Z-1"].error_code == "partner_refused"
    assert rows["B-1"].result == {"registration": f"r-job-{ids['B-1']}", "attempt": 2}
    assert rows["A-3"].result == {"registration": f"r-job-{ids['A-3']}", "attempt": 1}
    began = sorted(at for at, _, _ in server.calls)
    first = sql.execute("SELECT extract(EPOCH FROM min(started_at))::float8 AS at FROM job_attempts").fetchone().at
    # However late a call arrives, it has waited for its turn, and turns are a fifth of a second apart over both workers.
    assert len(began) == 13
    assert [at for number, at in enumerate(began) if at < first + number / partner_api.CALLS_PER_SECOND] == []
