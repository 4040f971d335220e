"""Harmful run files: the statements that change a valid one, and the error that reading it must give."""

import hashlib

import fnloop as fl
from fnloop.runs.manifest import make_manifest
from tests.replay.support import tiny

ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT i AS position, 'x' AS name, 'y' AS value FROM n"
)
NOT_A_RUN = "is not a run of fnloop"
OTHER_TABLES = "its tables are not those of a run"
DEEP = "[" * 1_000_000
WIDE = "[" + "[]," * 1_000_000 + "[]]"
MANY = "{" + ",".join(f'"{i}":1' for i in range(300_000)) + "}"
BAD_TEXTS = {"deep": DEEP, "wide": WIDE, "a number": "5", "not JSON": "{"}


def entry(name, text):
    """Change an entry of the manifest."""
    return [(f"UPDATE run SET value = ? WHERE name = '{name}'", [text])]


def trainer(text):
    """Put another value in place of the trainer."""
    return entry("trainer", f'{{"record":{text},"repr":""}}')


def entry_of_model(model):
    """Put a trainer of another model in place of the trainer."""
    other, data = tiny(model=model, early_stopping=fl.EarlyStopping("val_loss"))[:2]
    return entry("trainer", make_manifest(other, data, data, "numpy", None, None)[0].to_json()["trainer"])


