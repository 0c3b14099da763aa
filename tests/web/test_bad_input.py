"""Bad input gets a precise 4xx: one table of requests, each with the status, the code and the places that must be named.

The numbers are those of the catalogue this table grew from.
"""

import json
import re

import pytest

JOB = {"job_type": "test.echo", "title": "a job"}
TEXT = {"content-type": "text/plain"}


def job(**fields):
    return {**JOB, **fields}


def raw(text: str) -> bytes:
    """A body as it stands, where Python's own encoder would change it."""
    return b'{"job_type": "test.echo", "title": "a job", ' + text.encode("utf-8", "surrogatepass") + b"}"


def nested(depth: int) -> dict:
    """Parameters of that depth, the object itself counted."""
    value: object = 1
    for _ in range(depth - 1):
        value = [value]
    return {"value": value}


# (case, body, code, pointers); every one a 400 of POST /jobs
SUBMISSIONS = [
    ("B-01 an empty body", b"", "malformed_json", []),
    ("B-01 only white space", b"  ", "malformed_json", []),
    ("B-02 null", b"null", "invalid_request", [""]),
    ("B-02 an array", b"[]", "invalid_request", [""]),
    ("B-02 a string", b'"x"', "invalid_request", [""]),
    ("B-03 a truncated object", b'{"job_type": "test.echo"', "malformed_json", []),
    ("B-03 a trailing comma", b'{"job_type": "test.echo",}', "malformed_json", []),
    ("B-03 single quotes", b"{'job_type': 'test.echo'}", "malformed_json", []),
    ("B-03 a comment", b'{"job_type": "test.echo" /* x */}', "malformed_json", []),
    ("B-04 garbage behind", b"{}x", "malformed_json", []),
    ("B-04 two documents", b"{}{}", "malformed_json", []),
    ("B-05 a byte order mark", b"\xef\xbb\xbf{}", "malformed_json", []),
    ("B-05 UTF-16", json.dumps(JOB).encode("utf-16"), "malformed_json", []),
    ("B-06 a raw control character", b'{"job_type": "a\nb"}', "malformed_json", []),
    ("B-06 not UTF-8", b'{"title": "\xff"}', "malformed_json", []),
    ("B-07 a lone surrogate in the title", job(title="a\ud800b"), "invalid_request", ["/title"]),
    ("B-07 a lone surrogate in the description", job(description="\udfff"), "invalid_request", ["/description"]),
    ("B-07 a lone surrogate in a tag", job(tags=["ok", "\udc00"]), "invalid_request", ["/tags/1"]),
    ("B-07 a lone surrogate in the job type", job(job_type="\ud800"), "invalid_request", ["/job_type"]),
    ("B-07 a lone surrogate in a parameter", job(parameters={"value": ["\ud800"]}), "invalid_request", ["/parameters/value/0"]),
    ("B-07 a lone surrogate in scheduled_for", job(scheduled_for="\ud800"), "invalid_request", ["/scheduled_for"]),
    ("B-08 NUL in the title", job(title="a\0b"), "invalid_request", ["/title"]),
    ("B-08 NUL in the job type", job(job_type="test.echo\0"), "invalid_request", ["/job_type"]),
    ("B-08 NUL in a parameter's value", job(parameters={"value": "\0"}), "invalid_request", ["/parameters/value"]),
    ("B-08 NUL in a nested array", job(parameters={"value": [[["\0"]]]}), "invalid_request", ["/parameters/value/0/0/0"]),
    ("B-08 NUL in a parameter's key", job(parameters={"value": {"a\0": 1}}), "invalid_request", ["/parameters/value"]),
    ("B-12 a duplicate key", b'{"job_type": "a", "job_type": "b"}', "invalid_request", [""]),
    ("B-12 a duplicate key inside", raw('"parameters": {"value": {"a": 1, "a": 1}}'), "invalid_request", ["/parameters/value"]),
    ("B-13 an unknown field", job(foo=1), "invalid_request", ["/foo"]),
    ("B-13 an unknown parameter", job(parameters={"valu": 1}), "invalid_request", ["/parameters/valu"]),
    *[
        (f"B-14 {name}", job(**{name: "x"}), "invalid_request", [f"/{name}"])
        for name in ("owner_id", "status", "attempt", "result", "id", "created_at", "is_admin", "queue", "max_attempts")
    ],
    ("B-15 no job type", {"title": "t"}, "invalid_request", ["/job_type"]),
    ("B-15 job type null", job(job_type=None), "invalid_request", ["/job_type"]),
    ("B-15 job type 5", job(job_type=5), "invalid_request", ["/job_type"]),
    ("B-15 an empty job type", job(job_type=""), "invalid_request", ["/job_type"]),
    ("B-15 a job type of 10,000 characters", job(job_type="x" * 10_000), "invalid_request", ["/job_type"]),
    ("B-15 an unknown job type", job(job_type="test.nothing"), "invalid_request", ["/job_type"]),
    ("B-15 __class__", job(job_type="__class__"), "invalid_request", ["/job_type"]),
    ("B-15 a path", job(job_type="../x"), "invalid_request", ["/job_type"]),
    ("B-15 a task of Procrastinate", job(job_type="builtin:procrastinate.builtin_tasks.remove_old_jobs"), "invalid_request", ["/job_type"]),
    ("B-16 no title", {"job_type": "test.echo"}, "invalid_request", ["/title"]),
    ("B-16 an empty title", job(title=""), "invalid_request", ["/title"]),
    ("B-16 a title of white space", job(title=" \t\n\u3000"), "invalid_request", ["/title"]),
    ("B-16 a title of 201 characters", job(title="x" * 201), "invalid_request", ["/title"]),
    ("B-17 a line break in the title", job(title="a\r\nb"), "invalid_request", ["/title"]),
    ("B-17 an escape sequence in the title", job(title="a\x1b[31mb"), "invalid_request", ["/title"]),
    ("B-17 a C1 control in the title", job(title="a\x9bb"), "invalid_request", ["/title"]),
    ("B-18 a description of 4,001 characters", job(description="x" * 4001), "invalid_request", ["/description"]),
    ("B-18 a bell in the description", job(description="a\x07"), "invalid_request", ["/description"]),
    ("B-18 a tab in the description", job(description="a\tb"), "invalid_request", ["/description"]),
    ("B-19 parameters that are an array", job(parameters=[]), "invalid_request", ["/parameters"]),
    ("B-19 parameters that are a string", job(parameters="{}"), "invalid_request", ["/parameters"]),
    ("B-19 a parameter of the wrong type", job(parameters={"number": "5"}), "invalid_request", ["/parameters/number"]),
    ("B-19 a parameter out of range", job(parameters={"number": 11}), "invalid_request", ["/parameters/number"]),
    ("B-21 depth 33", job(parameters=nested(33)), "invalid_request", ["/parameters"]),
    ("B-21 10,001 values", job(parameters={"value": [0] * 9_999}), "invalid_request", ["/parameters"]),
    ("B-21 depth 100,000", raw('"parameters": {"value": ' + "[" * 100_000 + "]" * 100_000 + "}"), "too_deep", []),
    ("B-22 1e400", raw('"parameters": {"value": 1e400}'), "invalid_request", ["/parameters/value"]),
    ("B-22 -1e400", raw('"parameters": {"value": -1e400}'), "invalid_request", ["/parameters/value"]),
    ("B-22 1e-400", raw('"parameters": {"value": 1e-400}'), "invalid_request", ["/parameters/value"]),
    ("B-22 NaN", raw('"parameters": {"value": NaN}'), "malformed_json", []),
    ("B-22 Infinity", raw('"parameters": {"value": -Infinity}'), "malformed_json", []),
    ("B-23 2^63", raw('"parameters": {"value": 9223372036854775808}'), "invalid_request", ["/parameters/value"]),
    ("B-23 -2^63", raw('"parameters": {"value": -9223372036854775808}'), "invalid_request", ["/parameters/value"]),
    ("B-23 5,000 digits", raw('"parameters": {"value": ' + "9" * 5000 + "}"), "invalid_request", ["/parameters/value"]),
    ("B-25 a key of 257 characters", job(parameters={"value": {"k" * 257: 1}}), "invalid_request", ["/parameters/value"]),
    *[
        (f"B-26 priority {literal}", raw(f'"priority": {literal}'), "invalid_request", ["/priority"])
        for literal in ('"5"', "5.0", "5.5", "true", "-101", "101", "2147483648", "9223372036854775808", "1e308", "[]")
    ],
    *[
        (f"B-28 scheduled_for {value!r}", job(scheduled_for=value), "invalid_request", ["/scheduled_for"])
        for value in (
            "2030-13-01",
            "2030-01-01",
            "yesterday",
            1700000000,
            "1700000000",
            "",
            True,
            "2026-11-23T10:00:00",
            "2026-11-23 10:00:00Z",
            "2026-11-23T10:00Z",
            "2026-11-23T23:59:60Z",
            "2026-02-30T10:00:00Z",
            "2026-11-23T10:00:00+2:00",
            "2026-11-23T10:00:00+99:00",
            "２０２６-11-23T10:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "0000-01-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "infinity",
            "-infinity",
            "epoch",
            "now",
            "P1D",
        )
    ],
    ("B-69 21 tags", job(tags=[f"t{number}" for number in range(21)]), "invalid_request", ["/tags"]),
    ("B-69 an empty tag", job(tags=["a", ""]), "invalid_request", ["/tags/1"]),
    ("B-69 a tag of 65 characters", job(tags=["x" * 65]), "invalid_request", ["/tags/0"]),
    ("B-69 a tag twice", job(tags=["a", "b", "a"]), "invalid_request", ["/tags"]),
    ("B-69 tags that are a string", job(tags="a"), "invalid_request", ["/tags"]),
    ("B-69 a tag that is a number", job(tags=[1]), "invalid_request", ["/tags/0"]),
    ("B-69 a control character in a tag", job(tags=["a\x1b"]), "invalid_request", ["/tags/0"]),
    (
        "everything at once",
        {"title": "", "foo": 1, "priority": "5", "tags": ["", "a", "a"], "scheduled_for": "x", "parameters": [], "job_type": "nope"},
        "invalid_request",
        ["/foo", "/job_type", "/parameters", "/priority", "/scheduled_for", "/tags/0", "/title"],
    ),
    (
        "all parameters at once",
        job(parameters={"number": 0, "other": 1}, title=" "),
        "invalid_request",
        ["/parameters/number", "/parameters/other", "/title"],
    ),
    (
        "what can't be stored, and what doesn't fit",
        {"job_type": "test.echo", "title": "a\0", "priority": "5", "parameters": {"value": "\0", "number": 99}},
        "invalid_request",
        ["/parameters/number", "/parameters/value", "/priority", "/title"],
    ),
    (
        "a number that can't be kept, and a missing field",
        b'{"job_type": "test.echo", "priority": 9223372036854775808, "parameters": {"value": 1e999}}',
        "invalid_request",
        ["/parameters/value", "/priority", "/title"],
    ),
]


