"""A model that is a function of its own, differentiated by whatever the user likes to do it with."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.checks import Extents
from fnloop.core.formatting import short
from fnloop.core.parameters import Params, Slot
from fnloop.core.records import frozen
from fnloop.nn.layer import EVALUATION, Backward, Context

Apply = Callable[[Any, Any], Any]


@frozen
class Function:
    """A model from any initial vector and `value_and_grad`: its outputs are a function of the flat vector and the examples.

    The engines differentiate through it: by `value_and_grad`, such as HIPS autograd's, the NumPy engine; by JAX itself, where
    `apply` is written so that JAX can trace it, the JAX engine.

    Args:
        inputs: the shape of one example, (D,), or a number for it.
        initial: `initial(seed)` returns the initial parameters, (P,), and is pure.
        apply: `apply(vector, x)` returns the outputs for the examples x, (N, K).
        value_and_grad: takes a function of the vector and returns one that gives its value and its gradient, (P,).

    Examples:
        Function(4, lambda seed: np.zeros(4), lambda vector, x: (x @ vector)[:, None], autograd.value_and_grad)
    Raises: TypeError: for what is no function; ValueError: if `initial` or `apply` gives arrays of other shapes.
    """

    inputs: Extents
    initial: Callable[[int], Array]
    apply: Apply
    value_and_grad: Callable[[Callable[[Any], Any]], Callable[[Any], tuple[Any, Any]]]
    size: int = attrs.field(init=False, repr=False)
    shape: tuple[int, ...] = attrs.field(init=False, repr=False)

    buffers = ()

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

    @property
    def outputs(self) -> int:
        """The number of outputs for an example."""
        return self.shape[0]

    @property
    def layout(self) -> tuple[Slot, ...]:
        """One array, the vector."""
        return (Slot(0, self.size, (self.size,), 0),)

    def init(self, seed: int, dtype: str = "float32") -> Params:
        """The initial parameters, a pure function of the seed."""
        return Params(read_only(np.array(self.initial(seed), dtype)), self)

    def views(self, vector: Any) -> Any:
        """The vector itself, alone in a list."""
        return [vector]

    def unflatten(self, vector: Any) -> tuple[Any, ...]:
        """The vector itself, as the one layer's."""
        return ((vector,),)

    def check_values(self, x: Array) -> None:
        """Any values will do."""

    def forward(self, params: Any, x: Any, context: Context = EVALUATION) -> tuple[Any, Backward, tuple[Any, ...]]:
        """The outputs for x, and the function that takes their cotangent back and writes the gradient."""
        (vector,) = params

        def backward(dy: Any, grads: Any, wanted: bool) -> None:
            _, grads[0][...] = self.value_and_grad(lambda v: (self.apply(v, x) * dy).sum())(vector)

        return self.apply(vector, x), backward, ()

    def __call__(self, vector: Any, x: Any, buffers: tuple[Any, ...] = ()) -> Any:
        """The outputs for x."""
        return self.apply(vector, x)
