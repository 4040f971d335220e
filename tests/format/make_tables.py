"""Write the checkpoints of tables that every later version must read: `python -m tests.format.make_tables`.

Each has a preprocessing and a small trained network. `tables.json` has the rows to predict, what they are encoded as, and the
predictions. A file that exists is not written again: to freeze something new, add a table.
"""

import json
from functools import cache

import numpy as np
import pandas as pd

import fnloop as fl
from fnloop.data.inference import row_number
from fnloop.data.reading import TableFile
from fnloop.data.table_format import TableFormat
from fnloop.runs.environment import current_environment
from tests.format.make import FOLDER

TABLES = FOLDER / "tables"
ANSWERS = TABLES / "answers.json"
WORDS = "red", "green", "blue", "grey", "olive"


@cache
def columns(rows=60):
    """Return columns of every kind, some with missing cells."""
    draw = np.random.default_rng(18)
    size, width = draw.normal(40.0, 9.0, rows).round(1), draw.lognormal(1.0, 0.5, rows).round(2)
    return {
        "size": np.where(np.arange(rows) % 7 == 3, np.nan, size),
        "width": width,
        "price": [f"{value:.2f}".replace(".", ",") for value in draw.uniform(1.0, 90.0, rows)],
        "colour": [None if i % 11 == 4 else "rare" if i == 5 else WORDS[i * i % 5] for i in range(rows)],
        "remark": [f"{WORDS[i % 5]} box no. {i * 37 % 101}, shelf {chr(65 + i % 26)}" for i in range(rows)],
        "made": [
            None if i == 9 else f"{2000 + i % 12}-{1 + i % 12:02}-{1 + i % 28:02} {i % 24:02}:15:00" for i in range(rows)
        ],
        "sold": pd.date_range("2021-03-01", periods=rows, freq="9h").to_numpy(),
        "serial": np.arange(rows) + 1,
        "key": [f"k{i:04}" for i in range(rows)],
        "country": ["here"] * rows,
        "unused": np.arange(rows) % 3,
        "patient": [f"p{i // 4}" for i in range(rows)],
        "year": 1990 + np.arange(rows) // 6,
        "part": ["test" if i % 10 == 9 else "validation" if i % 10 == 4 else "train" for i in range(rows)],
        "label": [("low", "middle", "high")[int(value > 35) + int(value > 42)] for value in size],
        "count": (width > 2.0).astype(int) + 3 * (size > 40),
        "flag": size > 40,
        "ratio": np.where(size > 40, 0.5, 1.5),
        "amount": (3 * size + 10 * width).round(2),
    }


KINDS = {"serial": "row number", "key": "id", "unused": "dropped", "remark": "text", "made": "date"}
FEATURES = "size", "width", "price", "colour", "remark", "made", "sold", "serial", "key", "country", "unused"
FORMAT = TableFormat(delimiter=";", decimal=",", encoding="latin-1", header=False, missing=("none", "-9"), usual_decimal=",")
TARGETS = {  # the target of each file, with how its table is split
    "labels": ("label", {"split": "part"}),
    "quantity": ("amount", {"group": "patient"}),
    "standard": ("amount", {"time": "year", "scaling": "standard"}),
    "integers": ("count", {}),
    "booleans": ("flag", {}),
    "floats": ("ratio", {"task": "classification"}),
}
NEW_ROWS = [  # an ordinary one; all cells missing; values not seen before; outliers
    {**dict.fromkeys(FEATURES), "size": 41.5, "width": 2.25, "price": "12,50", "colour": "green", "remark": "red box no. 5"}
    | {"made": "2004-02-29 12:00:00", "sold": "2021-03-04"},
    dict.fromkeys(FEATURES),
    {**dict.fromkeys(FEATURES), "size": 38.0, "width": 3.0, "price": "cheap", "colour": "violet", "remark": "Größe, 漢字"}
    | {"made": "soon", "sold": "1969-12-31"},
    {**dict.fromkeys(FEATURES), "size": 1e12, "width": -1e300, "price": "1e9", "colour": "rare", "remark": ""}
    | {"made": "2099-12-31 23:59:59", "sold": "2050-06-15"},
]


def train(target, split):
    """Return the content of a checkpoint: a trained network, its trainer and the preprocessing."""
    names = [*FEATURES, *(value for role, value in split.items() if role in ("split", "group", "time")), target]
    frame = pd.DataFrame({name: columns()[name] for name in names})
    table = TableFile(frame, row_number, notes=("it was made",), given=FORMAT)
    parts = fl.split_table(table, target, kinds=KINDS, **split)
    classes = len(parts.preprocessing.classes) or None
    trainer = fl.recipes.tabular(parts.train, task=parts.task, classes=classes, hidden=(4,), epochs=3)
    fit = fl.fit(trainer.replace(threads=1), parts.train, parts.validation, epochs=3, progress=False)
    return fit.last, fit.trainer, parts.preprocessing


def answer(checkpoint):
    """Return what new rows become, and what is predicted from them, as JSON that keeps all bits."""
    preprocessing, trainer, state = checkpoint.preprocessing, checkpoint.trainer, checkpoint.state
    x, unseen = preprocessing.encode(pd.DataFrame(NEW_ROWS))
    predicted = preprocessing.decode(fl.predict(trainer, state, x))
    return {
        "digest": fl.digest(checkpoint),
        "classes": list(preprocessing.classes),
        "features": x.tolist(),
        "unseen": {name: rows.tolist() for name, rows in unseen.items()},
        "predictions": predicted.tolist(),
        "outputs": fl.outputs(trainer, state, x).tolist(),
    }


def make():
    """Write the files that do not exist, and their answers."""
    TABLES.mkdir(exist_ok=True)
    new = {"environment": current_environment(threads=1), "files": {}}
    known = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else new
    for name, (target, split) in TARGETS.items():
        path = TABLES / f"{name}.npz"
        if not path.exists():
            state, trainer, preprocessing = train(target, split)
            fl.save(state, path, trainer=trainer, preprocessing=preprocessing)
            known["files"][path.name] = answer(fl.load_checkpoint(path))
    ANSWERS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    make()
