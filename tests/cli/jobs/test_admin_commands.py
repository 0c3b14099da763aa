"""`jobhub jobs` for administrators."""

import json

import pytest

pytestmark = pytest.mark.xdist_group("client")


def test_everybodys_jobs_are_listed_with_their_owners(admin, user, account):
    job_id = user("jobs", "submit", "demo.sleep", "--at", "+1h", "--title", "Needle").stdout.strip()

    lines = [line.split("\t") for line in admin("jobs", "all", "--owner", account[0], "--text", "need").stdout.splitlines()]
    as_json = [json.loads(line) for line in admin("jobs", "all", "--owner", account[0], "--json").stdout.splitlines()]

    assert [(line[0], line[-1]) for line in lines] == [(job_id, account[0])]
    assert as_json[0]["owner"]["email"] == account[0]


def test_figures_are_shown(admin, user):
    user("jobs", "submit", "demo.fail", "code=shown_here", "--wait", status=10)

    shown = admin("jobs", "stats", "--window", "1h").stdout.splitlines()
    as_json = json.loads(admin("jobs", "stats", "--json").stdout)

    assert "window\t1h" in shown
    assert any(line.startswith("demo.fail\t") for line in shown)
    assert any(line.startswith("shown_here\t") for line in shown)
    assert as_json["counts"]["failed"] >= 1


def test_the_state_of_the_queue_is_the_exit_status(admin):
    shown = admin("jobs", "queue").stdout.splitlines()

    assert "database\tok\tanswers" in shown
    assert json.loads(admin("jobs", "queue", "--json").stdout)["healthy"] is True


def test_a_job_is_completed_by_hand(admin, user):
    job_id = user("jobs", "submit", "demo.sleep", "--at", "+1h").stdout.strip()

    done = admin("jobs", "force-complete", job_id, "--result", "-", "--reason", "by hand", "--json", stdin='{"a": 1}')
    again = admin("jobs", "force-complete", job_id, status=5)

    assert json.loads(done.stdout)["result"] == {"a": 1}
    assert "is completed" in again.stderr


def test_a_pinned_job_is_kept_by_a_clean_up_until_it_is_unpinned(admin, user):
    job_id = json.loads(user("jobs", "submit", "demo.sleep", "seconds=0", "--wait", "--json").stdout)["id"]

    pinned = json.loads(admin("jobs", "pin", job_id, "--reason", "look at it", "--json").stdout)
    admin("jobs", "cleanup", "--days-old", "0", "--yes")
    shown = user("jobs", "get", job_id).stdout
    unpinned = json.loads(admin("jobs", "unpin", job_id, "--json").stdout)
    admin("jobs", "cleanup", "--days-old", "0", "--yes")

    assert pinned["pinned_at"]
    assert "pinned_at\t" in shown
    assert unpinned["pinned_at"] is None
    user("jobs", "get", job_id, status=4)
    assert "an administrator" in user("jobs", "pin", job_id, status=3).stderr


def test_a_clean_up_asks_before_it_deletes(admin, user):
    job_id = json.loads(user("jobs", "submit", "demo.sleep", "seconds=0", "--wait", "--json").stdout)["id"]

    counted = admin("jobs", "cleanup", "--days-old", "0", "--dry-run")
    declined = admin("jobs", "cleanup", "--days-old", "0", stdin="n\n", status=1)
    kept = user("jobs", "get", job_id)
    deleted = json.loads(admin("jobs", "cleanup", "--days-old", "0", "--json", stdin="y\n").stdout)

    assert "would delete" in counted.stdout
    assert "Delete" in declined.stderr
    assert kept.stdout
    assert deleted["deleted"] >= 1
    assert not deleted["dry_run"]
    user("jobs", "get", job_id, status=4)
