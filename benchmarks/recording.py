"""Measure run files: the time of recording, bytes, seeks, replay, and segments in parallel.

    python benchmarks/recording.py [--rounds 7] [--case tiny]

The cases are those of `step.py`, with epochs and runs of a realistic length. Each round trains without and with
recording, in one process; the overhead is the median ratio over the rounds. A seek is `open_run` and the state of a random
epoch; it is compared with training one segment, the distance between two snapshots. `verify` and `probe` run serially
and in two processes, with one BLAS thread everywhere, so that two processes have twice the processors.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from step import CASES, make_data, make_trainer
from toolz import nth, take

import fnloop as fl

# Batches per epoch, and epochs of a run of about 20 seconds; mid is as long as MNIST, so its file has only the data's digest.
RECORDED = {"tiny": (1000, 400), "small": (500, 280), "mid": (470, 30)}
REPLAYED = {"tiny": (1000, 40), "small": (500, 40), "mid": (160, 20)}


def weight_norm(state: Any) -> float:
    """Return the norm of the parameters, which `probe` computes."""
    return float((state.params.vector**2).sum() ** 0.5)


def make(case: str, steps: int) -> tuple[fl.Trainer, fl.Dataset]:
    sizes, batch, *_ = CASES[case]
    return make_trainer(sizes, batch), make_data(sizes, batch * steps)


def timed(states: Iterator[Any]) -> tuple[float, float]:
    """Return the seconds until the first state and until the last."""
    started = time.perf_counter()
    next(states)
    first = time.perf_counter() - started
    fl.last(states)
    return first, time.perf_counter() - started


def overhead(case: str, rounds: int) -> None:
    """Print the overhead of recording, and the bytes that it writes."""
    steps, epochs = RECORDED[case]
    trainer, data = make(case, steps)
    ratios, seconds, starts = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        nth(2, fl.epochs(trainer, data))  # warms up
        for i in range(rounds):
            path = Path(folder) / f"{i}.run"
            _, alone = timed(take(epochs + 1, fl.epochs(trainer, data)))
            first, recorded = timed(fl.record(path, trainer, data)(take(epochs + 1, fl.epochs(trainer, data))))
            ratios.append(recorded / alone)
            seconds.append(alone)
            starts.append(first)
        run = fl.open_run(path)
        states, whole, size = len(run.rows), len(run.snapshots), os.path.getsize(path)
        kept = sum(array.nbytes for array in (data.x, data.y))
    print(
        f"{case}: {1e3 * median(seconds) / epochs:.1f} ms an epoch; recording {100 * (median(ratios) - 1):+.2f} % of wall time"
        f" ({100 * (min(ratios) - 1):+.2f} to {100 * (max(ratios) - 1):+.2f}, goal 2), of which {1e3 * median(starts):.0f} ms"
        f" of {median(seconds):.1f} s at the start;"
        f" {max(0, size - (kept if kept <= 1 << 26 else 0)) / states / 1e3:.1f} KB an epoch, without the data,"
        f" {whole} of {states} states whole",
        flush=True,
    )


def replay(case: str) -> None:
    """Print what seeks, replay, verify and probe take, with one BLAS thread."""
    steps, epochs = REPLAYED[case]
    trainer, data = make(case, steps)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.run"
        started = time.perf_counter()
        nth(epochs, fl.epochs(trainer, data))
        alone = time.perf_counter() - started
        fl.last(fl.record(path, trainer, data, snapshot_every=5)(take(epochs + 1, fl.epochs(trainer, data))))
        run = fl.open_run(path)
        _ = run.trainer, run.train
        segment = max(b - a for a, b in pairwise(run.snapshots)) * alone / epochs
        seeks = []
        for epoch in random.Random(0).sample(range(epochs), 9):
            started = time.perf_counter()
            fl.open_run(path).state(epoch)
            seeks.append(time.perf_counter() - started)
        found = f"{1e3 * median(seeks):.0f} ms, at most {1e3 * max(seeks):.0f}"
        print(f"{case}: seek {found}; a segment is {1e3 * segment:.0f} ms")
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(abs, range(8)))
            for name, call in (("verify", run.verify), ("probe", lambda **how: run.probe(weight_norm, **how))):
                times, results = [], []
                for how in ({}, {"map": pool.map}) * 3:
                    started = time.perf_counter()
                    results.append(str(call(**how)))
                    times.append(time.perf_counter() - started)
                assert len(set(results)) == 1
                serial, parallel = median(times[::2]), median(times[1::2])
                print(
                    f"  {name}: {serial / alone:.2f} times the training; two processes {serial / parallel:.2f} times as fast"
                    " (goal 1.7)",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", choices=RECORDED, action="append")
    parser.add_argument("--replay", action="store_true", help="only the second part, which runs with one BLAS thread")
    options = parser.parse_args()
    for case in options.case or RECORDED:
        if options.replay:
            replay(case)
        else:
            overhead(case, options.rounds)
            one = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            subprocess.run([sys.executable, __file__, "--replay", "--case", case], env=one, check=True)


if __name__ == "__main__":
    main()
