"""A hash of fixed computations on NumPy, which finds differences between environments that no version shows."""

import hashlib
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fnloop.core.arrays import Array
from fnloop.core.fixed_numbers import fixed_numbers

_FUNCTIONS = np.exp, np.expm1, np.tanh, np.cos
_FUNCTIONS_OF_POSITIVE = np.log, np.log1p, np.sqrt


def canary() -> str:
    """Return the SHA-256 of fixed computations in float32 and float64; any different bit changes it."""
    numbers, hashed = fixed_numbers(13_000), hashlib.sha256()
    with np.errstate(all="ignore"):
        for array in (numbers.astype(np.float32), numbers):
            for result in (*_products(array), *_elementwise(array), *_sums(array)):
                hashed.update(np.asarray(result).tobytes())
    hashed.update(repr(_scalars(numbers[:40].tolist())).encode())
    return hashed.hexdigest()


def _products(flat: Array) -> Iterator[npt.NDArray[np.floating]]:
    """Products of every kind that a BLAS has other code for, in shapes with full blocks and with remainders.

    Only the last is large enough for several BLAS threads, which have to wait for one another.
    """
    x, y = flat[:4800].reshape(48, 100), flat[1000:5800].reshape(100, 48)
    wide, long = flat[:11_900].reshape(17, 700), flat[3000:12_800].reshape(700, 14)
    yield from (x @ y, x.T @ x[:, :48], x @ x.T, x[:17, :7] @ y[:7, :13], x[:1] @ y)
    yield from (wide @ long, wide @ wide.T, x @ y[:, 0], y[:, 0] @ y, flat[:9000] @ flat[4000:])
    yield wide @ np.resize(flat, (700, 130))


def _elementwise(flat: Array) -> Iterator[Array]:
    """Functions of numbers in (-4, 4), of a count that leaves a remainder in the widest registers."""
    x = flat[:1999] * 4
    positive = np.abs(x)
    yield from (function(x) for function in _FUNCTIONS)
    yield from (function(positive) for function in _FUNCTIONS_OF_POSITIVE)
    yield from (positive**x, x / (positive + 1), x * np.finfo(x.dtype).tiny)  # the last are subnormal


def _sums(flat: Array) -> Iterator[npt.ArrayLike]:
    x = flat[:4800].reshape(48, 100)
    yield from (x.sum(0), x.sum(1), x.var(0), flat.sum(), flat.sum(dtype=np.float64))


def _scalars(numbers: list[float]) -> list[tuple[float, ...]]:
    """Functions of Python's numbers, with which schedules compute learning rates: those of the C library."""
    return [(math.exp(x), math.cos(x), math.log(abs(x)), math.tanh(x), abs(x) ** x) for x in numbers]