async def test_every_bad_submission_is_a_400_that_names_the_places(api, alice, sql):
    wrong = []
    for case, body, code, pointers in SUBMISSIONS:
        response = await api.call(alice, "POST", "/jobs", body)
        if response.status_code != 400 or response.json()["code"] != code or named(response) != pointers:
            wrong.append(f"{case}: {response.status_code} {response.text[:400]}")
        assert_reveals_nothing(response)

    assert not wrong, "\n".join(wrong)
    assert sql.execute("SELECT count(*) AS n FROM jobs").fetchone().n == 0


# (case, fields, what the job then holds)
ACCEPTED = [
    ("B-16 200 emoji", {"title": "👩" * 200}, {"title": "👩" * 200}),
    ("B-16 white space around a title", {"title": " a\u3000 "}, {"title": "a"}),
    ("B-17 direction marks", {"title": "a\u202eb\u200bc"}, {"title": "a\u202eb\u200bc"}),
    ("B-18 line breaks in a description", {"description": "a\r\nb"}, {"description": "a\r\nb"}),
    ("B-21 depth 32", {"parameters": nested(32)}, {"parameters": nested(32)}),
    ("B-21 10,000 values", {"parameters": {"value": [0] * 9_998}}, {}),
    ("B-23 the largest integer", {"parameters": {"value": 2**63 - 1}}, {"parameters": {"value": 2**63 - 1}}),
    ("B-23 the smallest integer", {"parameters": {"value": -(2**63) + 1}}, {"parameters": {"value": -(2**63) + 1}}),
    ("B-25 odd keys", {"parameters": {"value": {"": 1, "__proto__": 2, "k" * 256: 3}}}, {}),
    ("B-26 priority -1", {"priority": -1}, {"priority": -1}),
    ("B-26 the limits of priority", {"priority": 100}, {"priority": 100}),
    ("B-30 the past", {"scheduled_for": "2001-01-01T00:00:00Z"}, {"scheduled_for": "2001-01-01T00:00:00Z"}),
    (
        "B-31 lower case and fractions",
        {"scheduled_for": "2001-01-01t02:00:00.123456+02:00"},
        {"scheduled_for": "2001-01-01T00:00:00.123456Z"},
    ),
    ("null is the same as nothing", dict.fromkeys(("description", "scheduled_for", "tags", "parameters", "priority")), {"priority": 0}),
    ("B-69 twenty tags of 64 characters", {"tags": [f"{number:064}" for number in range(20)]}, {}),
    ("B-78 strings that look like something else", {"parameters": {"value": ["1e5", "2020-01-01", "true", "null"]}}, {}),
]


