"""Every block of code in the documents is run by a test, or of a kind that nobody runs; a new one is neither until it stands here."""

import re

import pytest

from tests.contract.documents import ROOT

DOCUMENTS = sorted(
    str(file.relative_to(ROOT))
    for folder in (".", "bench", "sql", "docs")
    for file in (ROOT / folder).glob("**/*.md" if folder == "docs" else "*.md")
    if file.name != "http.md"  # made from the OpenAPI document
)

# Which test runs all blocks of this language in this document.
RUN_BY = {
    ("README.md", "console"): "tests/contract/test_sessions.py",
    ("README.md", "python"): "tests/contract/test_client_documents.py",
    ("CONTRIBUTING.md", "console"): "tests/contract/test_sessions.py",
    ("bench/README.md", "console"): "tests/contract/test_sessions.py",
    ("docs/client.md", "python"): "tests/contract/test_client_documents.py",
    ("docs/command-line.md", "console"): "tests/contract/test_client_documents.py",
    ("docs/embedding.md", "python"): "tests/test_litestar.py",
    ("docs/operations.md", "console"): "tests/contract/test_sessions.py",
    ("docs/operations.md", "sh"): "tests/contract/test_sessions.py",
    ("docs/operations.md", "sql"): "tests/contract/test_sessions.py",
    ("docs/reporting.md", "console"): "tests/contract/test_sessions.py",
    ("docs/reporting.md", "sql"): "tests/contract/test_reporting_page.py",
    ("docs/statistics.md", "console"): "tests/contract/test_sessions.py",
    ("docs/statistics.md", "sql"): "tests/contract/test_statistics_documents.py",
    ("docs/submitting-with-sql.md", "python"): "tests/test_enqueue.py",
    ("docs/submitting-with-sql.md", "sql"): "tests/test_enqueue.py",
    ("docs/watching-jobs.md", "console"): "tests/contract/test_sessions.py",
    ("docs/watching-jobs.md", "javascript"): "tests/browser/test_guide.py",
    ("docs/writing-handlers.md", "console"): "tests/contract/test_sessions.py",
    ("docs/writing-handlers.md", "python"): "tests/contract/test_handler_documents.py",
}
INCLUDED_BY = {
    "import_csv.py": "tests/examples/test_import_csv.py",
    "partner_api.py": "tests/examples/test_partner_api.py",
    "read_reports.py": "tests/contract/test_reporting_page.py",
    "thumbnails.py": "tests/examples/test_thumbnails.py",
    "../../.env.example": "tests/contract/test_env_example.py",
    "../README.md": "tests/contract/test_sessions.py",
}
# What can't be run, or is for another program.
NOT_RUN = {
    ("docs/architecture.md", "text"): "a diagram",
    ("docs/job-lifecycle.md", "mermaid"): "a diagram",
    ("docs/operations.md", "ini"): "a unit of systemd",
    ("docs/operations.md", "json"): "lines of a log",
    ("docs/operations.md", "yaml"): "of Prometheus' configuration",
    ("docs/writing-handlers.md", "toml"): "of a pyproject.toml",
}
DIRECTIVES = ("{toctree}", "{eval-rst}")  # what Sphinx makes pages of


def fences(document: str) -> list[str]:
    """What stands behind each fence that opens a block."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [opening.strip() for opening in re.findall(r"^ *(?:`{3,}|~{3,})(.*)\n(?:.*\n)*?^ *(?:`{3,}|~{3,})$", text, re.MULTILINE)]


def test_every_block_is_run_or_is_nothing_to_run():
    found = {(document, fence) for document in DOCUMENTS for fence in fences(document) if not fence.startswith("{")}

    assert found == RUN_BY.keys() | NOT_RUN.keys()


def test_everything_that_is_included_is_run():
    directives = [fence for document in DOCUMENTS for fence in fences(document) if fence.startswith("{")]
    included = {fence.partition(" ")[2] for fence in directives if fence.startswith(("{include}", "{literalinclude}"))}

    assert included == INCLUDED_BY.keys()
    assert {fence for fence in directives if "include}" not in fence} == set(DIRECTIVES)


@pytest.mark.parametrize(("what", "test"), [*RUN_BY.items(), *INCLUDED_BY.items()], ids=str)
def test_the_test_that_runs_it_is_there_and_reads_it(what, test):
    document = what[0] if isinstance(what, tuple) else what
    source = (ROOT / test).read_text(encoding="utf-8")

    assert document.rpartition("/")[2].removesuffix(".md").removesuffix(".py").removeprefix(".") in source
