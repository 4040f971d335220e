"""The environment that the bits of a run on JAX depend on: versions, device, flags and settings, and fixed computations."""

import hashlib
import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray
from fnloop.core.fixed_numbers import fixed_numbers
from fnloop.engines.jax.engine import find_device
from fnloop.engines.jax.tracing import with_float64

Settings = tuple[tuple[str, Any], ...]

# Those of JAX's settings that change what is computed, of the engine's own programs or of custom layers and losses. Others
# raise errors, such as `jax_debug_nans`, or write files and messages.
SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_disable_jit",
    "jax_disable_most_optimizations",
    "jax_optimization_level",
    "jax_exec_time_optimization_effort",
    "jax_memory_fitting_effort",
    "jax_compiler_enable_remat_pass",
    "jax_xla_profile_version",
    "jax_enable_pgle",
    "jax_numpy_dtype_promotion",
    "jax_softmax_custom_jvp",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_random_seed_offset",
)
# Of the settings that a `with` block can change for one Python thread, those that change the fixed computations.
_OF_A_THREAD: Mapping[str, Callable[[Any], AbstractContextManager[Any]]] = {
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_disable_jit": jax.disable_jit,
}
_VARIABLES = {"gpu": ("NVIDIA_TF32_OVERRIDE", "TF_CUDNN_DETERMINISTIC"), "tpu": ("LIBTPU_INIT_ARGS",)}
_ABSENT = object()
_WITHOUT_EFFECT = ("--xla_dump", "--xla_log", "--xla_hlo_profile")  # first letters of flags that only write files


def find_settings() -> Settings:
    """Return the settings of this Python thread, by name."""
    settings = ((name, _value_of(name)) for name in SETTINGS)
    return tuple((name, value) for name, value in settings if value is not _ABSENT)


def _value_of(name: str) -> Any:
    """Return a setting of this Python thread, or of the process if a thread cannot have its own."""
    try:
        return getattr(jax.config, name) if hasattr(jax.config, name) else jax.config.read(name)  # type: ignore[no-untyped-call]
    except AttributeError:  # another version of JAX
        return _ABSENT


@lru_cache(maxsize=32)
def describe(engine: str, settings: Settings) -> Mapping[str, str]:
    """Return the environment of an engine's device, with settings that may be those of another Python thread.

    It compiles, which takes most of a second the first time.

    Args:
        engine: The name of an engine on JAX.
        settings: The settings, from `find_settings`.

    Raises:
        EngineError: If JAX does not have the device.
    """
    device = find_device(engine)
    words = f"{device.platform} {device.device_kind} {device.client.platform_version}".split()
    variables = " ".join(f"{name}={os.environ[name]}" for name in _VARIABLES.get(device.platform, ()) if name in os.environ)
    return {
        "JAX": metadata.version("jax"),
        "jaxlib": metadata.version("jaxlib"),
        "device": " ".join(dict.fromkeys(words)),
        **({"XLA threads": _threads()} if device.platform == "cpu" else {}),
        **({"device variables": variables} if variables else {}),
        "XLA flags": flags(),
        "JAX settings": " ".join(f"{name}={value}" for name, value in settings),
        "JAX canary": canary(device, settings),
    }


@cache  # XLA reads the flags once, before the first device is found
def flags() -> str:
    """Return XLA's flags in a fixed order, the last of equal names, without those that only write files."""
    text = os.environ.get("XLA_FLAGS", "").strip()
    if text and not text.startswith("-"):  # the name of a file that has the flags
        path = Path(text)
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return normalized(text)


def normalized(text: str) -> str:
    """Return flags in a fixed order, the last of equal names, without those that only write files.

    Examples:
        >>> normalized("--xla_b=2 --xla_dump_to=/tmp/x --xla_a --xla_b=3")
        '--xla_a=true --xla_b=3'
    """
    named = dict(flag.partition("=")[::2] for flag in shlex.split(text))
    kept = sorted((name, value or "true") for name, value in named.items() if not name.startswith(_WITHOUT_EFFECT))
    return " ".join(f"{name}={value}" for name, value in kept)


@cache  # the threads are started with the first device
def _threads() -> str:
    """Return the number of threads that share a product on the CPU: that of the cores, or of the devices if those are more."""
    asked = os.environ.get("PJRT_NPROC") or os.environ.get("NPROC")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return str(max(int(asked) if asked and asked.isdecimal() else cores or 1, len(jax.devices("cpu"))))


def canary(device: jax.Device, settings: Settings) -> str:
    """Return the SHA-256 of fixed computations on a device, in the dtypes that it may train in; any different bit changes it.

    Args:
        device: The device.
        settings: JAX's settings to compute with, by name.
    """
    values, hashed = dict(settings), hashlib.sha256()
    dtypes = ("float32", "float64") if values.get("jax_enable_x64") else ("float32",)
    numbers = fixed_numbers(4096 * 32)
    with ExitStack() as stack:
        for name in _OF_A_THREAD.keys() & values.keys():
            stack.enter_context(_OF_A_THREAD[name](values[name]))
        stack.enter_context(with_float64())  # as the engine does
        for result in _compute([jax.device_put(numbers.astype(dtype), device) for dtype in dtypes]):
            hashed.update(np.asarray(result).tobytes())
    return hashed.hexdigest()


@jax.jit
def _compute(arrays: list[AnyArray]) -> list[AnyArray]:
    """Return the results of the fixed computations on each array, in one program."""
    return [result for flat in arrays for result in (*_update(flat), *_other_results(flat))]


def _update(flat: AnyArray) -> tuple[AnyArray, ...]:
    """Return the loss and the parameters after a step of a small network, which XLA fuses as it does those of the engine."""
    x, w, b = flat[:3200].reshape(100, 32), flat[:1280].reshape(32, 40), flat[:40]

    def loss(w: AnyArray, b: AnyArray) -> AnyArray:
        outputs = jnp.tanh(x @ w + b) @ w.T[:, :7]
        normalizer = jnp.log(jnp.exp(outputs - outputs.max(1, keepdims=True)).sum(1))
        return (normalizer + jnp.log1p(jnp.exp(-jnp.abs(outputs))).sum(1)).mean()

    value, (dw, db) = jax.value_and_grad(loss, (0, 1))(w, b)
    norm = jnp.sqrt(jnp.vdot(dw, dw) + 1e-8)
    return value, w - 0.1 * dw / norm, b - 0.1 * db / norm


def _other_results(flat: AnyArray) -> tuple[AnyArray, ...]:
    """Return functions of numbers in (-4, 4), and products; the first is so long that the threads of a CPU share it."""
    long, x = flat.reshape(4096, 32), flat[:1999] * 4
    positive = jnp.abs(x)
    functions = jnp.exp(x), jnp.expm1(x), jnp.tanh(x), jnp.log(positive), jnp.log1p(positive), x / (jnp.sqrt(positive) + 1)
    sums = jnp.vdot(flat[:4000], flat[:4000]), long[:50].sum(0)
    return long.T @ long, long[:100] @ long[0], *sums, jnp.concatenate(functions)