async def test_what_is_odd_but_right_is_kept_as_it_was_sent(api, alice):
    for case, fields, kept in ACCEPTED:
        submitted = await api.submit(alice, **fields)
        read = (await api.call(alice, "GET", f"/jobs/{submitted['id']}")).json()

        assert read == submitted, case
        for name, value in {**{k: v for k, v in fields.items() if k == "parameters" and v}, **kept}.items():
            assert read[name] == value, case


async def test_floats_of_any_size_keep_their_value(api, alice):
    sent = [1.7976931348623157e308, 1.5e300, 1e22, 2.5, 0.1, 5e-324]

    submitted = await api.submit(alice, parameters={"value": sent})
    read = await api.call(alice, "GET", f"/jobs/{submitted['id']}")

    # jsonb writes large ones without an exponent
    assert json.loads(read.content, parse_int=float)["parameters"]["value"] == sent


# (case, method, path, body, status, code, pointers); by alice
USER_REQUESTS = [
    *[
        (f"B-40 {job_id!r}", "GET", f"/jobs/{job_id}", ..., 404, "not_found", [])
        for job_id in (
            "abc",
            "1",
            "-1",
            "0",
            "%20" * 36,
            "01890a5d0000700080000000deadbeef",
            "%7B01890a5d-0000-7000-8000-0000deadbeef%7D",
            "urn:uuid:01890a5d-0000-7000-8000-0000deadbeef",
            "01890a5d-0000-7000-8000-0000deadbeef%00",
            "01890a5d-0000-7000-8000-0000deadbeef;x=1",
            "01890a5d-0000-7000-8000-0000deadbeef%2F",
            "%2e%2e%2fjobs",
            "%c0%ae",
            "%00",
        )
    ],
    *[
        (f"B-42 {path}", method, path, ..., 404, "not_found", [])
        for method, path in (
            ("POST", "/jobs/abc/cancel"),
            ("POST", "/jobs/abc/retry"),
            ("GET", "/jobs/abc/attempts"),
            ("GET", "/jobs/admin"),
            ("GET", "/nothing"),
        )
    ],
    ("B-46 a cursor of garbage", "GET", "/jobs?cursor=x", ..., 400, "invalid_cursor", ["?cursor"]),
    ("B-46 a cursor that is no base64", "GET", "/jobs?cursor=%C3%A4%C3%A4", ..., 400, "invalid_cursor", ["?cursor"]),
    ("B-46 a forged cursor", "GET", f"/jobs?cursor={'A' * 54}", ..., 400, "invalid_cursor", ["?cursor"]),
    ("B-46 a cursor of 10 KB", "GET", f"/jobs?cursor={'A' * 10_000}", ..., 400, "invalid_request", ["?cursor"]),
    ("B-46 a cursor with NUL", "GET", "/jobs?cursor=A%00", ..., 400, "invalid_request", ["?cursor"]),
    ("B-46 a cursor and a page", "GET", "/jobs?cursor=AAAA&page=1", ..., 400, "invalid_request", ["?page"]),
    ("B-47 an unknown parameter", "GET", "/jobs?stauts=x", ..., 400, "invalid_request", ["?stauts"]),
    ("B-47 two unknown parameters", "GET", "/jobs?b=1&a=2", ..., 400, "invalid_request", ["?a", "?b"]),
    ("B-47 the administrators' filter", "GET", "/jobs?owner=x", ..., 400, "invalid_request", ["?owner"]),
    ("B-48 a scalar twice", "GET", "/jobs?per_page=1&per_page=2", ..., 400, "invalid_request", ["?per_page"]),
    ("B-49 an unknown status", "GET", "/jobs?status=running&status=foo", ..., 400, "invalid_request", ["?status"]),
    ("B-49 a list of statuses", "GET", "/jobs?status=running,foo", ..., 400, "invalid_request", ["?status"]),
    ("B-49 SQL for a status", "GET", "/jobs?status=running'--", ..., 400, "invalid_request", ["?status"]),
    ("an empty status", "GET", "/jobs?status=", ..., 400, "invalid_request", ["?status"]),
    ("an empty tag", "GET", "/jobs?tag=a&tag=", ..., 400, "invalid_request", ["?tag"]),
    ("NUL in a tag", "GET", "/jobs?tag=%00", ..., 400, "invalid_request", ["?tag"]),
    *[
        (f"{name}={value}", "GET", f"/jobs?{name}={value}", ..., 400, "invalid_request", [f"?{name}"])
        for name in ("page", "per_page")
        for value in ("0", "-1", "abc", "1.0", "1e1", "%201", "+1", "0x1", "١", "99999999999999999999")
    ],
    ("per_page 101", "GET", "/jobs?per_page=101", ..., 400, "invalid_request", ["?per_page"]),
    ("a page too far down", "GET", "/jobs?page=101&per_page=100", ..., 400, "use_cursor", ["?page"]),
    ("a page much too far down", "GET", "/jobs?page=10001", ..., 400, "use_cursor", ["?page"]),
    ("a page beyond all bounds", "GET", "/jobs?page=999999999999999", ..., 400, "use_cursor", ["?page"]),
    *[
        (f"B-52 {name}={value}", "GET", f"/jobs?{name}={value}", ..., 400, "invalid_request", [f"?{name}"])
        for name in ("created_after", "created_before")
        for value in (
            "10000-01-01T00:00:00Z",
            "2026-11-23",
            "2026-11-23T10:00:00",
            "2026-11-23%2010:00:00Z",
            "1700000000",
            "now",
            "0001-01-01T00:00:00%2B14:00",
            "9999-12-31T23:59:59-14:00",
        )
    ],
    ("B-53 5,000 query parameters", "GET", "/jobs?" + "&".join(f"p{n}=1" for n in range(5000)), ..., 400, "invalid_request", None),
    ("a query on a route without any", "GET", "/job-types?x=1", ..., 400, "invalid_request", ["?x"]),
    ("a query on a public route", "GET", "/livez?x=1", ..., 400, "invalid_request", ["?x"]),
    ("a query on submit", "POST", "/jobs?dry_run=1", JOB, 400, "invalid_request", ["?dry_run"]),
    (
        "B-62 force-complete by a user",
        "POST",
        "/jobs/admin/01890a5d-0000-7000-8000-0000deadbeef/force-complete",
        {},
        403,
        "administrators_only",
        [],
    ),
    ("an administrators' job type", "POST", "/jobs", job(job_type="test.admin"), 403, "admin_only_job_type", []),
]


