async def test_submit_read_and_list(api, alice, bob):
    job = await api.submit(alice, parameters={"value": [1, "two"]})

    read = await api.call(alice, "GET", f"/jobs/{job['id']}")
    listed = await api.call(alice, "GET", "/jobs")
    foreign = await api.call(bob, "GET", f"/jobs/{job['id']}")

    assert read.json() == job
    assert [item["id"] for item in listed.json()["jobs"]] == [job["id"]]
    assert foreign.status_code == 404
