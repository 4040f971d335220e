"""Sources, tests and documents are in plain English: words that readers stumble over are replaced by the usual ones."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {  # a pattern, and what to write instead
    r"\bbehind\b": "after",
    r"\b(stands?|stood|standing)\b": "is",
    r"\b(had|have|has|be) again\b": "recovered",
    r"\b(be|is|are|was|were) had\b": "available, returned",
    r"\b(go|goes|gone|going|went) on\b": "continue, resume",
    r"\b(of )?one's own\b": "custom",
    r"\bas it (is|was)\b": "unchanged",
    r"\bhanded\b": "given, returned, passed",
    r"\bbegun\b|\bbegins? anew\b": "started, starts over",
    r"\b(the word on|says? of|said of)\b": "documented, reported",
    r"\b(nobody|whoever)\b": "no one, a user who",
    r"\bnow and then\b": "at intervals",
    r"\bsuch an? \w+ (is|has|can|may)\b": "this",
    r"\bits way back\b|\bway back\b": "backward function",
    r"\bbeside\b": "besides, next to",
    r"\bbe it\b": "whether",
    r"\bfor ever\b": "always",
    r"\btak(es|e|en) over\b": "adopts, continues with",
    r"\bthat there (is|are)\b": "the existing, the known",
    r"\bwhat there is\b": "the contents",
    r"\bone after the other\b": "in order",
    r"\bmade of\b": "built from",
    r"\b(was|were|is|are) to be had\b": "available",
    r"\bsaid so\b": "documented",
}
ALLOWED = [  # exact phrases in which a word is the usual one
    "Check that there ",
]
FILES = sorted(
    path
    for pattern in (
        "*.py",
        "fnloop/**/*.py",
        "tests/**/*.py",
        "benchmarks/*.py",
        "benchmarks/*.md",
        "docs/*.md",
        "notebooks/*.ipynb",
        "*.md",
    )
    for path in ROOT.glob(pattern)
    if path != Path(__file__)
)


def texts_of(path):
    """The prose of a file, line by line: all of a document, and of a notebook the cells without their outputs."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return text.splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_word_needs_a_second_reading(path):
    """Each pattern of the table has a plain alternative."""
    found = [
        f"line {number}: {word[0]!r}, write: {plain}"
        for number, line in enumerate(texts_of(path), 1)
        if not any(phrase in line for phrase in ALLOWED)
        for pattern, plain in INSTEAD.items()
        if (word := re.search(pattern, line, re.IGNORECASE))
    ]
    assert found == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_merge_is_left_unresolved(path):
    """No line is a conflict marker of git."""
    assert [line for line in texts_of(path) if re.match(r"(<{7}|>{7}) |={7}$", line)] == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix == ".py"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_docstring_starts_with_what(path):
    """A docstring starts with a verb or a noun phrase."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "body")]
    documented = [node for node in nodes if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = [ast.get_docstring(node) or "" for node in documented]
    assert [text.splitlines()[0] for text in docstrings if text.startswith("What ")] == []
