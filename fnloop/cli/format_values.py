"""Short text for a model, a metric and a number of bytes."""

from collections.abc import Mapping

from fnloop.core.display import short_call
from fnloop.nn import Activation, Layer, Model, Sequential

LONGEST = 100  # characters of a model


def format_model(model: Model) -> str:
    """Return the layers of a model in their order, and its number of parameters.

    Args:
        model: The model.
    """
    text = ", ".join(map(_format_layer, model.layers)) if isinstance(model, Sequential) else short_call(model)
    return f"{text if len(text) <= LONGEST else text[: LONGEST - 3] + '...'}; {model.size} parameters"


def _format_layer(layer: Layer) -> str:
    return layer.name if isinstance(layer, Activation) else short_call(layer, without=("init",))


def format_metric(name: str, value: float) -> str:
    """Return a metric's value: four decimals where they are significant, else four digits.

    Args:
        name: The name of the metric; `lr` is the learning rate.
        value: Its value.

    Examples:
        >>> format_metric("loss", 0.25), format_metric("loss", 2e-7), format_metric("lr", 0.001)
        ('0.2500', '2.000e-07', '0.001')
    """
    if name == "lr":
        return f"{value:.4g}"
    return f"{value:.4f}" if value == 0 or value != value or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return metrics on one line.

    Args:
        metrics: The values by name.

    Examples:
        >>> format_metrics({"loss": 0.25, "lr": 0.001})
        'loss 0.2500  lr 0.001'
    """
    return "  ".join(f"{name} {format_metric(name, value)}" for name, value in metrics.items())


def format_bytes(count: float) -> str:
    """Return a number of bytes with its unit.

    Args:
        count: The number of bytes.

    Examples:
        >>> format_bytes(999), format_bytes(1500), format_bytes(3_000_000)
        ('999 bytes', '1.5 kB', '3.0 MB')
    """
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
