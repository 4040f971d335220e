"""What the bits of a run depend on besides trainer and data: versions, the BLAS and its threads, the processor."""

import hashlib
import platform
from collections.abc import Mapping
from importlib import metadata

import numpy as np

from fnloop.core.random import Stream, normal
from fnloop.core.version import __version__
from fnloop.engines.threads import find_blas, with_threads
from fnloop.training.trainer import MOST_THREADS

Environment = Mapping[str, str]
THREADS = "BLAS threads"


def current_environment(engine: str = "numpy", threads: int | None = None) -> dict[str, str]:
    """What is here now, by name, where the BLAS uses so many threads, or as many as the process has set.

    The canary is the hash of some fixed computations, which finds the differences that have no name.
    """
    return with_threads(threads, _environment, engine)


def _environment(engine: str) -> dict[str, str]:
    blas = find_blas()
    info = blas.info if blas else {}
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    found = {
        "fnloop": __version__,
        "Python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "NumPy": np.__version__,
        "BLAS": f"{info.get('internal_api', 'unknown')} {info.get('version')}",
        "BLAS kernels": str(info.get("architecture", "unknown")),
        THREADS: str(blas.get() if blas else "unknown"),
        "CPU features": " ".join([*simd.get("baseline", ()), *simd.get("found", ())]),
        "canary": canary(),
    }
    return found | _jax(engine) if engine != "numpy" else found


def _jax(engine: str) -> dict[str, str]:
    from fnloop.engines import get_engine

    device = get_engine(engine).device  # type: ignore[attr-defined]
    return {"engine": f"JAX {metadata.version('jax')} on {device.device_kind}"}


def canary() -> str:
    """The SHA-256 of fixed matrix products, exp, log, tanh and sums: other bits in any of them give another."""
    hashed = hashlib.sha256()
    drawn = normal(2 * 128 * 128, 0, Stream.CANARY).reshape(2, 128, 128)
    for x, y in (drawn, drawn.astype(np.float32)):
        flat = x.ravel() @ y.ravel(), x.sum()
        for value in (x @ y, x @ y[0], np.exp(x), np.log(np.abs(x)), np.tanh(x), x.sum(0), *map(np.atleast_1d, flat)):
            hashed.update(value.tobytes())
    return hashed.hexdigest()


def environment_differences(recorded: Environment, here: Environment) -> tuple[str, ...]:
    """In what two environments differ, a line each."""
    names = dict.fromkeys([*recorded, *here])
    pairs = ((name, recorded.get(name, "none"), here.get(name, "none")) for name in names)
    return tuple(f"{name} was {old[:60]}, is {new[:60]}" for name, old, new in pairs if old != new)


def recorded_threads(recorded: Environment) -> int | None:
    """The number of BLAS threads that an environment notes, or None if it notes none that can be set."""
    threads = recorded.get(THREADS, "")
    known = threads.isdecimal() and len(threads) < 5 and 1 <= int(threads) <= MOST_THREADS
    return int(threads) if known else None
