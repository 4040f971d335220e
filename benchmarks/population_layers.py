"""Measure the time per model and step of populations with convolutions, pools and embeddings, compared with solo runs.

    python benchmarks/population_layers.py [--rounds 5] [--members 4 8 32]

As in `benchmarks/population.py`: the contenders train in turn in one process, on the same float32 data with Adam and one
thread of BLAS; times are processor time, and a ratio is the median over the rounds of the ratios within a round.
"""

import argparse
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np
from population import population, seconds_of, solo

import fnloop as fl
from fnloop.nn import (
    Activation,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool2d,
    Sequential,
)
from fnloop.training.population import members_at_once

BATCHES, BATCH, SOLO = 8, 32, 8


class Case(NamedTuple):
    """A model, and the number of indices if its inputs are indices."""

    model: Sequential
    indices: int = 0


def image(size: int, channels: int, outputs: int, *more: Layer) -> Case:
    """A convolution, normalized, pooled; then other layers."""
    first = Conv2d(1, channels, 3, padding="same"), BatchNorm(channels), Activation("relu"), MaxPool2d(2)
    return Case(Sequential((size, size, 1), (*first, *more, Flatten(), Dense(outputs, 10))))


SECOND = Conv2d(8, 16, 3, padding="same"), Activation("relu"), MaxPool2d(2)
CASES = {
    "8x8, 3x3 convolution to 8": image(8, 8, 128),
    "8x8, convolutions to 8 and 16": image(8, 8, 64, *SECOND),
    "12x12, 3x3 convolution to 4": image(12, 4, 144),
    "28x28, 3x3 convolution to 8": image(28, 8, 1568),
    "32 positions, convolution of 5 to 8": Case(
        Sequential((32, 3), (Conv1d(3, 8, 5), Activation("relu"), GlobalAvgPool(), Dense(8, 10)))
    ),
    "10 of 100 indices, vectors of 8": Case(
        Sequential(10, (Embedding(100, 8), Flatten(), Dense(80, 16), Activation("relu"), Dense(16, 10))), 100
    ),
    "30 of 200 indices, vectors of 16": Case(Sequential(30, (Embedding(200, 16), GlobalAvgPool(), Dense(16, 10))), 200),
}


def make_trainers(model: Sequential, members: int) -> list[fl.Trainer]:
    base = fl.Trainer(model=model, loss="cross_entropy", scheduler=1e-3, batch_size=BATCH, metrics=(), threads=1)
    return fl.grid(base, seed=range(members))


def make_data(case: Case) -> fl.Dataset:
    draw, shape = np.random.default_rng(0), (BATCH * BATCHES, *case.model.inputs)
    x = draw.integers(0, case.indices, shape) if case.indices else draw.standard_normal(shape)
    return fl.Dataset(x.astype(np.float32), draw.integers(0, 10, BATCH * BATCHES))


def measure(case: Case, members: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds per model and step of the population and of solo runs in each round."""
    trainers, data = make_trainers(case.model, members), make_data(case)

    def measured(run: Callable[[], object], models: int) -> float:
        return seconds_of(run) / (models * BATCHES)

    together, alone = population(trainers, data), solo(trainers, data)
    together(), alone()
    rounds_of_both = [(measured(together, members), measured(alone, min(SOLO, members))) for _ in range(rounds)]
    return [a for a, _ in rounds_of_both], [b for _, b in rounds_of_both]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, nargs="+", default=[4, 8, 32])
    options = parser.parse_args()
    for name, case in CASES.items():
        at_once = members_at_once(make_trainers(case.model, 1)[0])
        for members in options.members:
            together, alone = measure(case, members, options.rounds)
            ratio = median(b / a for a, b in zip(together, alone, strict=True))
            print(
                f"{name}, {members} members, up to {at_once} at once: {1e6 * median(together):.0f} µs, "
                f"solo {1e6 * median(alone):.0f} µs; {ratio:.2f} times the speed",
                flush=True,
            )


if __name__ == "__main__":
    main()
