"""The pinball loss, whose minimum is a quantile."""

from typing import Annotated, Any

from fnloop.core.arrays import Array
from fnloop.core.checks import real, sequence_of
from fnloop.core.constants import constant_array
from fnloop.core.formatting import short
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.losses.classes import check_shape
from fnloop.losses.loss import Backward
from fnloop.losses.regression import Regression, Slope

_quantile = real("(0, 1)")
_quantiles = sequence_of(_quantile)


def _one_or_several(name: str, value: Any) -> float | tuple[float, ...]:
    """A quantile, or a tuple of at least two."""
    if not hasattr(value, "__iter__"):
        return _quantile(name, value)  # type: ignore[no-any-return]
    values: tuple[float, ...] = _quantiles(name, value)
    if not values:
        raise ValueError(f"{name} must be a number in (0, 1) or several, got {short(value)}")
    return values if len(values) > 1 else values[0]


@frozen
class Pinball(Regression):
    """The quantile loss: an error costs q a unit below the target and 1 - q a unit above it.

        loss = mean_k max(q (y_k - f_k), (q - 1) (y_k - f_k))        df = (1 - q where f > y, -q where f < y, else 0) / (N K)

    The constant that minimises it is the q-quantile of the targets; q = 0.5 gives half the absolute error. With several
    quantiles the model has one output for each, all for the same target. Nothing keeps them in order: where there are few
    examples, predicted quantiles may cross.

    Args:
        quantile: q in (0, 1), or several of them; unitless.
    Shapes: with one quantile `outputs` f are (N, K) and `targets` y are (N, K), or (N,) for K = 1; with K quantiles `outputs`
        are (N, K) and `targets` are (N,) or (N, 1).
    Raises: TypeError, ValueError: if a quantile is not a number in (0, 1); for another number of quantiles than outputs, where
        loss and model meet.
    Source: Koenker & Bassett 1978. It is scikit-learn's `mean_pinball_loss`, and the quantile loss of other libraries.
    """

    quantile: Annotated[Any, _one_or_several] = 0.5

    @property
    def metrics(self) -> tuple[str, ...]:  # type: ignore[override]
        """What is measured by default: nothing for several quantiles, where each output would need a target of its own."""
        return () if isinstance(self.quantile, tuple) else ("mae",)

    def task(self, outputs: int) -> str:
        return "quantiles" if isinstance(self.quantile, tuple) else "regression"

    def check_outputs(self, outputs: int) -> None:
        if isinstance(self.quantile, tuple) and len(self.quantile) != outputs:
            raise ValueError(f"Pinball({short(self.quantile)}) needs a model with {len(self.quantile)} outputs, got {outputs}")

    def check(self, targets: Array, outputs: int) -> None:
        check_shape(targets, columns=1 if isinstance(self.quantile, tuple) else outputs)

    def forward(self, outputs: Any, targets: Any) -> tuple[Any, Backward]:
        if isinstance(self.quantile, tuple):
            targets = namespace(outputs).broadcast_to(targets.reshape(-1, 1), outputs.shape)
        return Regression.forward(self, outputs, targets)

    def rho(self, error: Any) -> tuple[Any, Slope]:
        sign = namespace(error).sign(error)
        q = constant_array(self.quantile, error.dtype) if isinstance(self.quantile, tuple) else self.quantile
        slope = ((sign > 0).astype(error.dtype) - q) * (sign * sign)
        return error * slope, lambda scale: slope * scale
