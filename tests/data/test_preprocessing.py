"""Encoders agree with scikit-learn's where the meaning is the same; a preprocessing knows the training part alone."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, RobustScaler

import fnloop as fl
from fnloop.data.cells import text_cells
from fnloop.data.encoders.category import fit_category
from fnloop.data.encoders.date import fit_date
from fnloop.data.encoders.number import NumberEncoder, fit_number
from fnloop.data.encoders.text import TextEncoder
from fnloop.data.reading import read_table
from fnloop.data.schema import Cells
from fnloop.data.table_format import TableFormat
from fnloop.runs.checkpoint import load_checkpoint, save

NOTHING = np.empty(0, object)


def number_cells_of(values):
    values = np.asarray(values, float)
    return Cells(values, NOTHING, np.zeros(len(values), bool))


def text_cells_of(values):
    texts, codes = text_cells(pd.Series(values, dtype=object))
    return Cells(codes, texts, np.zeros(len(codes), bool))


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=8, max_size=40))
def test_numbers_are_imputed_and_scaled_as_by_scikit_learn(values):
    """The median, a flag, the distance between the quartiles; then the smooth clip, which keeps the order and the bound."""
    cells = number_cells_of([np.nan if value is None else value for value in values])
    present = cells.values[~np.isnan(cells.values)]
    encoder = fit_number("a", cells)
    if len(present) < 4 or encoder is None or encoder.scale == 1.0 or np.subtract(*np.quantile(present, [0.75, 0.25])) < 1e-9:
        return
    encoded, odd = encoder.encode(cells)
    imputed = SimpleImputer(strategy="median", add_indicator=True).fit_transform(cells.values[:, None])
    scaled = RobustScaler().fit(present[:, None]).transform(imputed[:, :1])[:, 0]
    assert encoded[:, 1:].tolist() == imputed[:, 1:].tolist()
    np.testing.assert_allclose(encoded[:, 0], scaled / np.sqrt(1 + (scaled / 3) ** 2), rtol=1e-9, atol=1e-9)
    assert np.abs(encoded[:, 0]).max() <= 3
    assert not odd.any()


@given(
    st.lists(st.sampled_from("aaaabbbccdefgh"), min_size=5, max_size=60),
    st.integers(1, 4),
    st.integers(2, 6),
    st.lists(st.sampled_from("abcdefghXY"), min_size=1, max_size=20),
)
def test_categories_are_those_of_scikit_learn(train, minimum, most, test):
    """With a minimum frequency, a cap, and unknown ones as infrequent."""
    encoder = fit_category("a", text_cells_of(train), minimum, most)
    options = {"handle_unknown": "infrequent_if_exist", "sparse_output": False}
    theirs = OneHotEncoder(min_frequency=minimum, max_categories=most, **options).fit(np.array(train)[:, None])
    if encoder is None:
        assert theirs.transform(np.array(train)[:, None]).shape[1] == 1
        return
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs.transform(np.array(test)[:, None])
    encoded, unseen = encoder.encode(text_cells_of(test))
    assert encoded.tolist() == wanted.tolist()
    assert unseen.tolist() == [text not in train for text in test]


def test_texts_are_those_of_scikit_learn():
    """Character n-grams, hashed; the same text has the same numbers in any table."""
    values = ["Rome", "Bonn am Rhein", "", "Rome"]
    encoded, _ = TextEncoder("a", 32).encode(text_cells_of(values))
    wanted = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=32).transform(values).toarray()
    np.testing.assert_array_equal(encoded, wanted)


def test_dates_are_elapsed_time_and_places_in_periods():
    """A period within which all dates are at one place is left out."""
    days = np.arange(800) * 86400.0
    encoder = fit_date("a", number_cells_of(days))
    assert encoder.periods == ("year", "week")
    encoded, _ = encoder.encode(number_cells_of([*days[:8], np.nan]))
    np.testing.assert_allclose(encoded[0, 3:], encoded[7, 3:], atol=1e-9)
    assert encoded[-1, 1:].tolist() == [0, 0, 0, 0]


def test_an_outlier_does_not_squeeze_the_others():
    """Their encoded numbers hardly change."""
    draw = np.random.default_rng(0)
    values = draw.standard_normal(200)
    alone, _ = fit_number("a", number_cells_of(values)).encode(number_cells_of(values))
    with_outlier, _ = fit_number("a", number_cells_of([*values, 1e9])).encode(number_cells_of(values))
    assert np.abs(alone - with_outlier).max() < 0.05


@pytest.mark.parametrize("value", [1e-300, 1e300, -1e308, 5e-324])
def test_numbers_of_any_size_have_finite_codes(value):
    """Also where a square would overflow."""
    encoder = NumberEncoder("a", 0.0, 1.0)
    assert np.isfinite(encoder.encode(number_cells_of([value]))[0]).all()


def test_nearly_constant_columns_are_left_out():
    """One row in more than 1,000 differs."""
    assert fit_number("a", number_cells_of([5.0] * 3000 + [6.0])) is None
    assert fit_number("a", number_cells_of([0.19] * 3000)) is None
    assert fit_number("a", number_cells_of([5.0] * 30 + [6.0])) is not None


FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "mapping": dict}
COLUMNS = {
    "size": [1.0, 2.5, None, 4.0, 5.5, 7.0] * 10,
    "n": [1, 2, 3, 4, 5, 6] * 10,
    "colour": ["red", "blue", None, "red", "red", "blue"] * 10,
    "kind": ["cat", "dog", "cat", "dog", "dog", "cat"] * 10,
}


@pytest.mark.parametrize("target", ["kind", "size", "n"])
def test_frames_of_any_library_are_the_same(target):
    """Bit by bit."""
    fitted = [fl.Preprocessing.fit(frame(COLUMNS), target) for frame in FRAMES.values()]
    assert len({fl.digest(preprocessing) for preprocessing in fitted}) == 1
    datasets = [preprocessing.dataset(frame(COLUMNS)) for preprocessing, frame in zip(fitted, FRAMES.values(), strict=True)]
    assert len({fl.digest(dataset) for dataset in datasets}) == 1
    assert len(datasets[0]) == (50 if target == "size" else 60)


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [3, 7], ["007", "7"], [0.5, 1.5]])
def test_labels_come_back_as_they_were_written(labels):
    """With their type."""
    frame = pd.DataFrame({"x": np.arange(40.0) % 11, "y": labels * 20})
    preprocessing = fl.Preprocessing.fit(frame, "y", task="classification")
    assert preprocessing.decode(preprocessing.dataset(frame).y).tolist() == frame["y"].tolist()


def test_quantities_come_back_in_their_units():
    """With a decimal comma, too."""
    frame = pd.DataFrame({"x": np.arange(40.0) % 11, "y": [f"{i},5" for i in range(40)]})
    preprocessing = fl.Preprocessing.fit(frame, "y")
    np.testing.assert_allclose(preprocessing.decode(preprocessing.dataset(frame).y), np.arange(40) + 0.5)


@pytest.mark.parametrize("mean", [0.0, 1e7, 1e12])
def test_predictions_of_quantities_keep_their_digits(mean):
    """Models predict float32, which has 7 digits; those of a quantity far from 0 are more than that (torchmetrics#3077)."""
    y = mean + np.arange(40.0)
    preprocessing = fl.Preprocessing.fit({"a": np.arange(40.0) % 7, "y": y}, "y")
    encoded = preprocessing.target_encoder.encode(pd.Series(y)).astype(np.float32)
    np.testing.assert_allclose(preprocessing.decode(encoded), y, rtol=0, atol=1e-5 + 1e-15 * mean)


@pytest.mark.parametrize("indices", [[2], [-1], [0.5], [[0, 3]]])
def test_no_label_is_that_of_an_index_of_no_class(indices):
    """Not even -1, the index of a missing label."""
    preprocessing = fl.Preprocessing.fit({"a": np.arange(40.0) % 7, "y": ["cat", "dog"] * 20}, "y")
    assert preprocessing.decode([1, 0]).tolist() == ["dog", "cat"]
    with pytest.raises(ValueError, match="predicted must be indices of classes, integers from 0 to 1, got "):
        preprocessing.decode(indices)


def test_a_checkpoint_keeps_it(tmp_path):
    """To the bit, with every kind of encoder."""
    frame = pd.DataFrame(
        {**COLUMNS, "day": pd.date_range("2024-01-01", periods=60), "text": [f"some words {i}" for i in range(60)]}
    )
    preprocessing = fl.Preprocessing.fit(frame, "kind")
    assert len(preprocessing.encoders) == 5
    trainer = fl.Trainer(model=fl.mlp([sum(preprocessing.widths), 2, 1]), loss=fl.losses.BinaryCrossEntropy())
    save(fl.init_state(trainer), tmp_path / "c.npz", trainer=trainer, preprocessing=preprocessing)
    loaded = load_checkpoint(tmp_path / "c.npz").preprocessing
    assert loaded == preprocessing
    assert loaded.features(frame).tobytes() == preprocessing.features(frame).tobytes()


def test_the_statistics_are_those_of_the_training_part():
    """Other values in the validation and the test part change no encoder."""
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"x": draw.standard_normal(100), "c": draw.choice(["a", "b"], 100), "y": draw.standard_normal(100)})
    part = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    first = fl.split_table(frame.assign(part=part), "y", split="part").preprocessing
    frame.loc[60:, "x"] *= 1000
    frame.loc[60:, "c"] = "z"
    second = fl.split_table(frame.assign(part=part), "y", split="part").preprocessing
    assert fl.digest(first.encoders) == fl.digest(second.encoders)


