"""A table is read from every way in which people write it; lines are counted as an editor counts them."""

import csv
import gzip
import io
import json
import lzma
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnloop.data.reading import read_chunks, read_table
from fnloop.data.table_format import TableFormat

TEXTS = ["red", "a b", "x;y", 'say "hi"', "1,5 m"]
ROWS = st.lists(st.tuples(st.integers(-999, 999), st.sampled_from(TEXTS)), min_size=3, max_size=9)
IMPOSSIBLE = [
    {"delimiter": "ab"},
    {"decimal": "x"},
    {"encoding": "utf-99"},
    {"delimiter": ",", "decimal": ","},
    {"delimiter": '"'},
]


def written(rows, delimiter, header=("size", "what", "amount")):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([header, *rows])
    return file.getvalue()


@given(ROWS, st.sampled_from(",;\t|"))
def test_every_delimiter_is_found(tmp_path_factory, rows, delimiter):
    """Cells with delimiters and quotes are quoted."""
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text(written([(a, b, 0.5) for a, b in rows], delimiter), encoding="utf-8")
    frame = read_table(str(path)).frame
    assert frame.to_dict("list") == {
        "size": [a for a, _ in rows],
        "what": [b for _, b in rows],
        "amount": [0.5] * len(rows),
    }


def reads(tmp_path, text, name="t.csv", encoding="utf-8", stated=None, **given):
    (tmp_path / name).write_bytes(text.encode(encoding))
    return read_table(str(tmp_path / name), TableFormat(encoding=stated, **given))


def test_a_decimal_comma_is_found(tmp_path):
    """Where another character is the delimiter."""
    table = reads(tmp_path, "a;b\n1,5;x\n2,25;y\n")
    assert table.frame["a"].tolist() == [1.5, 2.25]
    assert table.layout.decimal == ","


def test_three_decimals_below_one_are_decimals(tmp_path):
    """A leading zero is not followed by a separator of thousands."""
    assert reads(tmp_path, "a;b\n0,134;x\n-0,847;y\n").frame["a"].tolist() == [0.134, -0.847]


def test_white_space_is_a_delimiter(tmp_path):
    """Any amount of it."""
    assert reads(tmp_path, "a b  c\n1 2 3\n4   5 6\n").frame.to_numpy().tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("1,2\n3,4\n5,6\n", ["x0", "x1"], 3),  # numbers only
        ("5.1,setosa\n4.9,setosa\n6.3,virginica\n", ["x0", "x1"], 3),
        ("red,cat\nblue,dog\nred,dog\n", ["x0", "x1"], 3),  # the first cells occur below
        ("year,2019\n1,x\n2,y\n", ["year", "2019"], 2),
        ("a,b\n1,2\n", ["a", "b"], 1),
        ("name,city\nBob,Rome\nAl,Bonn\n", ["name", "city"], 2),
        (",a,b\nx,1,2\ny,3,4\n", ["column 1", "a", "b"], 2),
        ("a,b\nx,1,2\ny,3,4\n", ["column 1", "a", "b"], 2),  # as R writes it
        ('"a" "b"\n"x" 1 2\n"y" 3 4\n', ["column 1", "a", "b"], 2),
        (",0,1\nx,5,2\ny,3,4\n", ["column 1", "0", "1"], 2),
        ("a,a,b\n1,2,3\n4,5,6\n", ["a", "a (2)", "b"], 2),
        ("a,b,\n1,2,\n4,5,\n", ["a", "b", "column 3"], 2),
        ("# made by hand\n\na,b\n1,2\n4,5\n", ["a", "b"], 2),
    ],
)
def test_the_header_is_found(tmp_path, text, names, rows):
    """No row of data becomes names, and no names become data; a guess that may be wrong has a note with the option."""
    table = reads(tmp_path, text)
    assert table.frame.columns.tolist() == names
    assert len(table.frame) == rows
    assert any("--header" in note for note in table.notes) == (names[0] == "x0")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("Report 2024\n\n", ("2 lines before the table are skipped: 'Report 2024'",)),
        ("Report of May, by hand\n", ("1 line before the table is skipped: 'Report of May, by hand'",)),
        ("# made by hand\n", ()),
        ("sep=;\n", ()),
    ],
)
@pytest.mark.parametrize("header", [True, None])
def test_lines_before_the_table_are_skipped(tmp_path, before, said, header):
    """A title is noted; a comment, and the line of Excel that states the delimiter, are not. Lines count as in the file."""
    table = reads(tmp_path, f"{before}a;b;c;d\n1;2;3;4\n5;6;7;8\n", header=header)
    assert table.frame.to_dict("list") == {"a": [1, 5], "b": [2, 6], "c": [3, 7], "d": [4, 8]}
    assert table.notes == said
    assert table.place(1) == f"line {before.count(chr(10)) + 3}"


