"""Submitting from a page: a field for each parameter, what it sends, and what was wrong beside it."""

import re
from typing import Annotated, Any, Literal

import msgspec
import pytest

import jobhub
from tests import factories
from tests.web.ui.pages import words_of


class Inner(msgspec.Struct):
    size: Annotated[int, msgspec.Meta(ge=1)] = 1


class Everything(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(max_length=50, description="Who it is for.")]
    count: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2
    ratio: float = 0.5
    loud: bool = True
    quiet: bool = False
    color: Literal["red", "green"] = "red"
    note: str = ""
    maybe: int | None = None
    items: list[int] = []
    inner: Inner = msgspec.field(default_factory=Inner)
    anything: Any = None


@jobhub.job_type("test.everything")
async def everything(ctx: jobhub.JobContext, params: Everything) -> None:
    """Takes one of each kind."""


@pytest.fixture
def registry():
    return factories.make_registry(everything)


def field(text, name):
    found = re.search(rf'<(input|textarea|select)[^>]* name="p\.{name}"[^>]*>([^<]*)', text)
    assert found, name
    return found


async def test_the_types_one_may_submit_are_shown(browser, root_browser):
    mine, theirs = await browser.text("/ui/new"), await root_browser.text("/ui/new")

    assert "test.everything Takes one of each kind." in mine
    assert ("test.admin" in mine, "test.admin" in theirs) == (False, True)


@pytest.mark.parametrize("name", ["test.admin", "no.such.type"])
async def test_a_type_that_is_not_for_one_has_no_form(browser, name):
    assert (await browser.get(f"/ui/new?type={name}")).status_code == 404
    assert (await browser.post("/ui/new", job_type=name, title="x")).status_code == 404


async def test_each_parameter_has_a_field_of_its_kind_with_its_default(browser):
    text = (await browser.get("/ui/new?type=test.everything")).text

    kinds = {name: field(text, name)[1] for name in ("name", "count", "color", "note", "items", "inner", "anything")}
    assert kinds == {
        "name": "input",
        "count": "input",
        "color": "select",
        "note": "textarea",
        "items": "textarea",
        "inner": "textarea",
        "anything": "textarea",
    }
    assert 'value="2"' in field(text, "count")[0]
    assert "checked" in field(text, "loud")[0]
    assert "checked" not in field(text, "quiet")[0]
    assert re.search(r'<option value="red" selected>', text)
    assert "Who it is for. At most 50 characters" in words_of(text)
    assert "Whole number from 1 to 10" in words_of(text)


async def submit(browser, **fields):
    return await browser.post("/ui/new", **{"job_type": "test.everything", "title": "from a page", "p.name": "Ann", **fields})


async def test_what_is_filled_in_is_what_is_submitted(browser, carol, sql):
    answer = await submit(
        browser,
        **{
            "p.count": "7",
            "p.ratio": "0,25",
            "p.loud.shown": "1",
            "p.quiet.shown": "1",
            "p.quiet": "true",
            "p.color": "green",
            "p.note": "a\r\nb",
            "p.maybe": "",
            "p.items": "[1, 2]",
            "p.inner": '{"size": 3}',
            "p.anything": "9223372036854775807",
            "title": "  from a page ",
            "tags": "a, b ,",
            "priority": "-5",
            "description": "why",
            "scheduled_for": "2026-12-24T18:00",
        },
    )

    assert answer.status_code == 303, words_of(answer.text)
    [row] = sql.execute("SELECT * FROM jobs").fetchall()
    assert answer.headers["location"] == f"/ui/jobs/{row.id}?notice=submitted"
    assert row.parameters == {
        "name": "Ann",
        "count": 7,
        "ratio": 0.25,
        "loud": False,
        "quiet": True,
        "color": "green",
        "note": "a\nb",
        "items": [1, 2],
        "inner": {"size": 3},
        "anything": 2**63 - 1,
    }
    assert (row.owner_id, row.title, row.tags, row.priority, row.description) == (carol.id, "from a page", ["a", "b"], -5, "why")
    assert row.scheduled_for.isoformat() == "2026-12-24T18:00:00+00:00"


async def test_fields_left_empty_are_left_out(browser, sql):
    answer = await submit(browser, **{"p.count": " ", "p.items": "", "priority": "", "scheduled_for": "", "tags": ""})

    assert answer.status_code == 303
    assert sql.execute("SELECT parameters FROM jobs").fetchone().parameters == {"name": "Ann"}


WRONG = {
    "title": ("  ", "must have 1 to 200 characters"),
    "priority": ("high", "expected `int`"),
    "scheduled_for": ("tomorrow", "must be an RFC 3339 time"),
    "tags": ("a,a", "must not repeat a tag"),
    "p.name": ("", "is required"),
    "p.count": ("11", "<= 10"),
    "p.ratio": ("much", "must be a number"),
    "p.color": ("blue", "invalid enum value"),
    "p.items": ("[1,", "is not JSON"),
    "p.inner": ('{"size": 0}', "size: expected `int` >= 1"),
    "p.maybe": ("1.5", "must be a whole number"),
    "p.anything": ('{"a": 1, "a": 2}', "more than once"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_lost(browser, sql, name):
    value, words = WRONG[name]

    answer = await submit(browser, **{"p.note": "kept as it was", "p.loud.shown": "1", name: value})

    assert answer.status_code == 400
    errors = re.findall(r'id="([\w-]+)-error">(.*?)</div>', answer.text, re.DOTALL)
    assert len(errors) == 1, errors
    ident, text = errors[0]
    assert words in words_of(text)
    assert re.search(rf'id="{ident}"[^>]*name="{re.escape(name)}"[^>]*aria-invalid="true"', answer.text)
    assert "kept as it was" in answer.text
    assert "checked" not in field(answer.text, "loud")[0]
    assert sql.execute("SELECT FROM jobs").fetchall() == []


async def test_all_that_is_wrong_is_said_at_once(browser):
    answer = await submit(browser, **{name: value for name, (value, _) in WRONG.items()})

    assert len(re.findall(r'class="field-error"', answer.text)) == len(WRONG)


async def test_the_same_form_sent_twice_is_one_job_and_a_changed_one_another(browser, sql):
    first = await submit(browser, once="abc123")
    again = await submit(browser, once="abc123")
    changed = await submit(browser, once="abc123", title="another one")

    assert first.headers["location"] == again.headers["location"] != changed.headers["location"]
    assert len(sql.execute("SELECT FROM jobs").fetchall()) == 2


async def test_submit_again_takes_over_what_was_asked(browser, carol, sql):
    await submit(browser, **{"p.count": "9", "p.items": "[3]", "tags": "x", "priority": "4"})
    job_id = sql.execute("SELECT id FROM jobs").fetchone().id

    text = (await browser.get(f"/ui/new?again={job_id}")).text

    assert 'value="from a page"' in text
    assert 'value="9"' in field(text, "count")[0]
    assert field(text, "items")[2].strip() == "[3]"
    assert 'name="tags" value="x"' in text


async def test_nobody_takes_over_from_another_users_job(browser, bob, sql):
    job_id = factories.make_job(sql, bob, title="a secret of bob's")

    answer = await browser.get(f"/ui/new?again={job_id}")

    assert answer.status_code == 404
    assert "secret" not in answer.text


async def test_parameters_that_are_too_large_are_refused(browser, sql):
    answer = await submit(browser, **{"p.anything": '"' + "x" * 140_000 + '"'})

    assert answer.status_code == 413
    assert sql.execute("SELECT FROM jobs").fetchall() == []
