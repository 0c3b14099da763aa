"""What we rely on of Procrastinate beyond its public interface. When this fails, read the changed method again beside ours."""

import hashlib
import inspect

import pytest
from procrastinate.manager import JobManager
from procrastinate.worker import Worker

from jobhub.worker.manager import DispatchManager
from jobhub.worker.procrastinate_app import DispatchWorker

# Methods of the worker we override, or that call what we override in an order we count on.
WORKER = {
    "run": "9a7c6a1ab8301be0",
    "_run_loop": "c92ccad5fa07f7a1",
    "_fetch_and_process_jobs": "2963aa354dfda4d6",
    "_process_job": "55a67c0ff525add9",
    "_persist_job_status": "821921c86130d151",
    "_shutdown": "7e40cbd5efe3acf5",
    "_abort_running_jobs": "fd29180651aa4832",
    "_start_side_tasks": "2623df64cb23ce26",
}


def fingerprint(method: object) -> str:
    return hashlib.sha256(inspect.getsource(method).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "known"), WORKER.items())
def test_the_worker_s_method_is_the_one_we_have_read(name, known):
    assert fingerprint(getattr(Worker, name)) == known, f"Worker.{name} has changed: see worker/procrastinate_app.py"


@pytest.mark.parametrize("name", [name for name in vars(DispatchManager) if name in vars(JobManager) and not name.startswith("__")])
def test_every_overridden_method_of_the_manager_takes_what_it_took(name):
    ours, theirs = inspect.signature(getattr(DispatchManager, name)), inspect.signature(getattr(JobManager, name))

    assert list(ours.parameters) == list(theirs.parameters)


def test_the_overridden_methods_are_those_we_know_of():
    ours = {name for name in vars(DispatchWorker) if name in vars(Worker) and name not in ("__init__", "__doc__", "__module__")}

    assert ours == {"_fetch_and_process_jobs", "_shutdown", "stop"}
    assert {"register_worker", "update_heartbeat"} <= {name for name in vars(DispatchManager) if name in vars(JobManager)}