def test_a_header_of_lines_with_missing_last_cells_is_kept(tmp_path):
    """However many most lines lack."""
    frame = reads(tmp_path, "a,b,c,d\n1,2\n3,4\n5,6,7,8\n").frame
    assert frame.columns.tolist() == ["a", "b", "c", "d"]
    assert len(frame) == 3


def test_the_header_can_be_stated(tmp_path):
    """Either way."""
    assert len(reads(tmp_path, "a,b\nc,d\n", header=False).frame) == 2
    assert reads(tmp_path, "1,2\n3,4\n", header=True).frame.columns.tolist() == ["1", "2"]


def test_a_late_leading_zero_is_found(tmp_path):
    """Where no other column is read as text."""
    rows = "".join(f"{i + 10000},{i}\n" for i in range(5000))
    for last in ("00501,1", "1,007", '"00501",1'):
        frame = reads(tmp_path, f"zip,n\n{rows}{last}\n").frame
        assert ",".join(map(str, frame.iloc[-1])) == last.replace('"', "")
    assert {column.kind for column in reads(tmp_path, f"zip,n\n{rows}").frame.dtypes} == {"i"}


def test_codes_and_booleans_stay_as_they_are_written(tmp_path):
    """Wherever in the column the first leading zero is."""
    rows = "".join(f"{i + 10000},{'true' if i % 2 else 'False'},{i}\n" for i in range(500))
    frame = reads(tmp_path, f"zip,ok,n\n{rows}00501,true,0\n").frame
    assert frame["zip"].tolist()[-1] == "00501"
    assert set(frame["ok"]) == {"true", "False"}
    assert frame["n"].dtype.kind == "i"


@pytest.mark.parametrize("empty", ["", "NA", "inf"])
def test_codes_are_kept_beside_missing_cells(tmp_path, empty):
    """Leading zeros, and the digits of integers beyond 2^53; other numbers are numbers. pandas reads all of them as floats."""
    rows = "00501,1152921504606846977,7,1e18\n" + f"{empty},,,\n" + "10501,-1152921504606846978,8,2e18\n"
    frame = reads(tmp_path, f"zip,big,n,large\n{rows}").frame
    assert frame["zip"].iloc[[0, 2]].tolist() == ["00501", "10501"]
    assert frame["big"].dropna().tolist() == ["1152921504606846977", "-1152921504606846978"]
    assert frame["n"].dropna().tolist() == [7.0, 8.0]
    assert frame["large"].dropna().tolist() == [1e18, 2e18]
    assert reads(tmp_path, "big,n\n" + "99999999999999999999,1\n-99999999999999999998,2\n").frame["big"].map(str).tolist() == [
        "99999999999999999999",
        "-99999999999999999998",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_found(tmp_path, encoding):
    """A file that is not UTF-8 has a note; a byte order mark is no part of a name."""
    table = reads(tmp_path, "größe,b\né,1\nü,2\n", encoding=encoding)
    assert table.frame["größe"].tolist() == ["é", "ü"]
    assert bool(table.notes) == (encoding == "cp1252")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "-"])
def test_the_encoding_is_that_of_the_whole_file(tmp_path, name):
    """Also if the first byte that is not UTF-8 is late, and whether the file is read whole or in chunks; no other file has
    this encoding for that reason."""
    data = ("a,b\n" + "é,1\n" * 70_000).encode("cp1252").replace(b"\xe9", b"e", 69_999)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(data))):
        table = read_table("-" if name == "-" else str(tmp_path / name))
    assert (table.frame["a"].iloc[-1], table.frame["a"].iloc[0], table.format.encoding) == ("é", "e", None)
    assert sum("cp1252" in note for note in table.notes) == 1
    if name != "-":
        chunks = list(read_chunks(str(tmp_path / name), TableFormat(), lambda names: ["a"], 50_000))
        assert [text for chunk in chunks for text in chunk.frame["a"]] == table.frame["a"].tolist()
        assert chunks[0].notes == table.notes


