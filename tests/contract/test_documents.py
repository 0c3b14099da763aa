"""The documentation site builds without a network, and no link between the documents is broken."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("site")  # built once
ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("check_links", ROOT / "docs" / "check_links.py")
check_links = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_links)


@pytest.fixture(scope="module")
def site() -> Path:
    """Where `make docs` builds it: what is there and up to date is not built again."""
    built = ROOT / "dist" / "docs"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", built]
    # A proxy that nobody listens at: whatever looked for the network would say so.
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "", "https_proxy": "http://127.0.0.1:9", "HOME": str(built)}
    )
    assert done.returncode == 0, done.stderr
    return built


def test_the_site_fetches_nothing_from_elsewhere(site):
    fetched = re.compile(r'<(?:script|link|img)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
    foreign = {page.name: found for page in site.rglob("*.html") if (found := fetched.findall(page.read_text()))}

    assert foreign == {}


def test_every_call_of_the_service_is_in_the_reference(site):
    text = (site / "reference" / "http.html").read_text()

    assert "Idempotency-Key" in text
    for call in ("POST /jobs", "GET /jobs/admin/statistics", "POST /auth/token", "GET /readyz"):
        assert call in text, call


def test_every_page_can_be_reached_from_the_first(site):
    index = (site / "index.html").read_text()
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}

    assert [
        str(page) for page in pages if page.parts[0] != "decisions" and page.name != "index.html" and f'href="{page}"' not in index
    ] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[x](nowhere.md)", "leads to nothing"),
        ("[x](#no-such-heading)", "names no heading"),
        ("![x](nowhere.png)", "leads to nothing"),
        ("[x](page.md#a-heading-with-code-here)", None),
        ("[x](https://example.org/nowhere.md)", None),
        ("```\n[x](nowhere.md)\n```", None),
    ],
)
def test_links_that_lead_nowhere_are_found(tmp_path, text, fault):
    page = tmp_path / "page.md"
    page.write_text(f"# A heading, with `code` here\n\n{text}\n")

    assert [fault in found for found in check_links.faults(page)] == ([True] if fault else [])
