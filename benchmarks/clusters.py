"""Compute what a sweep over processes moves, stores and costs: one group is measured, and its figures are multiplied.

    python benchmarks/clusters.py [--sizes 10-16-12-8-1] [--epochs 50]

Moved: the trainers to the workers, and the results back; the data goes to each worker once. Stored: the run file of each
member. Cost: the processor time of training, and the time of 64 cores.
"""

import argparse
import os
import pickle
import tempfile
import time
from pathlib import Path

import fnloop as fl

GROUP, CORES = 64, 64


def text_of(size: float) -> str:
    """Return a number of bytes as text."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def time_of(seconds: float) -> str:
    """Return a time as text."""
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10-16-12-8-1")
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    data = fl.datasets.lab()
    trainer = fl.Trainer(model=fl.mlp(list(map(int, options.sizes.split("-")))), loss="bce", batch_size=32)
    trainers = fl.grid(trainer, seed=range(GROUP))
    started = time.process_time()
    result = fl.sweep(trainers, data.train, data.validation, epochs=options.epochs, progress=False)
    seconds = (time.process_time() - started) / GROUP
    sent = len(pickle.dumps(trainers)) / GROUP
    received = len(pickle.dumps(dict(enumerate(result)))) / GROUP
    to_worker = len(pickle.dumps((data.train, data.validation)))
    with tempfile.TemporaryDirectory() as folder:
        fl.sweep(trainers[:8], data.train, data.validation, epochs=options.epochs, record=folder, progress=False)
        stored = sum(os.path.getsize(path) for path in Path(folder).iterdir()) / 8
    print(
        f"{options.sizes}, {options.epochs} epochs of {-(-len(data.train) // 32)} steps; data: {text_of(to_worker)} a worker\n"
    )
    print(f"| members | to the workers | results | run files | processor time | on {CORES} cores |\n" + "|---" * 6 + "|")
    for power in range(3, 7):
        n = 10**power
        cells = [
            text_of(n * sent),
            text_of(n * received),
            text_of(n * stored),
            time_of(n * seconds),
            time_of(n * seconds / CORES),
        ]
        print(f"| 10^{power} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
