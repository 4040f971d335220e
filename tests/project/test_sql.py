"""The queries of `docs/sql.md` run on run files of this version, and give what the document shows."""

import csv
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.project.test_documents import python_blocks, run_program

DOCUMENT = "docs/sql.md"
TEXT = (Path(__file__).parents[2] / DOCUMENT).read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
BLOCKS = re.compile(r"\A(.*?)\n.*```sql\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
QUERIES = [found.groups() for section in SECTIONS if (found := BLOCKS.match(section))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The run files of the document, which its Python blocks record as one program."""
    path = tmp_path_factory.mktemp("sql")
    run_program(python_blocks(DOCUMENT), path)
    return path


def table_of(query):
    """Return the result of a query as text: a line with the names of the columns, and one for each row."""
    named = re.match(r"-- (\S+\.run)\n", query)
    with closing(sqlite3.connect(f"file:{named[1] if named else 'lab.run'}?mode=ro", uri=True)) as connection:
        *setup, select = query.split(";\n")
        for statement in setup:
            connection.execute(statement)
        found = connection.execute(select)
        rows = [[column[0] for column in found.description], *found.fetchall()]
    cells = [["NULL" if value is None else str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def without_numbers(line):
    """Return the words of a line, with each number as #."""
    return re.sub(r"-?\d+(\.\d+)*(e[+-]?\d+)?", "#", line).split()


@pytest.mark.parametrize(("title", "query", "shown"), QUERIES, ids=[title for title, *_ in QUERIES])
def test_a_query_gives_what_is_shown(folder, monkeypatch, title, query, shown):
    """The columns, the number of rows and the words are those of the document; numbers may differ between machines."""
    monkeypatch.chdir(folder)
    assert list(map(without_numbers, table_of(query))) == list(map(without_numbers, shown.splitlines()))


def test_the_document_has_its_queries_and_the_readme_names_it():
    """A query that is not found would not be tested."""
    assert len(QUERIES) == TEXT.count("```sql\n") == TEXT.count("```text\n") >= 10
    assert f"({DOCUMENT})" in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_learning_curve_is_a_table(folder):
    """The CSV file that the document writes has a column for each metric, and a row for each epoch."""
    with (folder / "lab.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert [*rows[0]] == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc", "lr", "seconds"]
