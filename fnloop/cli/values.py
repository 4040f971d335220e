"""Values as a person would write them: short, and without what goes without saying."""

from collections.abc import Mapping
from typing import Any

from fnloop.core.display import short_call
from fnloop.nn import Activation

LONGEST = 100  # characters of a model


def brief_model(model: Any) -> str:
    """The layers one after the other, and the number of parameters."""
    layers = getattr(model, "layers", None)
    text = short_call(model) if layers is None else ", ".join(map(_brief_layer, layers))
    return f"{text if len(text) <= LONGEST else text[: LONGEST - 3] + '...'}; {model.size} parameters"


def _brief_layer(layer: Any) -> str:
    return layer.name if isinstance(layer, Activation) else short_call(layer, without=("init",))


def number(value: float) -> str:
    """A metric's value: four decimals where they say something, else four digits."""
    return f"{value:.4f}" if value == 0 or value != value or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def values(metrics: Mapping[str, float]) -> str:
    """Metrics side by side."""
    return "  ".join(f"{name} {value:.4g}" if name == "lr" else f"{name} {number(value)}" for name, value in metrics.items())


def size_of(count: float) -> str:
    """A number of bytes, with its unit."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
