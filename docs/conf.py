"""The documentation site: `make docs` builds it into dist/docs, without a network. Pages are the Markdown files beside this one.

Not here: the page of HTTP calls, which is made from the OpenAPI document (docs/http_reference.py).
"""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

import http_reference

import jobhub

project = "jobhub"
author = "the jobhub developers"
version = release = jobhub.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Blocks of commands with their output aren't quite any language; links to files outside of the site are text here, and docs/check_links.py
# looks after all of them.
suppress_warnings = ["misc.highlighting_failure", "myst.xref_missing"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"jobhub {release}"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"source_directory": "docs/"}
myst_heading_anchors = 3  # links of the form page.md#heading, as on any forge
myst_enable_extensions = ["colon_fence"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# Docstrings are Markdown-like prose, not reStructuredText with roles.
default_role = "code"
highlight_language = "none"


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", lambda app: http_reference.write(Path(app.srcdir) / "reference" / "http.md"))
