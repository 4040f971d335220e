"""Losses by the names that the field has for them."""

from collections.abc import Callable
from typing import Any

from fnloop.core.formatting import short
from fnloop.core.lookup import by_name
from fnloop.core.signatures import call_hint
from fnloop.losses.binary_cross_entropy import BinaryCrossEntropy
from fnloop.losses.focal import Focal
from fnloop.losses.from_function import FromFunction
from fnloop.losses.hinge import Hinge
from fnloop.losses.huber import Huber
from fnloop.losses.kl_divergence import KLDivergence
from fnloop.losses.log_cosh import LogCosh
from fnloop.losses.loss import Loss
from fnloop.losses.mean_absolute_error import MeanAbsoluteError
from fnloop.losses.mean_squared_error import MeanSquaredError
from fnloop.losses.pinball import Pinball
from fnloop.losses.softmax_cross_entropy import SoftmaxCrossEntropy

LOSSES: dict[str, Loss] = {
    name: loss
    for loss, names in (
        (MeanSquaredError(), "mse mean_squared_error squared_error l2"),
        (MeanAbsoluteError(), "mae mean_absolute_error absolute_error l1"),
        (Huber(), "huber"),
        (LogCosh(), "log_cosh"),
        (BinaryCrossEntropy(), "bce binary_cross_entropy bce_with_logits"),
        (SoftmaxCrossEntropy(), "cross_entropy softmax_cross_entropy categorical_cross_entropy"),
        (SoftmaxCrossEntropy(), "sparse_categorical_cross_entropy ce"),  # labels may be given in any form
        (Focal(), "focal"),
        (Hinge(), "hinge"),
        (KLDivergence(), "kl_divergence kl kl_div"),
        (Pinball(), "pinball quantile"),
    )
    for name in names.split()
}
_NEEDED = "forward", "check", "check_outputs", "predict"


def get_loss(loss: str | Loss | Callable[[Any, Any], Any]) -> Loss:
    """The loss of that name, whatever its case, with its defaults; a loss as it is; of a function, the loss that it gives.

    Examples:
        >>> get_loss("mse")
        MeanSquaredError()
        >>> get_loss("Binary_CrossEntropy")
        BinaryCrossEntropy(label_smoothing=0.0, class_weights=None)

    Raises: ValueError: for an unknown name, with those that there are; TypeError: for what is no loss.
    """
    if isinstance(loss, str):
        return by_name("loss", loss, LOSSES)
    found: Any = loss
    if not isinstance(loss, type) and all(hasattr(loss, method) for method in _NEEDED):
        return found  # type: ignore[no-any-return]
    if not callable(loss) or call_hint(loss) or isinstance(loss, type) or hasattr(loss, "forward"):
        raise TypeError(
            f"loss must be a name, such as 'mse', a loss, such as fl.losses.Huber(delta=2.0), or a function of "
            f"(outputs, targets) that returns one value an example, got {short(loss)}{call_hint(loss)}"
        )
    return FromFunction(loss)
