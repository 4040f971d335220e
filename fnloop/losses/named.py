"""Losses by their common names."""

from fnloop.core.checks import instance_of
from fnloop.core.lookup import by_name
from fnloop.core.signatures import call_hint
from fnloop.losses.binary_cross_entropy import BinaryCrossEntropy
from fnloop.losses.focal import Focal
from fnloop.losses.from_function import FromFunction, PerExample
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
_check_loss = instance_of(
    Loss,
    "a name, such as 'mse', a loss, such as fl.losses.Huber(delta=2.0), or a function of (outputs, targets) that returns one "
    "value for each example",
)


def get_loss(loss: str | Loss | PerExample) -> Loss:
    """Return the loss with this name.

    Args:
        loss: A name, in any case, for a loss with its default parameters; a loss, which is returned unchanged; or a function
            of (outputs, targets) that returns one value for each example, which becomes a `FromFunction`.

    Raises:
        TypeError: If it is none of these, such as a class or an object that lacks members of `Loss`.
        ValueError: If the name is unknown.

    Examples:
        >>> get_loss("mse")
        MeanSquaredError()
        >>> get_loss("Binary_CrossEntropy")
        BinaryCrossEntropy(label_smoothing=0.0, class_weights=None)
    """
    if isinstance(loss, str):
        return by_name("loss", loss, LOSSES)
    is_function = callable(loss) and not hasattr(loss, "forward") and not call_hint(loss)
    return FromFunction(loss) if is_function else _check_loss("loss", loss)  # type: ignore[arg-type]
