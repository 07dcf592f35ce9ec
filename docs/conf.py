"""Sphinx settings; the build needs no network."""

import os
from importlib.metadata import version as installed_version

project = "qelectron"
author = "The qelectron developers"
copyright = "The qelectron developers"
release = version = installed_version("qelectron-core")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"  # docstrings put names between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_numpy_docstring = False

# Our own names must resolve; others do only where their inventories are reachable.
nitpick_ignore_regex = [(r"py:.*", r"(?!qelectron_).*")]

if os.environ.get("QELECTRON_DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable", None),
        "pennylane": ("https://docs.pennylane.ai/en/stable", None),
        "python": ("https://docs.python.org/3", None),
    }

html_theme = "furo"
html_title = "qelectron"
