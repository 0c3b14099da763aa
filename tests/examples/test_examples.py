"""The handlers of docs/examples/, run for real: on their own, and the one that resumes in a service that loses its worker."""

import csv
import http.server
import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from PIL import Image

import jobhub
from jobhub.domain.errors import InvalidInput
from jobhub.testing import run_handler, temporary_service

JOB = UUID("01a20b0e-427a-71d4-aece-416eb939d3da")
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> ModuleType:
    """A module of the examples, read anew so that it sees the test's environment."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # what annotations are looked up in
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def thumbnails(tmp_path: Path, monkeypatch) -> ModuleType:
    monkeypatch.setenv("PICTURES_ROOT", str(tmp_path))
    (tmp_path / "holiday").mkdir()
    for number in range(3):
        Image.new("RGB", (800, 600), (number * 80, 0, 0)).save(tmp_path / "holiday" / f"{number}.png")
    (tmp_path / "holiday" / "broken.jpg").write_bytes(b"no picture")
    return example("thumbnails")


def test_every_picture_gets_a_thumbnail_once(thumbnails, tmp_path):
    first = run_handler(thumbnails.make_thumbnails, {"folder": "holiday", "width": 100})
    second = run_handler(thumbnails.make_thumbnails, {"folder": "holiday", "width": 100})

    made = sorted((tmp_path / "holiday" / "thumbnails").iterdir())
    assert first.result == {"pictures": 4, "made": 3, "unreadable": ["broken.jpg"]}
    assert second.result["made"] == 0
    assert [path.name for path in made] == ["0-100.jpg", "1-100.jpg", "2-100.jpg"]
    with Image.open(made[0]) as image:
        assert image.size == (100, 75)
    assert first.reports[-1].percentage == 100


def test_no_folder_outside_of_the_root_is_touched(thumbnails):
    for folder in ("..", "holiday/../..", "/etc"):
        with pytest.raises(InvalidInput, match="below the root"):
            run_handler(thumbnails.make_thumbnails, {"folder": folder})
    with pytest.raises(jobhub.JobFailed, match="no folder"):
        run_handler(thumbnails.make_thumbnails, {"folder": "nowhere"})


def test_thumbnails_that_were_cancelled_leave_nothing_half_done(thumbnails, tmp_path):
    run_handler(thumbnails.make_thumbnails, {"folder": "holiday"}, cancel_requested=True)

    assert list((tmp_path / "holiday" / "thumbnails").iterdir()) == []


def write_products(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "name", "price_cents"])
        writer.writerows([f"sku-{number}", f"Product {number}", number] for number in range(rows))


@pytest.fixture
def csv_import(tmp_path: Path, monkeypatch, empty_dsn: str) -> ModuleType:
    monkeypatch.setenv("IMPORT_ROOT", str(tmp_path))
    monkeypatch.setenv("SHOP_DATABASE_URL", empty_dsn)
    return example("csv_import")


def test_an_import_that_broke_off_goes_on_and_imports_each_row_once(csv_import, tmp_path, empty_dsn):
    write_products(tmp_path / "products.csv", 1234)

    class Crash(BaseException):
        """As a worker that is killed."""

    def crash(report):
        if report.percentage > 50:
            raise Crash

    with pytest.raises(Crash):
        run_handler(csv_import.import_products, {"file": "products.csv"}, job_id=JOB, on_report=crash)
    again = run_handler(csv_import.import_products, {"file": "products.csv"}, job_id=JOB, attempt=2)

    with psycopg.connect(empty_dsn) as connection:
        rows, distinct = connection.execute("SELECT count(*), count(DISTINCT sku) FROM products").fetchone()
    assert (rows, distinct) == (1234, 1234)
    assert again.result == {"rows": 1234, "resumed_at": 1000}


def test_a_row_that_cannot_be_read_is_named_and_final(csv_import, tmp_path):
    (tmp_path / "bad.csv").write_text("sku,name,price_cents\na,A,1\nb,B,cheap\n")

    with pytest.raises(jobhub.JobFailed, match="Line 3") as failure:
        run_handler(csv_import.import_products, {"file": "bad.csv"})
    assert not failure.value.retryable


@pytest.fixture
def partner(monkeypatch) -> Iterator[list[Any]]:
    """A carrier: its answers, and below them what it was sent."""
    asked: list[Any] = []
    answers = [(503, {}), (201, {"tracking": "T-1"}), (422, {"error": "too heavy"})]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.headers["idempotency-key"], body["order"]))
            status, answer = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("PARTNER_URL", f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()
        thread.join()


def test_a_busy_partner_is_asked_again_with_the_same_key_and_a_refusal_is_final(partner):
    ship = example("partner_api").ship
    order = {"order": "A-7", "weight_grams": 500}

    with pytest.raises(jobhub.JobFailed) as busy:
        run_handler(ship, order, job_id=JOB)
    done = run_handler(ship, order, job_id=JOB, attempt=2)
    with pytest.raises(jobhub.JobFailed) as refused:
        run_handler(ship, order)

    assert (busy.value.error_code, busy.value.retryable) == ("carrier_busy", True)
    assert done.result == {"tracking": "T-1", "attempt": 2}
    assert (refused.value.error_code, refused.value.retryable) == ("refused", False)
    assert partner[0][0] == partner[1][0] == f"job-{JOB}"
    assert partner[2][0] != partner[0][0]


async def test_calls_keep_their_pace(monkeypatch):
    module, pauses = example("partner_api"), []

    async def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 3))

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    pace = module.Pace(10)
    for _ in range(4):
        await pace.wait_for_turn()

    assert pauses == [0, 0.1, 0.2, 0.3]


@pytest.mark.xdist_group("client")
def test_a_service_finds_and_runs_all_of_them(monkeypatch, tmp_path):
    monkeypatch.chdir(EXAMPLES)
    (tmp_path / "holiday").mkdir()
    tmp_path.chmod(0o755)

    with temporary_service(handlers=["thumbnails", "csv_import", "partner_api"], environ={"PICTURES_ROOT": str(tmp_path)}) as service:
        user = service.user()
        names = {job_type.name for job_type in user.list_job_types()}
        job = user.wait(user.submit("example.thumbnails", {"folder": "holiday"}), timeout_seconds=30)

    assert {"example.thumbnails", "example.csv_import", "example.ship"} <= names
    assert job.result == {"pictures": 0, "made": 0, "unreadable": []}
