"""Measure the time per model and step of a population, compared with solo runs, the JAX engine and a hand-written `vmap`.

    python benchmarks/population.py [--rounds 5] [--case tiny] [--sweep 1000]

Each round trains every contender for some epochs of a case, in turn in one process, on the same float32 data with Adam, each
member with its own seed, which orders its examples. A ratio is the median over the rounds of the ratios within a round. All
times are processor time, on one thread of BLAS. Of the solo runs, at most eight train, in sequence. `vmap` is one
jitted scan over batches with all members on an axis, with optax; it is compiled before it is measured, and does not compute
the orders of the examples. `jax` is the population on the JAX engine. Without JAX and optax (`pip install -e '.[test]'`) both
are left out. `--sweep N` trains N tiny
members for 50 epochs of 20 batches with validation by `fl.sweep`, and `--recorded` 128 of them with and without run files.
"""

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import peers

import fnloop as fl
from fnloop.core.random import permutation
from fnloop.training.population import make_population_epoch, members_at_once, prepare_population

CASES = {  # sizes, batch, batches an epoch, numbers of members
    "tiny": ([10, 16, 12, 8, 1], 32, 20, (2, 8, 32, 128)),
    "small": ([64, 128, 64, 10], 64, 20, (2, 8, 32)),
    "small, batches of 32": ([64, 128, 64, 10], 32, 20, (2, 8, 32)),
    "mid": ([784, 256, 128, 10], 128, 5, (2, 4)),
}
SECONDS = 0.2  # of a contender in a round
SOLO = 8  # members of which the solo run is measured, at most

Epoch = Callable[[], object]


def make_data(sizes: list[int], rows: int) -> fl.Dataset:
    draw = np.random.default_rng(0)
    return fl.Dataset(draw.standard_normal((rows, sizes[0]), dtype=np.float32), draw.integers(0, max(2, sizes[-1]), rows))


def make_trainers(sizes: list[int], batch: int, members: int) -> list[fl.Trainer]:
    loss = "bce" if sizes[-1] == 1 else "cross_entropy"
    base = fl.Trainer(model=fl.mlp(sizes), loss=loss, scheduler=peers.LR, batch_size=batch, metrics=(), threads=1)
    return fl.grid(base, seed=range(members))


def population(trainers: list[fl.Trainer], data: fl.Dataset, engine: str = "numpy") -> Epoch:
    epoch = make_population_epoch(prepare_population(trainers, data, None, engine), engine=engine)
    states = {i: fl.init_state(trainer) for i, trainer in enumerate(trainers)}

    def run() -> None:
        nonlocal states
        states = epoch(states)

    return run


def solo(trainers: list[fl.Trainer], data: fl.Dataset) -> Epoch:
    epochs = [fl.make_epoch(trainer, data) for trainer in trainers[:SOLO]]
    states = [fl.init_state(trainer) for trainer in trainers[:SOLO]]

    def run() -> None:
        nonlocal states
        states = [epoch(state) for epoch, state in zip(epochs, states, strict=True)]

    return run


def vmapped(trainers: list[fl.Trainer], data: fl.Dataset) -> Epoch:
    import jax
    import optax
    from jax import numpy as jnp

    optimizer, batch = optax.adam(peers.LR), trainers[0].batch_size
    x, y = jax.device_put(data.x), jax.device_put(data.y.astype(np.int32))

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        for i, (w, b) in enumerate(weights):
            x = x @ w + b
            x = jax.nn.relu(x) if i < len(weights) - 1 else x
        if x.shape[1] == 1:
            return optax.sigmoid_binary_cross_entropy(x[:, 0], y.astype(x.dtype)).mean()
        return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()

    def step(carry: Any, rows: Any) -> Any:
        weights, moments = carry
        loss, gradient = jax.value_and_grad(loss_of)(weights, x[rows], y[rows])
        updates, moments = optimizer.update(gradient, moments, weights)
        return (optax.apply_updates(weights, updates), moments), loss

    @jax.jit
    def scan(carry: Any, orders: Any) -> Any:
        return jax.lax.scan(lambda carry, rows: jax.vmap(step)(carry, rows), carry, orders)

    layers = [fl.init_state(trainer).params.layers for trainer in trainers]
    weights = jax.tree.map(lambda *arrays: jnp.stack(arrays), *[[tuple(layer) for layer in each] for each in layers])
    carry = weights, jax.vmap(optimizer.init)(weights)
    orders = np.stack([permutation(len(data), trainer.seed, 0) for trainer in trainers]).astype(np.int32)
    batches = jax.device_put(orders.reshape(len(trainers), -1, batch).swapaxes(0, 1))

    def run() -> None:
        nonlocal carry
        carry, losses = scan(carry, batches)
        np.asarray(losses)

    return run


