"""Counting the responses of this process. Not here: showing the counts (`web.metrics`)."""

import time

from litestar.types import Message, Scope
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

UNMATCHED = "unmatched"  # the route of every path there is none for
_METHODS: dict[object, str] = {method: method for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
# From a look at the clock to the longest answer the contract allows; a wait for a change or an event stream ends in none of the first.
_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0, 30.0)


class ResponseCounts:
    """Responses by route template, never by path: whoever guesses paths must not fill our memory. HEAD counts as the GET it is made of."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series and say when this process started, which there is a figure for
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._responses = Counter("jobhub_http_requests", "Responses", ["method", "route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "jobhub_http_request_seconds",
            "From the request's head to the response's; event streams go on after it",
            ["method", "route"],
            registry=self.registry,
            buckets=_BUCKETS,
        )

    async def count_response(self, message: Message, scope: Scope) -> None:
        """A hook that Litestar calls before it sends anything, errors and unknown paths included."""
        if message["type"] != "http.response.start":
            return
        method = _METHODS.get(scope.get("method"), "other")
        route = scope.get("path_template") or UNMATCHED
        self._responses.labels(method, route, message["status"]).inc()
        self._seconds.labels(method, route).observe(time.perf_counter() - scope["state"]["started_at"])
