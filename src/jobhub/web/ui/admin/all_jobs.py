"""Everybody's jobs, searched."""

from litestar import Response, get
from litestar.di import NamedDependency

from jobhub.services import listing
from jobhub.web.auth import administrators_only
from jobhub.web.resources import Resources, UserRequest
from jobhub.web.ui.my_jobs import OLDEST, made_list, part_of, read_asked
from jobhub.web.ui.rendering import page
from jobhub.web.ui.search import ADMIN_KEYS, read_search


@get("/admin/jobs", guards=[administrators_only])
async def all_jobs(request: UserRequest, resources: NamedDependency[Resources]) -> Response[str]:
    """Newest first, or oldest. The tabs have no counts: counting everybody's finished jobs would take longer than the page."""
    asked = read_asked(request)
    search = read_search(asked["q"], status=asked["status"], keys=ADMIN_KEYS, oldest_first=asked["sort"] == OLDEST)
    if search.owner:
        found = await listing.list_jobs_of(resources.db, search.owner, search.where, part_of(asked), keys=resources.keys)
    else:
        found = await listing.list_jobs(resources.db, search.where, part_of(asked), keys=resources.keys)
    listed = made_list(request.url.path, found, search, asked, counts=None, shows_owners=True)
    return page(request, "all_jobs.html", listed=listed)
