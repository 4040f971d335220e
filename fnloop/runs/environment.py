"""The environment that the bits of a run depend on: versions, the BLAS and its threads, the processor."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata

import numpy as np

from fnloop.core.random import Stream, normal
from fnloop.core.version import __version__
from fnloop.engines import get_engine
from fnloop.engines.threads import find_blas, with_threads
from fnloop.training.trainer import MAX_THREADS

Environment = Mapping[str, str]
THREADS = "BLAS threads"


def current_environment(engine: str = "numpy", threads: int | None = None) -> dict[str, str]:
    """Return the environment of this process, as text by name.

    Its `canary` is the hash of some fixed computations, which finds differences that no version shows.

    Args:
        engine: The engine; one on JAX adds its version and device.
        threads: The number of BLAS threads to set meanwhile; by default the number that is set.
    """
    return with_threads(threads, _environment, engine)


def _environment(engine: str) -> dict[str, str]:
    blas = find_blas()
    info = blas.info if blas else {}
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    environment = {
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
    return environment if engine == "numpy" else {**environment, "engine": _jax(engine)}


def _jax(engine: str) -> str:
    get_engine(engine)  # raises EngineError without JAX or without the device
    from fnloop.engines.jax.engine import find_device

    return f"JAX {metadata.version('jax')} on {find_device(engine).device_kind}"


def canary() -> str:
    """Return the SHA-256 of fixed matrix products, exp, log, tanh and sums; any different bit changes it."""
    hashed = hashlib.sha256()
    samples = normal(2 * 128 * 128, 0, Stream.CANARY).reshape(2, 128, 128)
    for x, y in (samples, samples.astype(np.float32)):
        flat = x.ravel() @ y.ravel(), x.sum()
        for value in (x @ y, x @ y[0], np.exp(x), np.log(np.abs(x)), np.tanh(x), x.sum(0), *map(np.atleast_1d, flat)):
            hashed.update(value.tobytes())
    return hashed.hexdigest()


def parse_environment(text: str | None) -> dict[str, str]:
    """Parse the JSON of an environment in a run file.

    Raises:
        ValueError: If it is not a mapping of texts.
    """
    environment = json.loads(text or "null")
    if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
        raise ValueError("invalid environment in the run file")
    return environment


def environment_differences(recorded: Environment, current: Environment) -> tuple[str, ...]:
    """Return the differences between two environments, as one line each.

    Examples:
        >>> environment_differences({"NumPy": "2.1.0", "Python": "3.11.4"}, {"NumPy": "2.2.0", "Python": "3.11.4"})
        ('NumPy was 2.1.0, is 2.2.0',)
    """
    names = dict.fromkeys([*recorded, *current])
    pairs = ((name, recorded.get(name, "none"), current.get(name, "none")) for name in names)
    return tuple(f"{name} was {old[:60]}, is {new[:60]}" for name, old, new in pairs if old != new)


def recorded_threads(recorded: Environment) -> int | None:
    """Return the number of BLAS threads of an environment, or None if it has no number that can be set.

    Examples:
        >>> recorded_threads({"BLAS threads": "4"}), recorded_threads({"BLAS threads": "unknown"})
        (4, None)
    """
    threads = recorded.get(THREADS, "")
    is_valid = threads.isdecimal() and len(threads) < 5 and 1 <= int(threads) <= MAX_THREADS
    return int(threads) if is_valid else None
