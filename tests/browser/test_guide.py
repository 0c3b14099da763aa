"""The JavaScript of docs/watching-jobs.md, in a page of the service."""

from tests.contract.documents import blocks


def test_the_function_of_the_guide_follows_a_job_to_its_end(person):
    (code,) = blocks("docs/watching-jobs.md", "javascript")
    token = person.api.headers["authorization"].removeprefix("Bearer ")
    job = person.submit("demo.steps", "Three", steps=3, seconds_per_step=0.3)

    states = person.page.evaluate(
        f"""async ([token, job]) => {{
            {code}
            const states = [];
            await new Promise((finished) => follow(job, (state) => {{
                states.push(state);
                if (state.completed_at) finished();
            }}));
            return states;
        }}""",
        [token, job],
    )

    assert [state["version"] for state in states] == sorted({state["version"] for state in states})
    assert (states[-1]["status"], states[-1]["result"]) == ("completed", {"steps": 3})
