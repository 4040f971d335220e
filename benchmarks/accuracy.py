"""Measure the results on the test sets of the example datasets, mean over seeds 0-4.

    python benchmarks/accuracy.py

The lab row is the first run of `fnloop demo`, best by validation accuracy; the others train with the defaults of
`fnloop train`. The seed sets the weights and the order of examples; the split is always the same.
"""

import statistics

import fnloop as fl
from fnloop.cli.demo import first_trainer
from fnloop.cli.train_options import TrainOptions, make_trainer
from fnloop.core.records import evolve

GOALS = {"lab": 0.97, "digits": 0.97, "breast_cancer": 0.96, "wine": 0.95, "diabetes": 0.42, "iris": 0.93}
SEEDS = range(5)


def results(name: str) -> tuple[str, list[float]]:
    """Return the name of the metric and its value on the test set for each seed."""
    data = fl.datasets.load(name)
    trainer, monitor = (first_trainer(), "val_accuracy") if name == "lab" else (make_trainer(data, TrainOptions()), None)
    scores = []
    for seed in SEEDS:
        result = fl.fit(evolve(trainer, seed=seed), data.train, data.validation, monitor=monitor, progress=False)
        scores.append(fl.evaluate(result.trainer, result.best, data.test))
    metric = trainer.summed_metrics()[0].name
    return metric, [score[metric] for score in scores]


def main() -> None:
    print(f"{'data':14} {'metric':9} {'mean':>7} {'goal':>6}   seeds {SEEDS[0]}-{SEEDS[-1]}")
    for name, goal in GOALS.items():
        metric, scores = results(name)
        row = "  ".join(f"{score:.3f}" for score in scores)
        print(f"{name:14} {metric:9} {statistics.mean(scores):7.4f} {goal:6.2f}   {row}", flush=True)


if __name__ == "__main__":
    main()
