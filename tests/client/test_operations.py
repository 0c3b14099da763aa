"""Every operation against a running service, with both clients."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from jobhub.client import NotFinished, errors, operations
from jobhub.domain.jobs import AttemptOutcome, JobStatus
from tests.factories import new_id

pytestmark = pytest.mark.xdist_group("client")

FOR_LATER = {"scheduled_for": datetime.now(UTC) + timedelta(days=1)}


def test_a_submitted_job_is_waited_for_and_has_its_result(user):
    job = user.wait(user.submit("demo.sleep", {"seconds": 0}), timeout_seconds=30)

    assert job.status is JobStatus.COMPLETED
    assert job.result == {"slept_seconds": 0.0, "attempt": 1}
    assert (job.title, job.priority, job.tags) == ("demo.sleep", 0, [])


def test_everything_a_submit_can_say_arrives(user):
    class Steps(msgspec.Struct):
        steps: int

    asked = user.submit("demo.steps", Steps(7), title="Seven", description="steps", priority=-3, tags=("a", "b"), **FOR_LATER)

    job = user.get(str(asked.id))
    assert (job.title, job.description, job.parameters, job.priority, job.tags) == ("Seven", "steps", {"steps": 7}, -3, ["a", "b"])
    assert job.scheduled_for == FOR_LATER["scheduled_for"]
    assert job.queue.reason == "scheduled"


def test_one_idempotency_key_makes_one_job(user):
    first, again = (user.submit("demo.sleep", idempotency_key="key-1", **FOR_LATER) for _ in range(2))

    with pytest.raises(errors.KeyReused):
        user.submit("demo.sleep", title="another", idempotency_key="key-1", **FOR_LATER)
    assert first.id == again.id


def test_two_submits_without_a_key_make_two_jobs(user):
    assert user.submit("demo.sleep", **FOR_LATER).id != user.submit("demo.sleep", **FOR_LATER).id


def test_a_list_goes_through_all_pages_newest_first(user, monkeypatch):
    monkeypatch.setattr(operations, "PAGE_SIZE", 2)
    ids = [user.submit("demo.sleep", tags=[f"t{number % 2}"], **FOR_LATER).id for number in range(5)]

    assert [job.id for job in user.list_jobs()] == ids[::-1]
    assert [job.id for job in user.list_jobs(limit=3)] == ids[:1:-1]
    assert [job.id for job in user.list_jobs(tag="t1", status=["pending", JobStatus.RUNNING])] == [ids[3], ids[1]]
    assert list(user.list_jobs(status="failed")) == []


def test_a_page_has_totals_and_leads_to_the_next(user):
    ids = [user.submit("demo.sleep", **FOR_LATER).id for _ in range(3)]

    first = user.get_page(per_page=2)
    second = user.get_page(per_page=2, cursor=first.next_cursor)

    assert (first.total, first.total_pages) == (3, 2)
    assert [job.id for job in [*first.jobs, *second.jobs]] == ids[::-1]


def test_a_wait_that_is_over_tells_how_the_job_stands(user):
    job = user.submit("demo.sleep", **FOR_LATER)

    with pytest.raises(NotFinished) as raised:
        user.wait(job, timeout_seconds=1)
    assert raised.value.job.status is JobStatus.PENDING
    assert isinstance(raised.value, TimeoutError)


def test_a_change_is_waited_for(user):
    job = user.submit("demo.sleep", **FOR_LATER)

    same = user.wait_for_change(job, timeout_seconds=0.5)
    user.cancel(job, reason="not needed")
    changed = user.wait_for_change(job, timeout_seconds=20)

    assert same is job
    assert changed.status is JobStatus.CANCELLED
    assert changed.intervention_reason == "not needed"


def test_a_watch_tells_rising_versions_and_ends_with_the_last_state(user):
    states = list(user.watch(user.submit("demo.steps", {"steps": 4, "seconds_per_step": 0.3})))

    versions = [state.version for state in states]
    assert versions == sorted(set(versions))
    assert states[-1].status is JobStatus.COMPLETED
    assert [state.status.is_finished for state in states[:-1]] == [False] * (len(states) - 1)


def test_a_watch_of_all_own_jobs_begins_with_those_there_are(user):
    ids = [user.submit("demo.sleep", **FOR_LATER).id for _ in range(2)]

    following = user.watch_own()
    known = [next(following).id for _ in ids]
    user.cancel(ids[0])
    news = next(following)
    following.close()

    assert known == ids
    assert (news.id, news.status) == (ids[0], JobStatus.CANCELLED)


def test_a_failed_job_is_retried_and_its_attempts_are_listed(user):
    job = user.wait(user.submit("demo.fail", {"code": "fire"}), timeout_seconds=30)

    retried = user.wait(user.retry(job), timeout_seconds=30)

    assert (retried.attempt, retried.error_code) == (2, "fire")
    assert [attempt.outcome for attempt in user.list_attempts(job)] == [AttemptOutcome.FAILED] * 2


def test_job_types_and_oneself_are_told(user, account):
    types = {job_type.name: job_type for job_type in user.list_job_types()}

    me = user.me()

    assert types["demo.steps"].defaults["steps"] == 10
    assert "report.query" not in types
    assert (me.email, me.limits.pending_jobs) == (account[0], 10_000)


def test_what_the_service_refuses_is_an_error_of_its_own(user):
    job = user.submit("demo.sleep", **FOR_LATER)

    with pytest.raises(errors.NotFound):
        user.get(new_id())
    with pytest.raises(errors.IllegalTransition) as illegal:
        user.retry(job)
    with pytest.raises(errors.InvalidRequest) as invalid:
        user.submit("demo.steps", {"steps": "many"}, title=" ", priority=500)
    with pytest.raises(errors.NotPermitted):
        user.statistics()
    assert illegal.value.job_status is JobStatus.PENDING
    assert {error.pointer for error in invalid.value.errors} == {"/title", "/priority", "/parameters/steps"}
    assert invalid.value.request_id


def test_what_is_no_id_is_refused_before_anything_is_sent(user):
    with pytest.raises(ValueError, match="'42' is not the id of a job"):
        user.get("42")


def test_an_administrator_sees_and_changes_everything(admin, user, account):
    job = user.submit("demo.sleep", title="Needle in the hay", **FOR_LATER)

    found = [*admin.list_all_jobs(owner=account[0], text="needle in")]
    done = admin.force_complete(job, result={"by": "hand"}, reason="done already")
    preview = admin.clean_up(days_old=0, dry_run=True)
    removed = admin.clean_up(days_old=0)

    assert [(one.id, one.owner.email) for one in found] == [(job.id, account[0])]
    assert (done.status, done.result) == (JobStatus.COMPLETED, {"by": "hand"})
    assert preview.dry_run
    assert removed.deleted >= 1
    with pytest.raises(errors.NotFound):
        user.get(job)


def test_an_administrator_reads_figures(admin):
    assert admin.statistics("1h").window.value == "1h"
    assert [worker.alive for worker in admin.queue_status().workers] == [True]


def test_accounts_are_made_changed_and_listed(admin):
    email = f"{new_id()}@example.org"

    made = admin.create_user(email, "long enough for me")
    changed = admin.change_user(made.id, role="admin", disabled=True)

    with pytest.raises(errors.EmailTaken):
        admin.create_user(email.upper(), "long enough for me")
    assert changed in admin.list_users()
    assert (changed.role, changed.disabled) == ("admin", True)


def test_after_logging_out_nothing_is_left_to_be_let_in_with(user):
    user.me()

    user.log_out()

    with pytest.raises(errors.Unauthenticated):
        user.me()


def test_wrong_credentials_are_said_to_be_so(connect, jobhub_up, account):
    with pytest.raises(errors.Unauthenticated) as raised:
        connect(jobhub_up.url, email=account[0], password="not this one").me()
    assert raised.value.code == "wrong_credentials"