async def test_every_bad_request_of_a_user_is_refused_precisely(api, alice):
    assert "\n".join(await failures(api, alice, USER_REQUESTS)) == ""


@pytest.mark.parametrize("verb", ["cancel", "retry"])
async def test_the_bodies_of_user_verbs_are_checked(api, alice, sql, verb):
    path = f"/jobs/{(await api.submit(alice))['id']}/{verb}"
    cases = [
        (f"an unknown field for {verb}", "POST", path, {"foo": 1}, 400, "invalid_request", ["/foo"]),
        (f"an array for {verb}", "POST", path, [], 400, "invalid_request", [""]),
        (f"garbage for {verb}", "POST", path, b"{", 400, "malformed_json", []),
        (f"an unknown query parameter for {verb}", "POST", f"{path}?force=1", {}, 400, "invalid_request", ["?force"]),
    ]
    if verb == "cancel":
        cases += [
            ("a reason of 501 characters", "POST", path, {"reason": "x" * 501}, 400, "invalid_request", ["/reason"]),
            ("a reason that is a number", "POST", path, {"reason": 5}, 400, "invalid_request", ["/reason"]),
            ("NUL in a reason", "POST", path, {"reason": "\0"}, 400, "invalid_request", ["/reason"]),
        ]

    assert await failures(api, alice, cases) == []
    assert sql.execute("SELECT status FROM jobs").fetchone().status == "pending"