def measure(case: str, members: int, rounds: int) -> dict[str, list[float]]:
    """Return the processor time per model and step of each contender in each round."""
    sizes, batch, steps, _ = CASES[case]
    data, trainers = make_data(sizes, batch * steps), make_trainers(sizes, batch, members)
    contenders: dict[str, Callable[[list[fl.Trainer], fl.Dataset], Epoch]] = {"population": population, "solo": solo}
    if all(map(find_spec, ("jax", "optax"))):
        contenders |= {"jax": partial(population, engine="jax"), "vmap": vmapped}
    runs = {name: make(trainers, data) for name, make in contenders.items()}
    each = {name: steps * (min(SOLO, members) if name == "solo" else members) for name in runs}
    for run in runs.values():
        run()
    repeats = max(1, round(SECONDS / seconds_of(runs["population"])))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds_of(lambda run=run: [run() for _ in range(repeats)]) / (repeats * each[name]))
    return times


def seconds_of(run: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    started = time.process_time()
    run()
    return time.process_time() - started


def sweep_tiny(members: int, **options: Any) -> fl.Sweep:
    data = make_data([10, 1], 800)
    train, validation = fl.Dataset(data.x[:640], data.y[:640]), fl.Dataset(data.x[640:], data.y[640:])
    base = fl.Trainer(model=fl.mlp([10, 16, 12, 8, 1]), loss="bce", scheduler=0.01)
    return fl.sweep(fl.grid(base, seed=range(members)), train, validation, epochs=50, progress=False, **options)


def show_sweep(members: int) -> None:
    spent = seconds_of(partial(sweep_tiny, members))
    print(f"sweep of {members} members, 50 epochs of 20 batches: {spent:.1f} s, {1e3 * spent / members:.1f} µs a model-step")
    show_memory("tiny")
    show_memory("small")


def show_memory(case: str) -> None:
    """Print what each further member takes, in vectors of its parameters: the difference between two groups and four."""
    trainer = make_trainers(*CASES[case][:2], 1)[0]
    members = 2 * members_at_once(trainer)
    (kept, peak), (kept_twice, peak_twice) = memory_of(case, members), memory_of(case, 2 * members)
    size = members * trainer.model.size * 4
    print(
        f"  memory of a {case} member: {(kept_twice - kept) / size:.1f} times its parameters when it has trained, "
        f"{(peak_twice - peak) / size:.1f} while it trains; for all together {(2 * peak - peak_twice) / 2**20:.0f} MiB"
    )


def memory_of(case: str, members: int) -> tuple[int, int]:
    """Return the bytes that a sweep keeps, and its peak."""
    sizes, batch, batches, _ = CASES[case]
    data, trainers = make_data(sizes, batch * batches), make_trainers(sizes, batch, members)
    tracemalloc.start()
    result = fl.sweep(trainers, data, data, epochs=10, progress=False)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return kept, peak


def show_recorded() -> None:
    ratios = []
    for _ in range(3):
        plain = seconds_of(partial(sweep_tiny, 128))
        with tempfile.TemporaryDirectory() as folder:
            recorded = seconds_of(partial(sweep_tiny, 128, record=folder))
        with tempfile.TemporaryDirectory() as folder:
            best = seconds_of(partial(sweep_tiny, 128, record=f"{folder}/best:10"))
        ratios.append((recorded / plain - 1, best / plain - 1))
    for name, values in zip(("128 run files", "best:10"), zip(*ratios, strict=True), strict=True):
        print(f"{name}: " + ", ".join(f"{value:+.0%}" for value in values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--sweep", type=int, metavar="N")
    parser.add_argument("--recorded", action="store_true")
    options = parser.parse_args()
    for case in options.case or ([] if options.sweep or options.recorded else CASES):
        for members in CASES[case][-1]:
            times = measure(case, members, options.rounds)
            at_once = members_at_once(make_trainers(*CASES[case][:2], 1)[0])
            ratios = {name: median(a / b for a, b in zip(times[name], times["population"], strict=True)) for name in times}
            print(
                f"{case}, {members} members, up to {at_once} at once: "
                + ", ".join(f"{name} {1e6 * median(each):.1f} µs" for name, each in times.items())
                + "; "
                + ", ".join(f"{ratios[name]:.2f} times the speed of {name}" for name in times if name != "population"),
                flush=True,
            )
    if options.sweep:
        show_sweep(options.sweep)
    if options.recorded:
        show_recorded()


if __name__ == "__main__":
    main()
