"""The environment that the bits of a run depend on: versions, the BLAS and its threads, the processor, JAX's settings.

Versions do not show every difference, so an environment has a canary: the hash of some fixed computations. Finding the
environment takes milliseconds the first time, and microseconds after that.
"""

import json
import os
import platform
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.encoding import canonical
from fnloop.core.version import __version__
from fnloop.engines import get_engine
from fnloop.engines.numpy.canary import canary
from fnloop.engines.threads import find_blas, own_threads, with_threads
from fnloop.runs.packing import check_size
from fnloop.training.trainer import MAX_THREADS

Environment = Mapping[str, str]
THREADS = "BLAS threads"

_TINY, _ONE, _THREE = float(np.finfo(np.float64).tiny), 1.0, 3.0  # names, as Python computes constants when it compiles


class _Part(NamedTuple):
    """How a difference of a part of the environment is told.

    Args:
        subject: What differs.
        verbs: The forms of "to be" that the subject takes.
        is_list: Whether its words are items, of which only those that differ are shown.
    """

    subject: str
    verbs: tuple[str, str] = ("was", "is")
    is_list: bool = False


_PLURAL = "were", "are"
_CANARY = "gives other bits: the hash of fixed computations"
_PARTS = {  # the most likely causes of different bits first
    "JAX canary": _Part(f"JAX {_CANARY}"),
    "canary": _Part(f"NumPy {_CANARY}"),
    "device": _Part("the device"),
    "XLA flags": _Part("the flags of XLA", _PLURAL, is_list=True),
    "JAX settings": _Part("the settings of JAX", _PLURAL, is_list=True),
    "device variables": _Part("the device's environment variables", _PLURAL, is_list=True),
    "XLA threads": _Part("the number of XLA's threads"),
    "floating point": _Part("the floating-point mode"),
    "BLAS kernels": _Part("the processor's BLAS kernels", _PLURAL),
    THREADS: _Part("the number of BLAS threads"),
    "CPU features": _Part("the processor's features", _PLURAL, is_list=True),
    "jaxlib": _Part("jaxlib"),
    "BLAS": _Part("the BLAS"),
    "NumPy": _Part("NumPy"),
    "JAX": _Part("JAX"),
    "fnloop": _Part("fnloop"),
    "C library": _Part("the C library"),
    "platform": _Part("the platform"),
    "Python": _Part("Python"),
}


def current_environment(engine: str = "numpy", threads: int | None = None) -> dict[str, str]:
    """Return the environment of this process, as text by name.

    Args:
        engine: The engine; one on JAX adds its versions, device, flags and settings.
        threads: The number of BLAS threads of the computation. Default: the process's own setting.

    Raises:
        EngineError: If the engine needs JAX or a device that are missing.
    """
    return environment_of(observe(engine, threads))


class Observation(NamedTuple):
    """The part of an environment that may change while a process runs; equal observations are of one environment.

    Args:
        engine: The engine.
        threads: The number of BLAS threads, or None if there is no BLAS.
        floating_point: The floating-point mode of the Python thread.
        settings: The settings of JAX in the Python thread, for an engine on JAX.
    """

    engine: str
    threads: int | None
    floating_point: str
    settings: tuple[tuple[str, Any], ...] = ()


def observe(engine: str, threads: int | None) -> Observation:
    """Observe the environment in which the calling Python thread computes, in microseconds.

    Args:
        engine: The engine, as in `current_environment`.
        threads: The number of BLAS threads, as in `current_environment`.

    Raises:
        EngineError: If the engine needs JAX, which is missing.
    """
    observation = Observation(engine, threads or own_threads(), _floating_point())
    if engine == "numpy":
        return observation
    get_engine(engine)  # raises if it is not available
    from fnloop.engines.jax.environment import find_settings

    return observation._replace(settings=find_settings())


def environment_of(observation: Observation) -> dict[str, str]:
    """Return the environment that was observed, maybe in another Python thread.

    The first time in a process it waits for computations with another number of BLAS threads, at most until the end of their
    epoch, and computes the canary. It does not change the number that they use.

    Args:
        observation: The observation.

    Raises:
        EngineError: If the engine needs JAX or a device that are missing.
    """
    environment = _numpy_environment(observation.threads, observation.floating_point)
    if observation.engine == "numpy":
        return environment
    get_engine(observation.engine)
    from fnloop.engines.jax.environment import describe

    return {**environment, **describe(observation.engine, observation.settings)}