USER = {"email": "new@example.org", "password": "long enough it is", "role": "user"}
UNKNOWN_ID = "01890a5d-0000-7000-8000-0000deadbeef"

# (case, method, path, body, status, code, pointers); by an administrator
ADMIN_REQUESTS = [
    ("B-51 a search of 201 characters", "GET", f"/jobs/admin/all?q={'x' * 201}", ..., 400, "invalid_request", ["?q"]),
    ("B-51 NUL in a search", "GET", "/jobs/admin/all?q=%00", ..., 400, "invalid_request", ["?q"]),
    ("an empty search", "GET", "/jobs/admin/all?q=", ..., 400, "invalid_request", ["?q"]),
    ("B-50 a sort", "GET", "/jobs/admin/all?sort=lease_token", ..., 400, "invalid_request", ["?sort"]),
    ("a worker that is no id", "GET", "/jobs/admin/all?worker=x", ..., 400, "invalid_request", ["?worker"]),
    ("an owner of 255 characters", "GET", f"/jobs/admin/all?owner={'x' * 255}", ..., 400, "invalid_request", ["?owner"]),
    ("an unknown window", "GET", "/jobs/admin/statistics?window=2h", ..., 400, "invalid_request", ["?window"]),
    *[
        (f"B-64 days_old {value}", "DELETE", f"/jobs/admin/cleanup?days_old={value}", ..., 400, "invalid_request", ["?days_old"])
        for value in ("-1", "1d;%20drop", "1000000000000", "1.5", "99999999999999999999", "")
    ],
    ("B-64 running jobs", "DELETE", "/jobs/admin/cleanup?include=running", ..., 400, "invalid_request", ["?include"]),
    ("B-64 failed jobs", "DELETE", "/jobs/admin/cleanup?include=failed", ..., 400, "invalid_request", ["?include"]),
    ("a dry run that is 1", "DELETE", "/jobs/admin/cleanup?dry_run=1", ..., 400, "invalid_request", ["?dry_run"]),
    ("force-complete of nothing", "POST", f"/jobs/admin/{UNKNOWN_ID}/force-complete", {}, 404, "not_found", []),
    (
        "B-62 a result that is a string",
        "POST",
        f"/jobs/admin/{UNKNOWN_ID}/force-complete",
        {"result": "x"},
        400,
        "invalid_request",
        ["/result"],
    ),
    (
        "B-62 NUL in a result",
        "POST",
        f"/jobs/admin/{UNKNOWN_ID}/force-complete",
        {"result": {"a": "\0"}},
        400,
        "invalid_request",
        ["/result/a"],
    ),
    ("B-62 a long reason", "POST", f"/jobs/admin/{UNKNOWN_ID}/force-complete", {"reason": "x" * 501}, 400, "invalid_request", ["/reason"]),
    ("B-67 a taken address", "POST", "/users", USER | {"email": "ALICE@example.org"}, 409, "email_taken", []),
    *[
        (f"B-67 e-mail {email[:20]!r}", "POST", "/users", USER | {"email": email}, 400, "invalid_request", ["/email"])
        for email in (
            "admin",
            "",
            "@",
            "a@",
            "a b@example.org",
            "a@b\r\nBcc: c@d",
            f"{'x' * 300}@example.org",
            "a\x80b@example.org",
            "a@b\0",
        )
    ],
    ("a short password", "POST", "/users", USER | {"password": "short"}, 400, "invalid_request", ["/password"]),
    ("a long password", "POST", "/users", USER | {"password": "x" * 1025}, 400, "invalid_request", ["/password"]),
    ("an unknown role", "POST", "/users", USER | {"role": "root"}, 400, "invalid_request", ["/role"]),
    ("no role", "POST", "/users", {"email": "a@b.c", "password": "x" * 12}, 400, "invalid_request", ["/role"]),
    (
        "everything wrong with a user",
        "POST",
        "/users",
        {"email": "x", "password": "short", "role": "root", "foo": 1},
        400,
        "invalid_request",
        ["/email", "/foo", "/password", "/role"],
    ),
    ("a change of nobody", "PATCH", f"/users/{UNKNOWN_ID}", {"role": "user"}, 404, "not_found", []),
    ("a change of no id", "PATCH", "/users/1", {"role": "user"}, 404, "not_found", []),
    ("a short new password", "PATCH", f"/users/{UNKNOWN_ID}", {"password": "x", "role": 1}, 400, "invalid_request", ["/password", "/role"]),
    ("disabled as a text", "PATCH", f"/users/{UNKNOWN_ID}", {"disabled": "true"}, 400, "invalid_request", ["/disabled"]),
    ("an e-mail can't be changed", "PATCH", f"/users/{UNKNOWN_ID}", {"email": "a@b.c"}, 400, "invalid_request", ["/email"]),
]


