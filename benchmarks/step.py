"""Seconds per training step: fnloop beside scikit-learn's MLPClassifier and a bare NumPy loop, in turn, in one process.

    python benchmarks/step.py [--rounds 7] [--case tiny]

Each round trains every contender on the same float32 data with Adam for the same number of epochs, shuffling included, so
that a drift of the machine's speed meets all alike; a ratio is the median over the rounds of the ratios within a round.
fnloop and scikit-learn both compute the loss of every step, the bare loop does not. The peak of memory is what NumPy asked
for in a run of fnloop, beside the data, in units of the parameters.
"""

import argparse
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from toolz import nth

import fnloop as fl

CASES = {  # sizes, batch, batches an epoch, epochs a round, the goal against scikit-learn
    "tiny": ([10, 16, 12, 8, 1], 32, 32, 40, 3.5),
    "small": ([64, 128, 64, 10], 64, 32, 20, 3.0),
    "mid": ([784, 256, 128, 10], 128, 16, 10, 1.9),
    "large": ([784, 1024, 1024, 10], 256, 16, 3, 1.4),
}
LR = 1e-3


def make_data(sizes: list[int], rows: int) -> fl.Dataset:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, max(2, sizes[-1]), rows)
    return fl.Dataset(draw.standard_normal((rows, sizes[0]), dtype=np.float32), labels)


def make_trainer(sizes: list[int], batch: int) -> fl.Trainer:
    loss = fl.losses.BinaryCrossEntropy() if sizes[-1] == 1 else fl.losses.SoftmaxCrossEntropy()
    return fl.Trainer(
        model=fl.mlp(sizes),
        loss=loss,
        scheduler=fl.schedulers.ConstantLR(LR),
        batch_size=batch,
        metrics=(),
        non_finite="raise",
    )


def run_fnloop(sizes: list[int], batch: int, data: fl.Dataset, epochs: int) -> None:
    nth(epochs, fl.epochs(make_trainer(sizes, batch), data))


def run_sklearn(sizes: list[int], batch: int, data: fl.Dataset, epochs: int) -> None:
    model = MLPClassifier(
        sizes[1:-1], batch_size=batch, max_iter=epochs, alpha=0, learning_rate_init=LR, tol=0, n_iter_no_change=epochs + 1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data.x, data.y)


def run_numpy(sizes: list[int], batch: int, data: fl.Dataset, epochs: int) -> None:
    """The loop as one writes it first: a list of arrays for each of weights, moments and gradients."""
    draw = np.random.default_rng(0)
    weights = [
        array
        for a, b in pairwise(sizes)
        for array in (draw.standard_normal((a, b), dtype=np.float32) * np.float32((2 / a) ** 0.5), np.zeros(b, np.float32))
    ]
    m, v, t = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights], 0
    for _ in range(epochs):
        for rows in _chunks(draw.permutation(len(data)), batch):
            x, y, t = data.x[rows], data.y[rows], t + 1
            for i, g in enumerate(_numpy_gradients(weights, x, y)):
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                weights[i] = weights[i] - LR * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)


def _chunks(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (order[start : start + size] for start in range(0, len(order), size))


def _numpy_gradients(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    inputs = [x]
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        inputs.append(np.maximum(inputs[-1] @ w + b, 0))
    z = inputs[-1] @ weights[-2] + weights[-1]
    if z.shape[1] == 1:
        dy = 1 / (1 + np.exp(-z)) - y[:, None].astype(np.float32)
    else:
        dy = np.exp(z - z.max(1, keepdims=True))
        dy /= dy.sum(1, keepdims=True)
        dy[np.arange(len(y)), y] -= 1
    dy /= np.float32(len(x))
    grads: list[np.ndarray] = []
    for i in range(len(inputs) - 1, -1, -1):
        grads = [inputs[i].T @ dy, dy.sum(0), *grads]
        if i:
            dy = (dy @ weights[2 * i].T) * (inputs[i] > 0)
    return grads


CONTENDERS: dict[str, Callable[[list[int], int, fl.Dataset, int], None]] = {
    "fnloop": run_fnloop,
    "scikit-learn": run_sklearn,
    "numpy loop": run_numpy,
}


def measure(case: str, rounds: int) -> dict[str, list[float]]:
    """Seconds per step of each contender in each round, behind a warm-up."""
    sizes, batch, steps, epochs, _ = CASES[case]
    data = make_data(sizes, batch * steps)
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds + 1):
        for name, run in CONTENDERS.items():
            started = time.perf_counter()
            run(sizes, batch, data, epochs)
            if number:
                times[name].append((time.perf_counter() - started) / (steps * epochs))
    return times


def peak_memory(case: str) -> float:
    """The peak of NumPy's memory in a run of fnloop beside the data, in bytes per byte of the parameters."""
    sizes, batch, steps, _, _ = CASES[case]
    data = make_data(sizes, batch * steps)
    trainer = make_trainer(sizes, batch)
    size = fl.init_state(trainer).params.vector.nbytes
    tracemalloc.start()
    fl.best("loss", (state for _, state in zip(range(4), fl.epochs(trainer, data), strict=False)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", choices=CASES, action="append")
    options = parser.parse_args()
    print(f"{'case':6} {'fnloop':>10} {'scikit-learn':>13} {'numpy loop':>11}  {'vs sklearn':>10} {'goal':>6}", end="")
    print(f"  {'vs numpy':>8}  {'peak memory':>11}")
    for case in options.case or CASES:
        times = measure(case, options.rounds)
        ours = times["fnloop"]
        micro = {name: f"{1e6 * statistics.median(values):.0f} µs" for name, values in times.items()}
        ratio = {name: statistics.median(a / b for a, b in zip(values, ours, strict=True)) for name, values in times.items()}
        print(
            f"{case:6} {micro['fnloop']:>10} {micro['scikit-learn']:>13} {micro['numpy loop']:>11}"
            f"  {ratio['scikit-learn']:9.2f}x {CASES[case][-1]:5.1f}x  {ratio['numpy loop']:7.2f}x"
            f"  {peak_memory(case):10.1f}P",
            flush=True,
        )


if __name__ == "__main__":
    main()
