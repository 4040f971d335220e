"""The pinball loss, whose minimum is a quantile."""

from typing import Annotated, Any

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Task, real, sequence_of
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
    """Check one quantile or several; a single one becomes a number."""
    if not hasattr(value, "__iter__"):
        return _quantile(name, value)  # type: ignore[no-any-return]
    values: tuple[float, ...] = _quantiles(name, value)
    if not values:
        raise ValueError(f"{name} must be a number in (0, 1) or several, got {short(value)}")
    return values if len(values) > 1 else values[0]


@frozen
class Pinball(Regression):
    """The quantile loss: a prediction below the target costs q per unit, one above it 1 - q per unit.

        loss = mean_k max(q (y_k - f_k), (q - 1) (y_k - f_k))        df = (1 - q where f > y, -q where f < y, else 0) / (N K)

    The constant prediction with the smallest loss is the q-quantile of the targets; q = 0.5 gives half the absolute error. For
    several quantiles the model has one output each, all for the same target. Their order is not enforced: predicted quantiles
    may cross where examples are few.

    Args:
        quantile: q in (0, 1), or several of them. Default: 0.5.

    Shapes:
        outputs: (N, K), the predictions f; for K quantiles one column each.
        targets: (N, K), or (N,) for K = 1; for several quantiles (N,) or (N, 1). The values y.

    Raises:
        TypeError: If a quantile is not a number.
        ValueError: If a quantile is not in (0, 1). A trainer raises it if the number of quantiles does not fit the model.

    Source: Koenker & Bassett 1978; scikit-learn's `mean_pinball_loss`.
    """

    quantile: Annotated[Any, _one_or_several] = 0.5

    stacks = True

    @property
    def metrics(self) -> tuple[str, ...]:  # type: ignore[override]
        """The default metrics: none for several quantiles, whose outputs share one target."""
        return () if isinstance(self.quantile, tuple) else ("mae",)

    def task(self, outputs: int) -> Task | None:
        """Return regression for one quantile, quantiles for several."""
        return "quantiles" if isinstance(self.quantile, tuple) else "regression"

    def check_outputs(self, outputs: int) -> None:
        """Check that there is an output for each quantile."""
        if isinstance(self.quantile, tuple) and len(self.quantile) != outputs:
            raise ValueError(f"Pinball({short(self.quantile)}) needs a model with {len(self.quantile)} outputs, got {outputs}")

    def check_targets(self, targets: Array, outputs: int) -> None:
        """Check the shape of the targets."""
        check_shape(targets, columns=1 if isinstance(self.quantile, tuple) else outputs)

    def forward(self, outputs: AnyArray, targets: AnyArray) -> tuple[AnyArray, Backward]:
        """Return the loss of each example, (N,), and the backward function."""
        if isinstance(self.quantile, tuple):
            targets = namespace(outputs).broadcast_to(targets.reshape(*outputs.shape[:-1], 1), outputs.shape)
        return Regression.forward(self, outputs, targets)

    def rho(self, error: AnyArray) -> tuple[AnyArray, Slope]:
        """Return the pinball function of the error, and its slope."""
        sign = namespace(error).sign(error)
        q = constant_array(self.quantile, error.dtype) if isinstance(self.quantile, tuple) else self.quantile
        slope = ((sign > 0).astype(error.dtype) - q) * (sign * sign)
        return error * slope, lambda scale: slope * scale