def _numpy_environment(threads: int | None, floating_point: str) -> dict[str, str]:
    used, found = _measure(threads, floating_point)
    return {
        "fnloop": __version__,
        "Python": platform.python_version(),
        **_installation(),
        THREADS: used,
        "floating point": floating_point,
        "canary": found,
    }


@cache
def _installation() -> Environment:
    """Return what stays the same in a process."""
    blas = find_blas()
    info: Mapping[str, Any] = blas.info if blas else {}
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "C library": _c_library(),
        "NumPy": np.__version__,
        "BLAS": f"{info.get('internal_api', 'unknown')} {info.get('version')}",
        "BLAS kernels": str(info.get("architecture", "unknown")),
        "CPU features": " ".join([*simd.get("baseline", ()), *simd.get("found", ())]),
    }


def _c_library() -> str:
    """Return the version of glibc, whose functions of numbers schedules use; that of the system elsewhere."""
    name = "CS_GNU_LIBC_VERSION"
    return (os.confstr(name) if name in getattr(os, "confstr_names", ()) else None) or platform.release()


@lru_cache(maxsize=64)  # by the number of threads, and by what may differ between Python threads
def _measure(threads: int | None, floating_point: str) -> tuple[str, str]:
    """Return the number of BLAS threads that are used when so many are asked for, and the canary with it."""
    blas = find_blas()
    return with_threads(threads, lambda: (str(blas.get()) if blas else "unknown", canary()))


def _floating_point() -> str:
    """Return how this Python thread computes: a library may have changed the processor's mode, which changes bits."""
    flushed = "" if _TINY / 4 * 4 == _TINY else ", subnormal numbers are flushed to zero"
    is_to_nearest = _ONE / _THREE == -(-_ONE / _THREE) and _ONE + _TINY == _ONE == _ONE - _TINY
    return f"rounded {'to nearest' if is_to_nearest else 'in another way'}{flushed}"


def changed_environment(last: str | None, current: Environment) -> str | None:
    """Return the environment as JSON if it is not the last one, and else None: what the row of a state notes.

    Args:
        last: The last environment that the run file notes, as JSON, or None.
        current: The environment.

    Examples:
        >>> noted = changed_environment(None, {"NumPy": "2.4.1"})
        >>> noted, changed_environment(noted, {"NumPy": "2.4.1"})
        ('{"NumPy":"2.4.1"}', None)
    """
    if last is not None and parse_environment(last) == dict(current):
        return None
    return canonical(dict(current))


def parse_environment(text: str | None) -> dict[str, str]:
    """Parse the JSON of an environment in a run file.

    Raises:
        ValueError: If it is not a mapping of texts.
    """
    environment = json.loads(check_size(text or "null"))
    if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
        raise ValueError("invalid environment in the run file")
    return environment


def environment_differences(recorded: Environment, current: Environment) -> tuple[str, ...]:
    """Return the differences between two environments, as one line each, the most likely causes of different bits first.

    Examples:
        >>> was = {"Python": "3.11.4", "NumPy": "2.1.0", "BLAS kernels": "Haswell"}
        >>> for line in environment_differences(was, {"Python": "3.12.1", "NumPy": "2.1.0", "BLAS kernels": "SkylakeX"}):
        ...     print(line)
        the processor's BLAS kernels were Haswell, are SkylakeX
        Python was 3.11.4, is 3.12.1
    """
    names = dict.fromkeys([*_PARTS, *recorded, *current])
    pairs = ((name, recorded.get(name, "none"), current.get(name, "none")) for name in names)
    return tuple(_difference(name, old, new) for name, old, new in pairs if old != new)


def _difference(name: str, old: str, new: str) -> str:
    part = _PARTS.get(name) or _Part(name[:60])
    if part.is_list:
        old, new = _without(old, new), _without(new, old)
    elif name.endswith("canary"):
        old, new = old[:12], new[:12]
    return f"{part.subject} {part.verbs[0]} {old[:60]}, {part.verbs[1]} {new[:60]}"


def _without(items: str, others: str) -> str:
    """Return the words of a text that another one does not have."""
    known = others.split()
    return " ".join(item for item in items.split() if item not in known) or "none"


def recorded_threads(recorded: Environment) -> int | None:
    """Return the number of BLAS threads of an environment, or None if it has no number that can be set.

    Examples:
        >>> recorded_threads({"BLAS threads": "4"}), recorded_threads({"BLAS threads": "unknown"})
        (4, None)
    """
    threads = recorded.get(THREADS, "")
    is_valid = threads.isdecimal() and len(threads) < 5 and 1 <= int(threads) <= MAX_THREADS
    return int(threads) if is_valid else None
