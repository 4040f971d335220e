"""Compare `recipes.tabular` with the defaults of before on the built-in tables: accuracy, or R², on rows that were held out.

    python benchmarks/builtin_tables.py [--splits 20] [--only lab,iris]

The rows of each table are split anew at random, 64 : 16 : 20; the built-in scaling of the features is kept. Both train for up
to 100 epochs, with the split's number as their seed, and are measured at the best epoch by validation. The defaults of before
were two hidden layers of 64 units with ReLU, AdamW with a decay of 1, a rate of 0.003 that halves on a plateau, batches of 16,
and a patience of 30 epochs.
"""

import argparse

import numpy as np

import fnloop as fl

NAMES = "lab", "diabetes", "breast_cancer", "wine", "iris", "digits"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--only", default=",".join(NAMES), help="names of tables, between commas")
    options = parser.parse_args()
    print("| table | rows | before | recipe | difference |\n| --- | --- | --- | --- | --- |")
    for name in options.only.split(","):
        table = getattr(fl.datasets, name)()
        parts = table.train, table.validation, table.test
        x, y = (np.concatenate([getattr(part, field) for part in parts]) for field in "xy")
        scores = np.array([[score(trainer, x, y, seed) for trainer in (before, recipe)] for seed in range(options.splits)])
        difference = scores[:, 1] - scores[:, 0]
        error = difference.std() / len(scores) ** 0.5
        old, new = scores.mean(axis=0)
        print(f"| {name} | {len(x)} | {old:.4f} | {new:.4f} | {difference.mean():+.4f} ± {error:.4f} |", flush=True)


def score(make_trainer, x, y, seed):
    """The accuracy, or R², of a trainer on the test part of a split."""
    rows = np.random.default_rng(seed).permutation(len(x))
    ends = [int(0.64 * len(x)), int(0.8 * len(x))]
    train, validation, test = (fl.Dataset(x[part], y[part]) for part in np.split(rows, ends))
    classes = len(np.unique(y)) if y.dtype.kind in "iu" else None
    result = fl.fit(make_trainer(train, classes, seed), train, validation, epochs=100, progress=False)
    metrics = result.evaluate(test)
    return metrics["accuracy" if classes else "r2"]


def before(train, classes, seed):
    """The trainer that `fnloop train` used."""
    outputs = classes if classes and classes > 2 else 1
    return fl.Trainer(
        model=fl.mlp([train.x.shape[1], 64, 64, outputs]),
        loss="mse" if classes is None else "bce" if classes == 2 else "cross_entropy",
        optimizer=fl.optimizers.AdamW(weight_decay=1.0),
        scheduler=fl.schedulers.ReduceLROnPlateau(0.003, metric="val_loss", patience=15, min_lr=1e-6),
        early_stopping=fl.EarlyStopping("val_loss", patience=30),
        batch_size=16,
        seed=seed,
    )


def recipe(train, classes, seed):
    """The trainer that it uses now."""
    return fl.recipes.tabular(train, classes=classes, seed=seed)


if __name__ == "__main__":
    main()
