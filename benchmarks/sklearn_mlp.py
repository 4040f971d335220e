"""Compare `fnloop.sklearn.MLPClassifier` with scikit-learn's: the same code but for the import line.

    python benchmarks/sklearn_mlp.py [--rounds 5] [--case letters]

Each round fits both in turn, with default parameters but for the widths, on the same float64 data for the same number of
iterations; a ratio is the median over the rounds of the ratios within a round. The last column is the largest difference
between their weights.
"""

import argparse
import time
import warnings
from statistics import median

import numpy as np
from sklearn import neural_network

from fnloop import sklearn

CASES = {  # rows, features, classes, widths, iterations of a fit, further parameters
    "iris": (150, 4, 3, (100,), 200, {}),
    "cancer": (569, 30, 2, (100,), 100, {}),
    "digits": (1797, 64, 10, (100,), 40, {}),
    "small batches": (1797, 64, 10, (64, 32), 20, {"batch_size": 32}),
    "sgd": (5000, 20, 2, (100, 50), 20, {"solver": "sgd"}),
    "letters": (20000, 16, 26, (100,), 8, {}),
    "wide": (10000, 784, 10, (100,), 4, {}),
    "large": (10000, 784, 10, (512, 256), 2, {}),
}


def fit(package, case: str, x: np.ndarray, y: np.ndarray):
    """Return the seconds of a fit, and the fitted estimator."""
    _, _, _, widths, iterations, parameters = CASES[case]
    mlp = package.MLPClassifier(widths, random_state=0, max_iter=iterations, n_iter_no_change=iterations, **parameters)
    started = time.perf_counter()
    mlp.fit(x, y)
    return time.perf_counter() - started, mlp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", choices=CASES, action="append")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        "| case | rows, features, classes | widths | scikit-learn | fnloop | ratio | weights differ by |\n" + "|---" * 7 + "|"
    )
    for case in options.case or CASES:
        rows, features, classes, widths, iterations, _ = CASES[case]
        draw = np.random.RandomState(0)
        x, y = draw.normal(size=(rows, features)), draw.randint(0, classes, rows)
        fits = [[fit(package, case, x, y) for package in (neural_network, sklearn)] for _ in range(options.rounds)]
        theirs, ours = (1e3 * median(pair[i][0] for pair in fits) / iterations for i in (0, 1))
        ratio = median(pair[0][0] / pair[1][0] for pair in fits)
        difference = max(np.abs(a - b).max() for a, b in zip(*(mlp.coefs_ for _, mlp in fits[0]), strict=True))
        print(
            f"| {case} | {rows}, {features}, {classes} | {'-'.join(map(str, widths))} | {theirs:.2f} ms | {ours:.2f} ms "
            f"| {ratio:.2f} | {difference:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