def test_utf16_without_a_mark_can_be_stated(tmp_path):
    """The error without the statement names the option."""
    assert reads(tmp_path, "a,b\n1,ü\n", encoding="utf-16-le", stated="utf-16-le").frame["b"].tolist() == ["ü"]
    with pytest.raises(ValueError, match="--encoding utf-16-le"):
        reads(tmp_path, "a,b\n1,ü\n", encoding="utf-16-le")


def test_a_late_byte_that_is_not_utf8_is_noted(tmp_path):
    """Beyond the sample that the encoding is found from."""
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + b"x,1\n" * 100_000 + "é,2\n".encode("cp1252"))
    table = read_table(str(tmp_path / "t.csv"))
    assert table.frame["a"].tolist()[-1] == "é"
    assert "cp1252" in table.notes[0]


def test_lines_are_those_of_an_editor(tmp_path):
    """Empty lines, quoted line breaks and a comment before the header count."""
    table = reads(tmp_path, '# note\nx,y\n\n"a\nb",2\n\nc,4\n')
    assert [table.place(row) for row in range(2)] == ["line 4", "line 7"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n4,5,6\n7,8\n", "line 3 must have 2 cells, like the header, got 3"),
        ('a,b\n"1,2\n3,4\n', "not closed"),
        ("", "got no line"),
        ("a,b\n", "got no row"),
        ("a,b\n\0,1\n", "zero bytes"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path, text, message):
    """The message begins with the path."""
    with pytest.raises(ValueError, match=message) as caught:
        reads(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path))


def test_short_lines_are_noted(tmp_path):
    """Their last cells are missing."""
    table = reads(tmp_path, "a,b,c\n1,2,3\n4,5\n6,7,8\n")
    assert table.notes == ("line 3 has 2 of 3 cells; the others are missing",)


def test_missing_cells_are_those_of_the_list(tmp_path):
    """And those that are stated; other texts, such as None, are text."""
    frame = reads(tmp_path, "a,b\nNA,1\n?,-99\nNone,3\nx,\n", missing=("-99",)).frame
    assert frame["a"].isna().tolist() == [True, True, False, False]
    assert frame["b"].isna().tolist() == [False, True, False, True]


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zip", ".bz2"])
def test_compressed_files_are_read(tmp_path, suffix):
    """By their suffix."""
    import bz2
    import zipfile

    path, text = tmp_path / f"t.csv{suffix}", b"a,b\n1,x\n2,y\n"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("t.csv", text)
    else:
        path.write_bytes({".gz": gzip, ".xz": lzma, ".bz2": bz2}[suffix].compress(text))
    assert read_table(str(path)).frame["a"].tolist() == [1, 2]
    assert read_table(str(path)).place(1) == "line 3"


def test_json_lines_and_arrays_are_read(tmp_path):
    """A line that is no JSON object is named."""
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": "x"}\n\n{"b": "y"}\n')
    assert read_table(str(tmp_path / "t.jsonl")).frame["a"].isna().tolist() == [False, True]
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n[2]\n')
    with pytest.raises(ValueError, match="line 2 must be an object"):
        read_table(str(tmp_path / "t.jsonl"))
    np.savez(tmp_path / "t.npz", x=np.array([[1.0, np.nan]]), y=np.array(["a"]))
    assert read_table(str(tmp_path / "t.npz")).frame.columns.tolist() == ["x0", "x1", "target"]


def test_json_is_read(tmp_path):
    """A list of objects."""
    (tmp_path / "t.json").write_text('[{"a": 1, "b": "x"}, {"b": "y"}]')
    assert read_table(str(tmp_path / "t.json")).frame["b"].tolist() == ["x", "y"]
    (tmp_path / "t.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="a list of objects"):
        read_table(str(tmp_path / "t.json"))


def test_standard_input_is_read():
    """Whole, and in chunks."""
    text = b"a,b\n" + b"".join(b"%d,x\n" % i for i in range(100))
    with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(text))):
        assert read_table("-").frame["a"].tolist() == list(range(100))
    with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(text))):
        chunks = list(read_chunks("-", TableFormat(), lambda names: (), 30))
    assert [len(chunk.frame) for chunk in chunks] == [30, 30, 30, 10]
    assert [value for chunk in chunks for value in chunk.frame["a"]] == list(range(100))


@pytest.mark.parametrize("given", IMPOSSIBLE)
def test_an_impossible_layout_is_refused(given):
    """With the name and the value of the option."""
    with pytest.raises(ValueError, match=list(given)[-1]) as caught:
        TableFormat(**given)
    assert json.dumps(list(given.values())[-1])[1:-1].strip('\\"') in str(caught.value)
