"""What each figure of the database is called for Prometheus, and what it means. docs/operations.md says what to alarm on.

All labels have a bounded number of values: states, outcomes, the job types this process knows.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from jobhub.services.figures import Figures
from jobhub.store.database import PoolUse

_Labels = tuple[str, ...]


class Families(Collector):
    """One scrape. Without figures it says just that, and nothing that was true earlier."""

    def __init__(self, figures: Figures | None, pool: PoolUse) -> None:
        self._figures = figures
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        yield _gauge("jobhub_database_up", "1 if the database gave the figures below within 2.5 s", float(self._figures is not None))
        yield _gauges(
            "jobhub_pool_connections", "Connections of this process", ["state"], {("busy",): self._pool.busy, ("idle",): self._pool.idle}
        )
        yield _gauge("jobhub_pool_connections_max", "As many as this process may have", self._pool.limit)
        if self._figures is not None:
            yield from _of_queue(self._figures)
            yield from _of_workers(self._figures)
            yield from _of_throughput(self._figures)


def _of_queue(figures: Figures) -> Iterator[Metric]:
    by_state = {"due": figures.due, "scheduled": figures.scheduled}
    pending: dict[_Labels, float] = {(job_type, state): count for state, counts in by_state.items() for job_type, count in counts.items()}
    yield _gauges("jobhub_jobs_pending", "Pending jobs: due, or scheduled for later", ["job_type", "state"], pending)
    running: dict[_Labels, float] = {(job_type,): count for job_type, count in figures.running.items()}
    yield _gauges("jobhub_jobs_running", "Running jobs", ["job_type"], running)
    yield _gauge("jobhub_oldest_due_seconds", "How long the longest-waiting due job has been due", figures.oldest_due_seconds or 0)
    yield _gauge("jobhub_promotion_lag_seconds", "How long a job whose time came has had no delivery", figures.lags.promotion_seconds or 0)
    yield _gauge("jobhub_rescue_lag_seconds", "How long a lost worker's job has not been rescued", figures.lags.rescue_seconds or 0)


def _of_workers(figures: Figures) -> Iterator[Metric]:
    workers = figures.workers
    states: dict[_Labels, float] = {("live",): workers.live, ("stopping",): workers.stopping, ("lost",): workers.lost}
    yield _gauges("jobhub_workers", "Workers: live, stopping, or lost within the last day", ["state"], states)
    yield _gauge("jobhub_worker_slots", "Jobs that live workers can run at once", workers.slots)
    yield _gauge(
        "jobhub_worker_lease_seconds", "What is left of the shortest valid lease; renewed every 3 s for 15", workers.shortest_lease_seconds
    )
    yield _gauge("jobhub_worker_loop_lag_seconds", "How late the latest event loop of a worker was", workers.loop_lag_seconds)


def _of_throughput(figures: Figures) -> Iterator[Metric]:
    ended: dict[_Labels, float] = {(job_type, str(outcome)): count for (job_type, outcome), count in figures.ended.items()}
    yield _counters("jobhub_attempts", "Attempts that ended", ["job_type", "outcome"], ended)
    yield _counters("jobhub_finish_statements", "Statements by which workers recorded attempts", [], {(): figures.finishes})
    yield _counters("jobhub_claim_statements", "Statements by which workers started jobs", [], {(): figures.workers.claims})
    yield _counters("jobhub_deliveries", "Times that a job became due", [], {(): figures.workers.deliveries})


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    """A figure without labels; without a sample where there is nothing to measure."""
    return _gauges(name, meaning, [], {} if value is None else {(): value})


def _gauges(name: str, meaning: str, labels: list[str], values: Mapping[_Labels, float]) -> Metric:
    return _filled(GaugeMetricFamily(name, meaning, labels=labels), values.items())


def _counters(name: str, meaning: str, labels: list[str], values: Mapping[_Labels, float]) -> Metric:
    return _filled(CounterMetricFamily(name, meaning, labels=labels), values.items())


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, values: Iterable[tuple[_Labels, float]]
) -> GaugeMetricFamily | CounterMetricFamily:
    for labels, value in values:
        family.add_metric(labels, value)
    return family
