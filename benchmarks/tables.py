"""Try every table of some folders as `fnloop train` would: which are read, which are refused and why, which have notes.

    python benchmarks/tables.py FOLDER... [--train] [--schema] [--jsonl results.jsonl]

For each file, all of it is split and encoded with the default options; with `--train`, a small network is trained for two
epochs. Then the same is done with four of five rows, and their schema is applied to the others: a value that they do not
have must not be an error. The last lines have the totals, and the reasons by frequency.
"""

import argparse
import json
import math
import re
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import fnloop as fl
from fnloop.cli.table_options import TableOptions
from fnloop.cli.train_options import TrainOptions, make_trainer
from fnloop.data.reading import read_table

SUFFIXES = {".csv", ".tsv", ".txt", ".gz", ".bz2", ".xz", ".jsonl", ".parquet", ".npz", ".dat", ".data"}


def read_and_split(path):
    """Read and split a table as `fnloop train` does."""
    table = read_table(str(path), None, TableOptions().text_columns(None, "auto"))
    return table.frame, fl.split_table(table)


def try_table(path, train):
    """A row of results for one file."""
    started = time.perf_counter()
    row = {"file": path.name}
    try:
        frame, parts = read_and_split(path)
        row |= {"rows": len(frame), "columns": frame.shape[1], "task": parts.task, "features": parts.train.x.shape[1]}
        schema = parts.preprocessing.schema
        row["target"] = schema.target.name
        row["kinds"] = dict(Counter(column.kind for column in schema.columns))
        row["notes"] = [str(column) for column in schema.columns if column.notes]
        row["notes"] += [*schema.notes, *schema.target.notes, *parts.notes]
        row["schema"] = str(schema)
        if len(frame) >= 20:
            shuffled, most = frame.sample(frac=1, random_state=0), 4 * len(frame) // 5
            some = fl.split_table(shuffled.iloc[:most], schema.target.name).preprocessing
            unseen = some.encode(shuffled.iloc[most:].drop(columns=schema.target.name)).unseen
            row["unseen"] = {name: len(rows) for name, rows in unseen.items()}
        if train:
            result = fl.fit(make_trainer(parts, TrainOptions()), parts.train, parts.validation, epochs=2, progress=False)
            row["val_loss"] = result.history["val_loss"][-1]
            assert math.isfinite(row["val_loss"]), "the loss is not finite"
        assert np.isfinite(parts.train.x).all()
        row["result"] = "noted" if row["notes"] else "read"
    except (ValueError, TypeError, OSError) as error:
        row |= {"result": "refused" if "rows" not in row else "refused later", "reason": " ".join(str(error).split())}
    except Exception as error:
        row |= {"result": "failed", "reason": f"{type(error).__name__}: {error}"}
    return row | {"seconds": round(time.perf_counter() - started, 2)}


def shown(row, with_schema):
    facts = f"{row.get('rows', '?')} x {row.get('columns', '?')} -> {row.get('features', '?')}, {row.get('task', '')[:5]}"
    why = row.get("reason") or "; ".join(row.get("notes", []))
    return f"{row['result']:13} {row['file'][:40]:40} {facts:32} {why[:160]}" + (f"\n{row['schema']}" if with_schema else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--train", action="store_true", help="train each for two epochs")
    parser.add_argument("--schema", action="store_true", help="print each schema")
    parser.add_argument("--jsonl", type=Path, help="write the results to a file")
    parser.add_argument("--limit", type=int, default=None, help="the number of files, evenly chosen")
    options = parser.parse_args()
    warnings.simplefilter("error")
    files = sorted(file for folder in options.folders for file in folder.rglob("*") if file.suffix in SUFFIXES)
    if options.limit:
        files = files[:: max(1, len(files) // options.limit)]
    rows = []
    for file in files:
        rows.append(try_table(file, options.train))
        print(shown(rows[-1], options.schema and "schema" in rows[-1]), flush=True)
    if options.jsonl:
        options.jsonl.write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = Counter(row["result"] for row in rows)
    reasons = Counter(re.sub(r"'[^']*'|\d[\d,.]*|^\S+: ", "*", row["reason"])[:100] for row in rows if "reason" in row)
    print(f"\n{len(rows)} tables in {sum(row['seconds'] for row in rows):.0f} s: {dict(counts)}")
    print(f"train as they are: {(counts['read'] + counts['noted']) / max(1, len(rows)):.1%}")
    for reason, count in reasons.most_common():
        print(f"{count:5} {reason}")


if __name__ == "__main__":
    main()