async def test_every_bad_request_of_an_administrator_is_refused_precisely(api, alice, admin, sql):
    assert "\n".join(await failures(api, admin, ADMIN_REQUESTS)) == ""
    assert sql.execute("SELECT count(*) AS n FROM audit_log").fetchone().n == 0


# (case, path, body, status, code, pointers); by nobody
LOGIN_REQUESTS = [
    ("no password", "POST", "/auth/token", {"email": "a@b.c"}, 400, "invalid_request", ["/password"]),
    ("numbers", "POST", "/auth/token", {"email": 1, "password": 2}, 400, "invalid_request", ["/email", "/password"]),
    ("NUL in an e-mail", "POST", "/auth/token", {"email": "\0", "password": "x"}, 400, "invalid_request", ["/email"]),
    ("a form", "POST", "/auth/token", b"email=a&password=b", 400, "malformed_json", []),
    ("no refresh token", "POST", "/auth/refresh", {}, 400, "invalid_request", ["/refresh_token"]),
    ("a long refresh token", "POST", "/auth/refresh", {"refresh_token": "x" * 1001}, 400, "invalid_request", ["/refresh_token"]),
    ("a refresh token of garbage", "POST", "/auth/refresh", {"refresh_token": "ä"}, 401, "invalid_refresh_token", []),
    ("a forged refresh token", "POST", "/auth/refresh", {"refresh_token": "A" * 64}, 401, "invalid_refresh_token", []),
]


async def test_every_bad_login_is_refused_precisely(api):
    assert await failures(api, None, LOGIN_REQUESTS) == []


async def failures(api, user, cases):
    wrong = []
    for case, method, path, body, status, code, pointers in cases:
        response = await api.call(user, method, path, body)
        assert_reveals_nothing(response)
        found = (response.status_code, response.json().get("code"), named(response) if pointers is not None else None)
        if found != (status, code, pointers):
            wrong.append(f"{case}: {found} instead of {(status, code, pointers)} {response.text[:300]}")
    return wrong


def named(response) -> list[str]:
    return sorted(error["pointer"] for error in response.json().get("errors", []))


def assert_reveals_nothing(response) -> None:
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert not re.search(r"Traceback|File \"|SELECT |INSERT |asyncpg|msgspec|litestar|/src/|site-packages|_Fault", response.text), (
        response.text
    )
