"""Measure the time per training step, compared with scikit-learn's MLPClassifier, a bare NumPy loop, and JAX with optax.

    python benchmarks/step.py [--rounds 7] [--case tiny]

Each round trains every contender of a table, in turn in one process, on the same float32 data with Adam for the
same number of epochs, shuffling included, so that a drift of the machine's speed affects all; a ratio is the median over
the rounds of the ratios within a round. All but the bare loop compute the loss of every step. The peak memory is what
Python and NumPy allocate in a run of fnloop, without the data, in units of the parameters' bytes. A first run is not counted;
how much longer it takes, mostly to compile, is shown for JAX. JAX and optax come with `pip install -e '.[test]'`; without them
their columns are left out.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median

import numpy as np
import peers
from toolz import nth, take

import fnloop as fl

CASES = {  # sizes, batch, batches an epoch, epochs a round, the goal against scikit-learn
    "tiny": ([10, 16, 12, 8, 1], 32, 32, 80, 3.5),
    "small": ([64, 128, 64, 10], 64, 32, 40, 3.0),
    "mid": ([784, 256, 128, 10], 128, 16, 20, 1.9),
    "large": ([784, 1024, 1024, 10], 256, 16, 4, 1.4),
}


def make_data(sizes: list[int], rows: int) -> fl.Dataset:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, max(2, sizes[-1]), rows)
    return fl.Dataset(draw.standard_normal((rows, sizes[0]), dtype=np.float32), labels)


def make_trainer(sizes: list[int], batch: int) -> fl.Trainer:
    loss = fl.losses.BinaryCrossEntropy() if sizes[-1] == 1 else fl.losses.SoftmaxCrossEntropy()
    return fl.Trainer(
        model=fl.mlp(sizes),
        loss=loss,
        scheduler=fl.schedulers.ConstantLR(peers.LR),
        batch_size=batch,
        metrics=(),
        non_finite="raise",
    )


def fnloop(sizes: list[int], batch: int, data: fl.Dataset, engine: str = "numpy") -> peers.Run:
    return lambda epochs: nth(epochs, fl.epochs(make_trainer(sizes, batch), data, engine=engine))


Contender = Callable[[list[int], int, fl.Dataset], peers.Run]
ON_NUMPY: dict[str, Contender] = {"fnloop": fnloop, "scikit-learn": peers.sklearn, "numpy loop": peers.numpy_loop}
ON_JAX: dict[str, Contender] = {
    "optax scan": peers.optax_scan,
    "fnloop jax": partial(fnloop, engine="jax"),
    "optax step": peers.optax_step,
}


def measure(case: str, contenders: dict[str, Contender], rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the seconds per step of each contender in each round, and how much longer the first run took than later ones."""
    sizes, batch, steps, epochs, _ = CASES[case]
    data = make_data(sizes, batch * steps)
    runs = {name: contender(sizes, batch, data) for name, contender in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(epochs)
            times[name].append(time.perf_counter() - started)
    first = {name: spent.pop(0) - median(spent) for name, spent in times.items()}
    return {name: [spent / (steps * epochs) for spent in each] for name, each in times.items()}, first


def peak_memory(case: str) -> float:
    """Return the peak memory of a run of fnloop without the data, in bytes per byte of the parameters."""
    sizes, batch, steps, _, _ = CASES[case]
    data = make_data(sizes, batch * steps)
    trainer = make_trainer(sizes, batch)
    size = fl.init_state(trainer).params.vector.nbytes
    tracemalloc.start()
    fl.best("loss", take(4, fl.epochs(trainer, data)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", choices=CASES, action="append")
    options = parser.parse_args()
    for case in options.case or CASES:
        times, _ = measure(case, ON_NUMPY, options.rounds)
        show(case, times)
        print(
            f"  fnloop: {ratio(times, 'scikit-learn', 'fnloop'):.2f} times scikit-learn's speed (goal {CASES[case][-1]}),"
            f" {ratio(times, 'numpy loop', 'fnloop'):.2f} times the NumPy loop's; peak memory {peak_memory(case):.1f} P",
            flush=True,
        )
        if all(map(find_spec, ("jax", "optax"))):
            times, first = measure(case, ON_JAX, options.rounds)
            show(case, times)
            print(
                f"  fnloop jax: {ratio(times, 'fnloop jax', 'optax scan'):.2f} times the scan's time (goal 1.05),"
                f" {ratio(times, 'fnloop jax', 'optax step'):.2f} times the jitted step's;"
                " to compile: " + ", ".join(f"{name} {first[name]:.2f} s" for name in ON_JAX),
                flush=True,
            )


def show(case: str, times: dict[str, list[float]]) -> None:
    print(f"{case}: " + ", ".join(f"{name} {1e6 * median(each):.1f} µs" for name, each in times.items()))


def ratio(times: dict[str, list[float]], a: str, b: str) -> float:
    return median(x / y for x, y in zip(times[a], times[b], strict=True))


if __name__ == "__main__":
    main()
