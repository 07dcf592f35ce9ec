"""Run every Python block of the Markdown pages as a test; a page is one namespace."""

import os
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

# Tests keep nothing in the user's own store, nor do the processes that they start.
os.environ["QELECTRON_STORE"] = "memory"
# Nor do they follow the user's own config.
os.environ["QELECTRON_CONFIG"] = os.devnull

pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE),
        SkipParser(),
    ],
    pattern="*.md",
).pytest()
