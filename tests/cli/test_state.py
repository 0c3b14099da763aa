"""What a data directory knows, and what is said where it knows nothing."""

import os
import stat
from pathlib import Path

import msgspec
import pytest

from jobhub.cli import state
from jobhub.cli.state import Running
from jobhub.domain.errors import OperatorError
from jobhub.services.tokens import Keys
from jobhub.settings import Settings

SECRET = "0123456789abcdef" * 3


def running(dsn: str = "postgresql://here/") -> Running:
    return Running(pid=os.getpid(), url="http://127.0.0.1:8000", dsn=dsn)


def test_a_data_directory_is_held_once_and_the_second_is_told_by_whom(tmp_path: Path) -> None:
    with (
        state.hold(tmp_path, running()),
        pytest.raises(OperatorError, match=rf"process {os.getpid()}, which serves http://127.0.0.1:8000.*--data-dir"),
        state.hold(tmp_path, running()),
    ):
        pass


def test_a_data_directory_can_be_held_again_once_it_is_free(tmp_path: Path) -> None:
    with state.hold(tmp_path / "new" / "one", running()):
        pass

    with state.hold(tmp_path / "new" / "one", running()):
        assert state.read_running(tmp_path / "new" / "one") == running()


def test_whoever_leaves_is_not_found_any_more(tmp_path: Path) -> None:
    with state.hold(tmp_path, running()):
        pass

    assert state.read_running(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"])
def test_a_file_that_makes_no_sense_is_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "up.json").write_bytes(content)

    assert state.read_running(tmp_path) is None


def test_the_database_is_the_one_that_was_set(tmp_path: Path) -> None:
    state.publish(tmp_path, running())

    assert state.database_url(Settings(database_url="postgresql://set/", data_dir=tmp_path)) == "postgresql://set/"


def test_or_that_of_the_one_who_holds_the_data_directory(tmp_path: Path) -> None:
    state.publish(tmp_path, running())

    assert state.database_url(Settings(data_dir=tmp_path)) == "postgresql://here/"


@pytest.mark.parametrize("dsn", [None, ""], ids=["nobody there", "still starting"])
def test_without_a_database_the_three_ways_out_are_named(tmp_path: Path, dsn: str | None) -> None:
    if dsn is not None:
        state.publish(tmp_path, running(dsn))

    with pytest.raises(OperatorError) as refused:
        state.database_url(Settings(data_dir=tmp_path))

    for way in ("JOBHUB_DATABASE_URL", "jobhub up", "JOBHUB_DATA_DIR"):
        assert way in str(refused.value)


def test_a_key_is_made_once_kept_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)

    key = state.make_secret_keys(settings)

    assert len(key.current) >= 32
    assert state.make_secret_keys(settings) == state.secret_keys(settings) == key
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_a_key_that_was_set_is_used_and_not_kept(tmp_path: Path) -> None:
    settings = Settings(secret_key=SECRET, data_dir=tmp_path)

    assert state.make_secret_keys(settings) == Keys(SECRET.encode())
    assert not (tmp_path / "secret_key").exists()


@pytest.mark.parametrize("kept", ["too short", "ключ" * 10, "\x00" * 40, ""])
def test_a_kept_key_that_is_none_is_refused(tmp_path: Path, kept: str) -> None:
    (tmp_path / "secret_key").write_text(kept, encoding="utf-8")

    with pytest.raises(OperatorError):
        state.secret_keys(Settings(data_dir=tmp_path))


def test_the_previous_key_is_held_to_the_same_rules() -> None:
    settings = Settings(secret_key=SECRET, secret_key_previous=SECRET[::-1])

    assert state.secret_keys(settings) == Keys(SECRET.encode(), SECRET[::-1].encode())
    with pytest.raises(OperatorError, match="JOBHUB_SECRET_KEY_PREVIOUS must have at least 32 bytes"):
        state.secret_keys(msgspec.structs.replace(settings, secret_key_previous="short"))


def test_no_key_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="JOBHUB_SECRET_KEY is not set"):
        state.secret_keys(Settings(data_dir=tmp_path))


def test_what_is_published_is_private(tmp_path: Path) -> None:
    state.publish(tmp_path, running())

    assert stat.S_IMODE((tmp_path / "up.json").stat().st_mode) == 0o600
