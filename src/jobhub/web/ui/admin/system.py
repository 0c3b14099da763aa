"""How the system stands: overview, failures, workers, job types."""

from datetime import timedelta
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from jobhub.contract.figures import Window
from jobhub.services import insight, jobs
from jobhub.web.auth import administrators_only
from jobhub.web.resources import Resources, UserRequest
from jobhub.web.schemas import utc_now
from jobhub.web.ui.charts import latencies, throughput_chart
from jobhub.web.ui.rendering import page

# The names queue_status gives its checks, for people.
CHECK_LABELS = {
    "database": "Database",
    "oldest_due_job": "Oldest due job",
    "live_workers": "Workers",
    "promotion_lag": "Scheduled jobs",
    "rescue_lag": "Jobs of lost workers",
}
_FAILURE_HOURS = {"within_hour": 1, "within_day": 24, "within_week": 168}
_JOBS_OF_WORKER = 5
_MAX_TITLES = 200  # of all workers together


class SystemController(Controller):
    path = "/admin"
    guards = (administrators_only,)

    @get()
    async def overview(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """Figures of a window of time, and whether all is well now."""
        window = _window(request)
        figures = await resources.insight.statistics(window)
        status = await resources.insight.queue_status()
        return page(
            request,
            "overview.html",
            window=window,
            windows=list(Window),
            figures=figures,
            status=status,
            check_labels=CHECK_LABELS,
            chart=throughput_chart(figures.throughput, window),
            running=latencies([(one.job_type, one.processing_seconds.p50, one.processing_seconds.p95) for one in figures.by_type]),
            waiting=latencies([(one.job_type, one.waiting_seconds.p50, one.waiting_seconds.p95) for one in figures.by_type]),
        )

    @get("/failures")
    async def failures(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """By job type and error, of an hour, a day and a week."""
        now = utc_now()
        since = {name: (now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%MZ") for name, hours in _FAILURE_HOURS.items()}
        return page(request, "failures.html", failures=await insight.failures_by_type(resources.db), since=since)

    @get("/workers")
    async def workers(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """Each with its lease, its lag and what it runs."""
        workers = (await resources.insight.queue_status()).workers
        shown = [job_id for worker in workers for job_id in worker.current_jobs[:_JOBS_OF_WORKER]]
        titles = {job.id: job.title for job in await resources.live.read_all(shown[:_MAX_TITLES], owner_id=None)}
        return page(request, "workers.html", workers=workers, titles=titles, most=_JOBS_OF_WORKER)

    @get("/job-types")
    async def job_types(self, request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
        """What this process knows, with the figures of a day."""
        figures = await resources.insight.statistics(Window.DAY)
        by_type: dict[str, Any] = {one.job_type: one for one in figures.by_type}
        return page(request, "job_types.html", types=jobs.describe(resources.registry, by=request.user), by_type=by_type)


def _window(request: UserRequest) -> Window:
    asked = request.query_params.get("window", "")
    return Window(asked) if asked in set(Window) else Window.DAY
