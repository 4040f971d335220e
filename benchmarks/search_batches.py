"""Compare the best values of `fl.search` after 64 trials by the number of trials that are proposed together, over 10 seeds.

    python benchmarks/search_batches.py [--seeds 10]

The differences from proposing single trials are means over seeds, with their standard errors.
"""

import argparse
import time

import numpy as np
import optuna
from threadpoolctl import threadpool_limits

import fnloop as fl

CASES = {  # sizes, loss, epochs
    "lab": ((10, 16, 12, 8, 1), "bce", 20),
    "digits": ((64, 32, 10), "cross_entropy", 8),
    "diabetes": ((10, 16, 1), "mse", 20),
}
TRIALS = 64
SPACE = {
    "lr": fl.spaces.log_uniform(1e-5, 1.0),
    "weight_decay": fl.spaces.log_uniform(1e-5, 10.0),
    "b1": fl.spaces.uniform(0.5, 0.99),
    "b2": fl.spaces.uniform(0.8, 0.9999),
}


def best_value(name: str, batch: int | str, seed: int) -> float:
    """Return the validation loss of the best trial."""
    (sizes, loss, epochs), data = CASES[name], getattr(fl.datasets, name)()
    trainer = fl.Trainer(model=fl.mlp(list(sizes)), loss=loss, optimizer="adamw", batch_size=32)
    options = {"batch": batch, "seed": seed, "progress": False, **SPACE}
    if batch == "random":
        options |= {"batch": TRIALS, "study": optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))}
    found = fl.search(trainer, data.train, data.validation, trials=TRIALS, epochs=epochs, monitor="val_loss", **options)
    return found.study.best_value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print("| data | batch | best value | difference from 1 | seconds |\n" + "|---" * 5 + "|")
    for name in CASES:
        single = None
        for batch in (1, 8, 16, 32, 64, "random"):
            started = time.process_time()
            with threadpool_limits(1):
                values = np.array([best_value(name, batch, seed) for seed in seeds])
            single = values if single is None else single
            difference = values - single
            error = difference.std(ddof=1) / len(seeds) ** 0.5
            seconds = (time.process_time() - started) / len(seeds)
            print(
                f"| {name} | {batch} | {values.mean():.4f} | {difference.mean():+.4f} ± {error:.4f} | {seconds:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
