"""The documentation site: Sphinx over the Markdown that is there, and the API reference from docstrings.

`.ci/docs` builds it. Sources stay where they are; pages are named by their paths in the repository.
"""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE / "extensions"))
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = "Weaver"
author = "the authors of Weaver"
copyright = "the authors of Weaver, Apache-2.0"  # noqa: A001 - Sphinx's name
release = version = _PROJECT["version"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "doors", "llms"]
source_suffix = {".md": "markdown"}
root_doc = "docs/site/index"
include_patterns = [
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**.md", "examples/**.md",
]  # fmt: skip

exclude_patterns = ["docs/changes/+*.md"]  # lines of the next changelog

html_theme = "furo"
html_title = f"Weaver {version}"
html_static_path: list[str] = []
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}

myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.strikethrough"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = True
python_use_unqualified_type_names = True
default_role = "code"  # docstrings name code in single backticks
llms_summary = _PROJECT["description"]
