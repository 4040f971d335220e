"""The contract of a model, and the record of its parameters."""

from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

import attrs

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.display import html_table, one_line, pluralize, shape_and_dtype
from fnloop.core.encoding import BY_REFERENCE
from fnloop.core.parameters import Slot
from fnloop.core.records import frozen
from fnloop.nn.layer import EVALUATION, Context, Forward


@runtime_checkable
class Model(Protocol):
    """The contract of what a trainer trains: a frozen record whose parameters are one flat vector, which is passed to it.

    `Sequential` and `Function` fulfil it. A custom model is a frozen record that subclasses this protocol. The members with
    defaults are those of a model without buffers, whose parameters are one array.

    Shapes:
        A batch is (N, *`inputs`), the outputs are (N, *`shape`), the vector is (`size`,).

    Examples:
        >>> import numpy as np
        >>> import fnloop as fl
        >>> @fl.frozen
        ... class Linear(fl.nn.Model):
        ...     size: int
        ...     shape = (1,)
        ...
        ...     @property
        ...     def inputs(self):
        ...         return (self.size,)
        ...
        ...     def init(self, seed, dtype="float32"):
        ...         return fl.nn.Params(np.zeros(self.size, dtype), self)
        ...
        ...     def forward(self, params, x, context=fl.nn.Context()):
        ...         def backward(dy, grads, need_dx):
        ...             grads[0][...] = x.T @ dy[:, 0]
        ...
        ...         return (x @ params[0])[:, None], backward, ()
        >>> fl.Trainer(model=Linear(3), loss="mse")
        Trainer(model=Linear(3 -> 1, 3 parameters), loss=MeanSquaredError(), optimizer=Adam(), scheduler=ConstantLR(0.001))
    """

    __slots__ = ()

    @property
    @abstractmethod
    def inputs(self) -> tuple[int, ...]:
        """The shape of an example."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of the outputs for an example."""

    @property
    def outputs(self) -> int:
        """The number of outputs for an example, K, if `shape` is (K,). Default: the first extent of `shape`."""
        return self.shape[0]

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of parameters, P."""

    @property
    def layout(self) -> tuple[Slot, ...]:
        """The place of each array of parameters in the flat vector. Default: one slot, the whole vector."""
        return (Slot(0, self.size, (self.size,)),)

    @property
    def buffers(self) -> tuple[Array, ...]:
        """The initial buffers, float64. Default: `()`, no buffers."""
        return ()

    @property
    def random(self) -> bool:
        """Whether `forward` may draw random numbers. Default: `True`."""
        return True

    @abstractmethod
    def init(self, seed: int, dtype: str = "float32") -> "Params":
        """Return the initial parameters, a pure function of the seed.

        Args:
            seed: The seed, in [0, 2^64).
            dtype: `"float32"` (the default) or `"float64"`.
        """

    def views(self, vector: AnyArray) -> Any:
        """Return the parameters as `forward` takes them: views into the vector. Default: one for each slot of `layout`.

        Args:
            vector: The parameters, (P,), or a gradient of that shape.
        """
        return [slot.view(vector) for slot in self.layout]

    def unflatten(self, vector: AnyArray) -> tuple[Any, ...]:
        """Return a record of views into the vector for each layer that has parameters. Default: one layer, the `views`.

        Args:
            vector: The parameters, (P,), or a gradient of that shape.
        """
        return (tuple(self.views(vector)),)

    def check_values(self, x: Array) -> None:
        """Check the values of a data set before training. Default: any values are allowed.

        Args:
            x: The examples.

        Raises:
            ValueError: If a value is not allowed.
        """
        return

    @abstractmethod
    def forward(self, params: Any, x: AnyArray, context: Context = EVALUATION) -> Forward:
        """Return the outputs for x, the backward function, and the new buffers, as a layer's `forward` does.

        Args:
            params: The `views` of the parameters; the backward function takes those of the gradient.
            x: The examples.
            context: Buffers, random numbers, and whether this is training. Default: no buffers, outside training.
        """

    def __call__(self, vector: AnyArray, x: AnyArray, buffers: tuple[AnyArray, ...] = ()) -> AnyArray:
        """Return the outputs for x, computed as outside training. Default: those of `forward`."""
        return self.forward(self.views(vector), x, Context(buffers))[0]


@frozen
class Params:
    """The parameters of a model: the flat vector, and the model that gives it meaning.

    Args:
        vector: (P,), contiguous and read-only.
        model: The model, which divides the vector into the parameters of its layers.
    """

    vector: Array
    model: Model = attrs.field(metadata=BY_REFERENCE)

    @property
    def layers(self) -> tuple[Any, ...]:
        """A record of views into the vector for each layer that has parameters, such as `DenseParams(weights, biases)`."""
        return self.model.unflatten(self.vector)

    def __repr__(self) -> str:
        return one_line("Params", {"vector": shape_and_dtype(self.vector)}, pluralize(len(self._shapes()), "layer"))

    def _repr_html_(self) -> str:
        return html_table("Params", {"vector": shape_and_dtype(self.vector), **self._shapes()})

    def _shapes(self) -> dict[str, str]:
        """Return the shapes of each layer's arrays, as text."""
        shapes: dict[str, str] = {}
        for slot in self.model.layout:
            name = f"layers[{slot.layer}]"
            shapes[name] = f"{shapes[name]}, {slot.shape}" if name in shapes else f"{slot.shape}"
        return shapes
