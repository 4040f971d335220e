"""Measure the time per update of each optimizer, compared with PyTorch and with the memory that an update has to move.

    python benchmarks/optimizers.py [--rounds 5] [--size 1000]

Each round runs the updates of all contenders in turn, in float32 and in place, on one flat vector of parameters, so that a
drift of the machine's speed affects all; a ratio is the median over the rounds of the ratios within a round. The stream reads
each array that the update reads (gradient, parameters, slots) and writes each that it writes (parameters, slots) once: no
update is faster. PyTorch does the same update of one tensor, by its default implementation and by its fused one if it has one,
on one thread like NumPy. Without PyTorch (`pip install torch`) its columns are left out.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

from fnloop import optimizers as opt
from fnloop.optimizers.kernel_pass import BLOCK, make_pass

LR, SECONDS = 1e-3, 0.05  # a round's share of a contender
SIZES = (10**3, 10**5, 10**7)
OPTIMIZERS: dict[str, tuple[Any, str | None, dict[str, Any]]] = {  # ours, PyTorch's name and options
    "sgd": (opt.SGD(), "SGD", {}),
    "momentum": (opt.SGD(momentum=0.9), "SGD", {"momentum": 0.9}),
    "adam": (opt.Adam(), "Adam", {}),
    "adamw": (opt.AdamW(), "AdamW", {}),
    "clip, adamw": (opt.chain(opt.clip_by_global_norm(1.0), opt.AdamW()), "AdamW", {}),
    "adamax": (opt.Adamax(), "Adamax", {}),
    "amsgrad": (opt.AMSGrad(), "Adam", {"amsgrad": True}),
    "nadam": (opt.NAdam(), "NAdam", {}),
    "radam": (opt.RAdam(), "RAdam", {}),
    "rmsprop": (opt.RMSprop(), "RMSprop", {}),
    "adagrad": (opt.Adagrad(), "Adagrad", {}),
    "adadelta": (opt.Adadelta(), "Adadelta", {}),
    "rprop": (opt.Rprop(), "Rprop", {}),
    "lion": (opt.Lion(), None, {}),
    "lamb": (opt.LAMB(), None, {}),
}
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")

Update = Callable[[], object]


def fnloop(name: str, size: int) -> Update:
    optimizer, gradient, params = OPTIMIZERS[name][0], *arrays(size)
    slots, room, count = [slot.copy() for slot in optimizer.init(params).slots], np.empty_like(gradient), 0
    run = make_pass(optimizer.parts, room, slots, params)

    def move(array: Any, factor: float, room: Any, here: Any) -> None:
        np.multiply(array, LR * factor, out=room)
        np.subtract(here, room, out=here)

    def update() -> None:
        nonlocal count
        count += 1
        room[:] = gradient  # a backward pass would have written it
        run(count, LR, move)

    return update


def stream(name: str, size: int) -> Update:
    """The gradient is written and read, as in `fnloop`; parameters and slots are read and written."""
    gradient, params = arrays(size)
    room, kept = np.empty_like(gradient), [params, *(slot.copy() for slot in OPTIMIZERS[name][0].init(params).slots)]
    pieces = [slice(start, start + BLOCK) for start in range(0, size, BLOCK)]

    def update() -> None:
        room[:] = gradient
        for at in pieces:
            room[at] += 1
            for array in kept:
                array[at] += 1

    return update


def torch_step(name: str, size: int, fused: bool = False) -> Update:
    import torch

    torch.set_num_threads(1)

    _, kind, options = OPTIMIZERS[name]
    gradient, params = (torch.from_numpy(array) for array in arrays(size))
    param, room = torch.nn.Parameter(params), torch.empty_like(gradient)
    optimizer = getattr(torch.optim, str(kind))([param], lr=LR, **options, **({"fused": True} if fused else {}))

    def update() -> None:
        room.copy_(gradient)
        param.grad = room
        if name.startswith("clip"):
            torch.nn.utils.clip_grad_norm_([param], 1.0)
        optimizer.step()

    return update


def arrays(size: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    return tuple(draw.standard_normal(size, dtype=np.float32) for _ in range(2))  # type: ignore[return-value]


def measure(name: str, size: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds per update of each contender in each round, after a warm-up round."""
    contenders: dict[str, Callable[[str, int], Update]] = {"fnloop": fnloop, "stream": stream}
    kind = OPTIMIZERS[name][1]
    if find_spec("torch") and kind:
        contenders["torch"] = torch_step
        if kind in FUSED:
            contenders["fused"] = partial(torch_step, fused=True)
    updates = {contender: make(name, size) for contender, make in contenders.items()}
    repeats = {contender: max(1, int(SECONDS / seconds(update, 3))) for contender, update in updates.items()}
    times: dict[str, list[float]] = {contender: [] for contender in updates}
    for _ in range(rounds):
        for contender, update in updates.items():
            times[contender].append(seconds(update, repeats[contender]))
    return times


def seconds(update: Update, repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        update()
    return (time.perf_counter() - started) / repeats


def ratio(times: dict[str, list[float]], a: str, b: str) -> str:
    if b not in times:
        return "-"
    return f"{median(x / y for x, y in zip(times[a], times[b], strict=True)):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, action="append")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, action="append")
    options = parser.parse_args()
    if not find_spec("torch"):
        print("PyTorch is not installed: its columns are left out")
    for size in options.size or SIZES:
        print(
            f"{size:.0e} parameters\n| optimizer | fnloop | of the stream | of PyTorch | of PyTorch fused |",
            "|---" * 5 + "|",
            sep="\n",
        )
        for name in options.optimizer or OPTIMIZERS:
            times = measure(name, size, options.rounds)
            ratios = " | ".join(ratio(times, "fnloop", other) for other in ("stream", "torch", "fused"))
            print(f"| {name} | {1e6 * median(times['fnloop']):.0f} µs | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
