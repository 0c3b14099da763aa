"""When Chromium first paints a page: first-contentful-paint, from the request on, with an empty cache. Not here: which pages (`bench.dashboard`)."""

import argparse
import statistics
from collections.abc import Sequence

from bench import run
from bench.goals import at_most
from bench.processes import Unmeasured
from bench.tables import Table, median

GOAL_MS = 300.0
TIMES = 5
_PAINTED_AT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def table(pages: Sequence[tuple[str, str, str]], rows: int, options: argparse.Namespace) -> Table:
    """Of pages as (name, URL, cookie).

    Raises:
        Unmeasured: there is no Chromium, or no Playwright.
    """
    found = measure(pages)
    return Table(
        title=f"The pages: first paint, {rows:,} jobs",
        command=f"python -m bench.dashboard --parts paint --rows {rows}",
        note=f"Milliseconds from the request to first-contentful-paint in Chromium without a window, on the same cores: the median of {TIMES}, "
        "each with an empty cache.",
        header=["page", "first paint, ms"],
        rows=[[name, median(times)] for name, times in found.items()],
        goals=[goal for name, times in found.items() for goal in at_most(f"{name}, {rows:,} jobs, first paint", GOAL_MS, "ms", times)],
    )


def measure(pages: Sequence[tuple[str, str, str]]) -> dict[str, list[float]]:
    """Milliseconds by name. Chromium itself has started and painted something before."""
    try:
        from tests.browser.chromium import MISSING, chromium, launched
    except ImportError as error:
        raise Unmeasured("Playwright is not installed: `make install-dev` does it") from error
    if chromium() is None:
        raise Unmeasured(MISSING)
    found: dict[str, list[float]] = {name: [] for name, _, _ in pages}
    with launched() as browser:
        for time in range(TIMES + 1):
            for name, url, cookie in pages:
                context = browser.new_context()
                cookie_name, _, value = cookie.partition("=")
                context.add_cookies([{"name": cookie_name, "value": value, "url": url}])
                page = context.new_page()
                page.goto(url)
                painted_at = page.wait_for_function(_PAINTED_AT).json_value()
                context.close()
                if time:  # the first warms up
                    found[name].append(painted_at)
    for name, times in found.items():
        run.say(f"first paint of {name}: {statistics.median(times):.0f} ms")
    return found
