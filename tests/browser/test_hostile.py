"""Nothing that a job says is ever run, wherever it is shown."""

from playwright.sync_api import expect

PAYLOADS = [
    "<script>hacked=1</script>",
    "</script><script>hacked=1</script>",
    "<img src=x onerror=hacked=1>",
    "<svg onload=hacked=1>",
    "<svg><script>hacked=1</script></svg>",
    '"><img src=x onerror=hacked=1>',
    "'><img src=x onerror=hacked=1>",
    '" autofocus onfocus=hacked=1 x="',
    "' onmouseover=hacked=1 x='",
    "</textarea><script>hacked=1</script>",
    "</title><script>hacked=1</script>",
    "</pre><script>hacked=1</script>",
    "</option></select><img src=x onerror=hacked=1>",
    "</td></tr></table><img src=x onerror=hacked=1>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'>",
    "<iframe src=javascript:parent.hacked=1>",
    "<a href=javascript:hacked=1>click</a>",
    "javascript:hacked=1",
    "<details open ontoggle=hacked=1>",
    "<body onload=hacked=1>",
    "<style>@import '//evil.example/x.css'</style>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>",
    "<form action=//evil.example><button>",
    "<math><mtext><img src=x onerror=hacked=1></mtext></math>",
    "<template><img src=x onerror=hacked=1></template>",
    "{{ constructor.constructor('hacked=1')() }}",
    "${hacked=1} #{hacked=1} {% raw %}",
    "&lt;img src=x onerror=hacked=1&gt;\u2028\u202e",
]


def is_hacked(page):
    return page.evaluate("typeof hacked !== 'undefined'")


def test_thirty_hostile_titles_results_and_errors_stay_text(person, administrator):
    assert len(PAYLOADS) == 30
    job_ids = []
    for text in PAYLOADS:
        job_ids.append(person.submit("demo.fail", text[:200], message=text))
        job_id = person.submit("demo.sleep", text[:200], seconds=0)
        person.finished(job_id)
    for job_id, text in zip(job_ids, PAYLOADS, strict=True):
        person.finished(job_id)
        if text != PAYLOADS[0]:  # one stays failed
            done = administrator.api.post(f"/jobs/admin/{job_id}/force-complete", json={"result": {text: text}, "reason": text})
            assert done.status_code == 200, done.text

    for one in (person, administrator):
        page = one.page
        for path in (
            "/ui/jobs",
            "/ui/jobs?page=2",
            "/ui/jobs?status=failed",
            "/ui/admin/jobs",
            "/ui/admin/audit-log",
            "/ui/admin/failures",
        ):
            if one is administrator or not path.startswith("/ui/admin"):
                page.goto(path)
                assert not is_hacked(page), path
        for job_id, text in zip(job_ids, PAYLOADS, strict=True):
            page.goto(f"/ui/jobs/{job_id}")
            assert page.locator("h1").text_content() == text[:200]
            assert not is_hacked(page), text
    for job_id in job_ids[:5]:
        person.page.goto(f"/ui/new?again={job_id}")
        assert not is_hacked(person.page)


def test_a_row_that_comes_by_itself_is_text_too(person):
    page = person.page
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    title = PAYLOADS[5]
    job_id = person.submit("demo.steps", title, steps=3, seconds_per_step=0.4)

    expect(page.locator(f"#job-{job_id} .chip")).to_have_text("Completed")

    assert page.locator(f"#job-{job_id} .title").text_content() == title
    assert page.locator("#list img").count() == 0
    assert not is_hacked(page)