def messy(missing):
    """A table with the same cells missing, marked by texts and numbers, or as they are in pandas."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": draw.standard_normal(60),
            "count": draw.integers(0, 90, 60),
            "colour": draw.choice(["red", "blue"], 60),
            "code": draw.integers(0, 3, 60) + 2**60 + 1,
            "when": pd.date_range("2024-01-01", periods=60),
            "kind": draw.choice(["cat", "dog"], 60),
        }
    )
    marks = {"size": -99.0, "count": -99, "colour": "unknown", "code": -99, "kind": "unknown"}
    for i, (name, mark) in enumerate(marks.items()):
        rows = np.arange(i, 60, 10)
        if missing:
            frame.loc[rows, name] = mark
        else:
            frame[name] = (frame[name].astype("Int64") if name == "code" else frame[name]).mask(np.isin(np.arange(60), rows))
    return frame


def as_polars(frame):
    return pl.DataFrame({name: [None if pd.isna(cell) else cell for cell in frame[name]] for name in frame})


@pytest.mark.parametrize("convert", [lambda frame: frame, as_polars, lambda frame: frame.astype(str).to_dict("list")])
def test_stated_texts_are_missing_cells(tmp_path, convert):
    """As if the cells were missing, in the training and in new tables, from frames and in a file that the command reads."""
    marked, plain = messy(True), messy(False)
    table = fl.split_table(convert(marked), missing=["unknown", -99, "-99.0"])
    expected = fl.split_table(plain)
    features = [part.x.tolist() for part in (expected.train, expected.validation, expected.test)]
    assert [part.x.tolist() for part in (table.train, table.validation, table.test)] == features
    assert table.notes == expected.notes == ("6 rows without a target left out",)
    preprocessing = table.preprocessing
    np.testing.assert_array_equal(preprocessing.features(convert(marked)), expected.preprocessing.features(plain))
    fitted = fl.Preprocessing.fit(convert(marked), missing=["unknown", -99, "-99.0"])
    assert {column.name: column.missing for column in fitted.schema.columns}["code"] == 6
    marked.to_csv(tmp_path / "t.csv", index=False)
    read = read_table(str(tmp_path / "t.csv"), TableFormat(missing=("unknown", "-99", "-99.0")))
    np.testing.assert_array_equal(fl.split_table(read).train.x, table.train.x)


@pytest.mark.parametrize("missing", ["-99", -99, None, [None], [True], {"a": 1}])
def test_missing_texts_are_checked(missing):
    """A text alone would be a sequence of its letters."""
    frame = {"a": np.arange(40.0) % 7, "y": ["cat", "dog"] * 20}
    for function in (fl.split_table, fl.Preprocessing.fit):
        with pytest.raises(TypeError, match="missing must be a sequence of texts of missing cells"):
            function(frame, missing=missing)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "minmax"}, "scaling must be one of 'robust', 'standard', got 'minmax'"),
        ({"kinds": ["a"]}, "kinds must be a mapping of columns to kinds"),
        ({"kinds": {"A": "text"}}, "kinds must name one of the columns a, y, got 'A', did you mean 'a'?"),
        ({"target": "Y"}, "target must be one of the columns a, y, got 'Y', did you mean 'y'?"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    """With their name and value, and what is close to it."""
    frame = {"a": np.arange(40.0) % 7, "y": ["cat", "dog"] * 20}
    for function in (fl.split_table, fl.Preprocessing.fit):
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            function(frame, **options)
