"""A model from a function of the flat parameter vector, with any automatic differentiation."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from fnloop.core.arrays import AnyArray, Array, read_only
from fnloop.core.checks import Extents
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.nn.layer import EVALUATION, Context, Forward
from fnloop.nn.model import Model, Params


@frozen
class Function(Model):
    """A model whose outputs are any differentiable function of the flat vector and the examples.

    The NumPy engine differentiates it with `value_and_grad`, such as that of HIPS autograd. The JAX engine uses JAX, which
    must be able to trace `apply`.

    Args:
        inputs: The shape of an example; a number D means (D,).
        initial: A pure function: `initial(seed)` returns the initial parameters.
        apply: A pure function: `apply(vector, x)` returns the outputs for the examples x.
        value_and_grad: Takes a function of the vector, and returns a function from the vector to its value and gradient.

    Shapes:
        `x` is (N, *`inputs`), the outputs are (N, K), the vector and its gradient are (P,).

    Raises:
        TypeError: If an argument is not a function.
        ValueError: If `initial` or `apply` returns an array of another shape.

    Examples:
        >>> import autograd
        >>> Function(4, lambda seed: np.zeros(4), lambda vector, x: (x @ vector)[:, None], autograd.value_and_grad).size
        4
    """

    inputs: Extents
    initial: Callable[[int], Array]
    apply: Callable[[AnyArray, AnyArray], AnyArray]
    value_and_grad: Callable[[Callable[[AnyArray], AnyArray]], Callable[[AnyArray], tuple[AnyArray, AnyArray]]]
    size: int = attrs.field(init=False, repr=False)
    shape: tuple[int, ...] = attrs.field(init=False, repr=False)

    random = False

    def __attrs_post_init__(self) -> None:
        for name in ("initial", "apply", "value_and_grad"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name} must be a function, got {short(getattr(self, name))}")
        vector = np.asarray(self.initial(0))
        if vector.ndim != 1:
            raise ValueError(f"initial must return a vector, (P,), got shape {vector.shape}")
        outputs = self.apply(vector, np.zeros((2, *self.inputs), vector.dtype))
        if np.ndim(outputs) != 2 or len(outputs) != 2:
            raise ValueError(f"apply must return outputs of shape (N, K), got {np.shape(outputs)} for 2 examples")
        object.__setattr__(self, "size", vector.size)
        object.__setattr__(self, "shape", tuple(outputs.shape[1:]))

    def init(self, seed: int, dtype: str = "float32") -> Params:
        """Return the initial parameters, a pure function of the seed.

        Args:
            seed: The seed, in [0, 2^64).
            dtype: `"float32"` (the default) or `"float64"`.
        """
        return Params(read_only(np.array(self.initial(seed), dtype)), self)

    def forward(self, params: Any, x: AnyArray, context: Context = EVALUATION) -> Forward:
        """Return the outputs for x, the backward function, and no buffers.

        Args:
            params: The `views` of the parameters; the backward function takes those of the gradient.
            x: The examples.
            context: Not used.
        """
        (vector,) = params

        def backward(dy: AnyArray, grads: Any, need_dx: bool) -> None:
            _, grads[0][...] = self.value_and_grad(lambda v: (self.apply(v, x) * dy).sum())(vector)

        return self.apply(vector, x), backward, ()
