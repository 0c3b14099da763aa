"""The API's process before it answers its first request."""

import gc

import pytest

from jobhub import server


@pytest.fixture
def thawed():
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_a_full_collection_does_not_look_at_what_was_there_at_the_start(monkeypatch):
    class Server:
        started = True

        async def serve(self):
            self.frozen = gc.get_freeze_count()

    one = Server()
    monkeypatch.setattr(server, "create_server", lambda *_, **__: one)

    assert server.serve(None, host="127.0.0.1", port=0) == 0

    assert one.frozen > 10_000
