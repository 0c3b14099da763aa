"""Finding handlers: shipped ones, those of JOBHUB_HANDLERS, those of other packages."""

import importlib.metadata
from pathlib import Path

import pytest

from jobhub.domain.errors import OperatorError
from jobhub.handlers.registry import ENTRY_POINT_GROUP, load_registry

MODULE = """
import jobhub, msgspec

class Nothing(msgspec.Struct):
    pass

@jobhub.job_type("{name}", queue="mail")
async def handler(ctx, params: Nothing): ...
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, as a handler author's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return tmp_path


def names(*modules: str, demo: bool = False) -> list[str]:
    return [job_type.name for job_type in load_registry(modules, demo=demo)]


def test_without_anything_the_built_in_job_types_are_there() -> None:
    assert names() == ["http.request", "report.query"]


def test_the_demo_job_types_come_on_demand() -> None:
    assert [name for name in names(demo=True) if name.startswith("demo.")] == ["demo.crash", "demo.fail", "demo.sleep", "demo.steps"]


def test_a_module_beside_the_working_directory_is_found_without_being_installed(here: Path) -> None:
    (here / "mine_a.py").write_text(MODULE.format(name="mine.mail"))

    registry = load_registry(["mine_a"], demo=False)

    assert registry.get("mine.mail")
    assert registry.queues == {"default", "mail"}


def test_a_module_named_twice_counts_once(here: Path) -> None:
    (here / "mine_b.py").write_text(MODULE.format(name="mine.twice"))

    assert "mine.twice" in names("mine_b", "mine_b")


def test_an_entry_point_of_an_installed_package_is_found(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "mine_c.py").write_text(MODULE.format(name="mine.installed"))
    entry = importlib.metadata.EntryPoint(name="mine", value="mine_c", group=ENTRY_POINT_GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [entry] if group == ENTRY_POINT_GROUP else [])

    assert "mine.installed" in names()


def test_two_handlers_with_one_name_are_both_named(here: Path) -> None:
    (here / "mine_d.py").write_text(MODULE.format(name="mine.same"))
    (here / "mine_e.py").write_text(MODULE.format(name="mine.same"))

    with pytest.raises(OperatorError, match=r"mine_d\.handler and mine_e\.handler"):
        names("mine_d", "mine_e")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("this is no Python", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        (MODULE.format(name="Not A Name"), "can't be registered"),
        ("import jobhub\n@jobhub.job_type('a.b')\nasync def f(ctx): ...", "must take"),
    ],
)
def test_a_module_that_can_not_be_used_is_said_to_be_so(here: Path, text: str, said: str) -> None:
    (here / "broken_one.py").write_text(text)

    with pytest.raises(OperatorError, match=said):
        names("broken_one")


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(OperatorError, match="'nowhere_at_all'"):
        names("nowhere_at_all")
