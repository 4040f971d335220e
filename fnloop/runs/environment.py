"""What the bits of a run depend on beside trainer and data: versions, the BLAS and its threads, the processor."""

import hashlib
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

from fnloop.random import Stream, normal
from fnloop.version import __version__

Environment = Mapping[str, str]
THREADS = "BLAS threads"


def environment(engine: str = "numpy") -> dict[str, str]:
    """What is here now, by name; the canary is the hash of some fixed computations, which catches what has no name."""
    blas = _blas()
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    found = {
        "fnloop": __version__,
        "Python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "NumPy": np.__version__,
        "BLAS": f"{blas.get('internal_api', 'unknown')} {blas.get('version')}",
        "BLAS kernels": str(blas.get("architecture", "unknown")),
        THREADS: str(blas.get("num_threads", "unknown")),
        "CPU features": " ".join([*simd.get("baseline", ()), *simd.get("found", ())]),
        "canary": canary(),
    }
    return found | _jax(engine) if engine != "numpy" else found


def _blas() -> Mapping[str, Any]:
    """What is known of NumPy's BLAS; others, such as SciPy's, may be loaded beside it."""
    from threadpoolctl import threadpool_info

    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return max(found, key=lambda library: "numpy" in library["filepath"].lower(), default={})


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


def differences(recorded: Environment, here: Environment) -> tuple[str, ...]:
    """In what two environments differ, a line each."""
    names = dict.fromkeys([*recorded, *here])
    pairs = ((name, recorded.get(name, "none"), here.get(name, "none")) for name in names)
    return tuple(f"{name} was {old[:60]}, is {new[:60]}" for name, old, new in pairs if old != new)


@contextmanager
def as_recorded(recorded: Environment) -> Iterator[None]:
    """What can be set is as it was: the BLAS's number of threads; what was there before comes back at the end."""
    threads = recorded.get(THREADS, "")
    known = threads.isdecimal() and len(threads) < 5
    with _controller().limit(limits=int(threads), user_api="blas") if known else nullcontext():
        yield


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
