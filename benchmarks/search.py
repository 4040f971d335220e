"""Compare `fl.search` with plain Optuna over scikit-learn's `MLPClassifier`: the same trials, epochs, widths and space.

    python benchmarks/search.py [--rounds 3] [--trials 64]

Each round runs both in turn, in processor time. Both use Optuna's TPE sampler, prune nothing, evaluate the validation data
once an epoch, and report that value. A ratio is the median over the rounds of the ratios within a round; the last column has
the mean accuracies of the best trial on the test data, in the same order.
"""

import argparse
import time
import warnings
from statistics import fmean, median

import numpy as np
import optuna
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import fnloop as fl

CASES = [  # data, widths, loss, epochs
    ("lab", (16, 12, 8), "bce", 20),
    ("digits", (32,), "cross_entropy", 10),
    ("digits", (64, 32), "cross_entropy", 10),
    ("digits", (128, 64), "cross_entropy", 10),
]
RATES, DECAYS = (1e-4, 1e-1), (1e-6, 1e-1)
BATCH = 32


def ours(data, widths, loss, epochs: int, trials: int, seed: int) -> float:
    """Return the accuracy of the best trial of `fl.search`."""
    sizes = [data.train.x.shape[1], *widths, 1 if loss == "bce" else 10]
    trainer = fl.Trainer(model=fl.mlp(sizes), loss=loss, optimizer=fl.optimizers.AdamW(), batch_size=BATCH)
    found = fl.search(
        trainer,
        data.train,
        data.validation,
        trials=trials,
        epochs=epochs,
        monitor="val_accuracy",
        batch=32,
        seed=seed,
        progress=False,
        lr=fl.spaces.log_uniform(*RATES),
        weight_decay=fl.spaces.log_uniform(*DECAYS),
    )
    return found.best.evaluate(data.test)["accuracy"]


def theirs(data, widths, loss, epochs: int, trials: int, seed: int) -> float:
    """Return the accuracy of the best trial of plain Optuna."""
    fitted = {}

    def objective(trial):
        mlp = MLPClassifier(
            widths,
            batch_size=BATCH,
            learning_rate_init=trial.suggest_float("lr", *RATES, log=True),
            alpha=trial.suggest_float("alpha", *DECAYS, log=True),
            random_state=0,
        )
        classes, values = np.unique(data.train.y), []
        for epoch in range(epochs):
            mlp.partial_fit(data.train.x, data.train.y.ravel(), classes=classes)
            values.append(mlp.score(data.validation.x, data.validation.y.ravel()))
            trial.report(values[-1], epoch + 1)
        fitted[trial.number] = mlp
        return max(values)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return fitted[study.best_trial.number].score(data.test.x, data.test.y.ravel())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=64)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print("| data | widths, epochs | Optuna + scikit-learn | fl.search | ratio | accuracies |\n" + "|---" * 6 + "|")
    for name, widths, loss, epochs in CASES:
        data = getattr(fl.datasets, name)()
        rounds = []
        for seed in range(options.rounds):
            of_round = []
            for search in (theirs, ours):
                started = time.process_time()
                with threadpool_limits(1):
                    accuracy = search(data, widths, loss, epochs, options.trials, seed)
                of_round.append((time.process_time() - started, accuracy))
            rounds.append(of_round)
        minutes = [options.trials * 60 / median(pair[i][0] for pair in rounds) for i in (0, 1)]
        ratio = median(pair[0][0] / pair[1][0] for pair in rounds)
        accuracies = " ".join(f"{fmean(pair[i][1] for pair in rounds):.3f}" for i in (0, 1))
        print(
            f"| {name} | {'-'.join(map(str, widths))}, {epochs} | {minutes[0]:.0f} trials/min | {minutes[1]:.0f} trials/min "
            f"| {ratio:.1f} | {accuracies} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
