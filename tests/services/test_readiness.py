"""What the server is found to be, and what to do about it."""

from datetime import UTC, datetime, timedelta

import pytest

from jobhub.services import readiness
from jobhub.services.readiness import MAX_SKEW_SECONDS
from jobhub.store import health
from jobhub.store.health import ServerFacts


async def test_a_server_that_is_right_is_said_to_be_so(db):
    found = await readiness.examine_server(db)

    assert [(one.name, one.ok) for one in found] == [("server", True), ("clock", True)]
    assert found[0].detail.startswith("PostgreSQL 1")


@pytest.mark.parametrize(
    ("facts", "wrong"),
    [
        ({"version_number": 140009}, "PostgreSQL 14.9: upgrade it to 15"),
        ({"version_number": 180000, "is_replica": True}, "give the address of the primary"),
        ({"seconds": MAX_SKEW_SECONDS + 1}, "set both by NTP"),
        ({"seconds": -MAX_SKEW_SECONDS - 1}, "set both by NTP"),
        ({"seconds": MAX_SKEW_SECONDS - 1}, None),
        ({"version_number": 150000}, None),
    ],
)
async def test_what_is_wrong_with_a_server_is_told_with_its_remedy(db, monkeypatch, facts, wrong):
    async def server_facts(_db):
        now = datetime.now(UTC) + timedelta(seconds=facts.get("seconds", 0))
        return ServerFacts(version_number=facts.get("version_number", 180006), now=now, is_replica=facts.get("is_replica", False))

    monkeypatch.setattr(health, "server_facts", server_facts)
    found = [one.detail for one in await readiness.examine_server(db) if not one.ok]

    assert len(found) == (wrong is not None)
    assert wrong is None or wrong in found[0]