def state(text):
    """Put another text in place of every snapshot, whose digest it matches."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return [("UPDATE snapshots SET content = ?", [text]), ("UPDATE states SET digest = ?", [digest])]


def metrics(text):
    return [("UPDATE states SET metrics = ? WHERE position = 1", [text])]


def fields(text):
    return [("UPDATE states SET fields = ? WHERE position = 1", [text])]


def environment(text):
    return [("UPDATE states SET environment = ? WHERE position = 0", [text])]


# By name, the statements that change a valid run file, and a part of the expected error message; None if there may be none.
WITHOUT_CHAIN = {  # their chain cannot be computed
    "other tables": (["DROP TABLE arrays"], OTHER_TABLES),
    "other columns": (["ALTER TABLE states ADD COLUMN more"], OTHER_TABLES),
    **{
        f"{table} without end": ([f"DROP TABLE {table}", f"CREATE VIEW {table} AS {ENDLESS}"], "its tables are not those")
        for table in ("run", "states", "snapshots", "arrays", "head")
    },
    "a text that is no UTF-8": (
        ["UPDATE states SET metrics = CAST(x'7bfffe7d' AS TEXT) WHERE position = 1"],
        "not a run of",
    ),
    "bytes for a text": (["UPDATE run SET value = x'00' WHERE name = 'trainer'"], NOT_A_RUN),
    "a deep row": (fields(DEEP), NOT_A_RUN),
    "a wide row": (fields(MANY), NOT_A_RUN),
}
SCHEMAS = {
    "a table of its own without end": ([f"CREATE VIEW pragma_table_xinfo AS {ENDLESS}"], None),
    "an index": (["CREATE INDEX i ON states (printf('%.*c', 100000000, 'x'))"], None),
    "a trigger": (["CREATE TRIGGER t AFTER INSERT ON states BEGIN DELETE FROM states; END"], None),
    "a view without end": (["DROP VIEW IF EXISTS metrics", f"CREATE VIEW metrics AS SELECT * FROM ({ENDLESS})"], None),
    "a newer version": (
        ["PRAGMA user_version=2"],
        "its marks are those of format 2, and its table run those of format 1",
    ),
    "another mark": (["PRAGMA application_id=5"], "it does not have the application id"),
    "no mark": (
        ["PRAGMA application_id=0", "DELETE FROM run WHERE name = 'format'"],
        "neither the application id nor the format",
    ),
}
ROWS = {
    "words for numbers": (["UPDATE states SET epoch = 'one' WHERE position = 1"], NOT_A_RUN),
    "numbers for words": (["UPDATE states SET digest = 5 WHERE position = 1"], "is not"),
    "a metric that is no number": (["""UPDATE states SET metrics = '{"loss": []}' WHERE position = 1"""], "is not a run of"),
    "a negative epoch": (["UPDATE states SET epoch = -1 WHERE position = 0"], NOT_A_RUN),
    "epochs in disorder": (["UPDATE states SET epoch = 9 WHERE position = 1"], "it differs in epoch"),
    "a metric that is another": (["UPDATE states SET metrics = replace(metrics, '0.', '1.')"], "it differs in metrics"),
    "a step that is another": (["UPDATE states SET step = step + 1"], "it differs in step"),
    "a reason to stop": (["UPDATE states SET stopped = 'finished' WHERE position = 3"], "it differs in stopped"),
    "a huge row": (metrics('{"a": "' + "x" * 30_000_000 + '"}'), "too big"),
    **{f"an environment: {name}": (environment(text), NOT_A_RUN) for name, text in BAD_TEXTS.items()},
    "an environment: none": (environment("null"), NOT_A_RUN),
    "an environment: of numbers": (environment('{"BLAS threads": 5}'), NOT_A_RUN),
    "an environment: of many threads": (environment('{"BLAS threads": "99999999999999999999"}'), None),
}
ENTRIES = {
    **{
        f"{name}: {form}": (entry(name, text), NOT_A_RUN)
        for name in ("trainer", "train", "monitor")
        for form, text in BAD_TEXTS.items()
    },
    **{f"{name}: a number": (entry(name, "5"), NOT_A_RUN) for name in ("earlier_metrics", "parent", "preprocessing")},
    "train: a text": (entry("train", '"x"'), NOT_A_RUN),
    "train: other names": (entry("train", "{}"), NOT_A_RUN),
    "engine: none": (entry("engine", "null"), NOT_A_RUN),
    "engine: unknown": (entry("engine", '"../../engine"'), NOT_A_RUN),
    "monitor: another": (entry("monitor", '["val_loss", "mean"]'), "invalid value for 'monitor' in the run file"),
    "monitor: unknown": (entry("monitor", '["nothing", "min"]'), NOT_A_RUN),
    "no trainer": (["DELETE FROM run WHERE name = 'trainer'"], "no value for 'trainer' in the run file"),
    "only a trainer": (["DELETE FROM run WHERE name <> 'trainer'"], NOT_A_RUN),
}
HUGE = '{"@":"fnloop.Sequential","inputs":[30000],"layers":[{"@":"fnloop.Dense","inputs":30000,"outputs":30000}]}'
TRAINERS = {
    **{
        f"a trainer that is {name}": (trainer(text), NOT_A_RUN)
        for name, text in {
            "no record": "5",
            "another record": '{"@":"fnloop.SGD"}',
            "of no name": '{"@":["fnloop.Trainer"]}',
            "of a form that is no number": '{"@":"fnloop.Trainer/x"}',
            "deep": '{"@mapping":' * 100_000,
            "wide": WIDE,
            "of half a number": '{"@float":"00"}',
            "of an unknown form": '{"parts":[]}',
            "of missing arrays": '{"@array":"x"}',
            "of arrays without names": '{"@array":[]}',
            "of missing records": '{"@ref":"x"}',
            "a scalar of objects": '{"@scalar":["O8","00"]}',
            "half a scalar": '{"@scalar":["<f8","00"]}',
            "of a model larger than all memory": HUGE,
        }.items()
    },
    "a trainer that is of an unknown record": (
        trainer('{"@":"os.system","command":"true"}'),
        "'os.system', which is not on the list",
    ),
    **{
        f"trainer: {name}": (entry_of_model(model), "of another model than the trainer's")
        for name, model in {
            "larger": fl.mlp([2, 3, 1]),
            "smaller": fl.mlp([2, 1]),
            "of other inputs": fl.mlp([1, 3, 1]),
        }.items()
    },
}
STATES = {
    "a deep state": (state(DEEP), NOT_A_RUN),
    "a wide state": (state(WIDE), NOT_A_RUN),
    "a huge state": (state(" " * 40_000_000), "too big"),
    "a huge state of wide characters": (state("x" * 20_000_000 + "\U0001f300"), "too big"),
    "a state that is a word": (state('"x"'), "it differs in"),
    "a state of half a number": (state('{"@float":"00"}'), NOT_A_RUN),
    "a state that is a trainer": (state('{"@":"fnloop.SGD"}'), "it differs in"),
    "a state that is a function": (state('{"@function":"x"}'), ""),
}
SHAPES = [
    "[1000000000000]",
    "[-1]",
    "[0, 1000000000000]",
    "[4, -4, -4]",
    "[1e400]",
    "{}",
    '"8"',
    "8",
    "null",
    "[[2]]",
    DEEP,
]
DTYPES = [
    "O",
    "|O8",
    "<f8,O",
    "V1000000000",
    "S0",
    "U100000",
    "nonsense",
    "(1000,1000,1000)f8",
    "<M8[s]",
    "\x00",
    "{'names':",
    ",f4",
    "(9**9**9)f4",
]
ARRAYS = {
    **{f"arrays of shape {shape[:20]}": ([("UPDATE arrays SET shape = ?", [shape])], NOT_A_RUN) for shape in SHAPES},
    **{f"arrays of dtype {dtype!r}": ([("UPDATE arrays SET dtype = ?", [dtype])], NOT_A_RUN) for dtype in DTYPES},
    "arrays of text": (["UPDATE arrays SET data = CAST(data AS TEXT)"], NOT_A_RUN),
    "arrays of nothing": (["UPDATE arrays SET data = zeroblob(0)"], NOT_A_RUN),
}
HARMFUL = {**WITHOUT_CHAIN, **SCHEMAS, **ROWS, **ENTRIES, **TRAINERS, **STATES, **ARRAYS}
