"""A verdict on overfitting from the gap between validation and training loss."""

import math

HIGH, MODERATE, UNDERFITTING = 0.1, 0.05, -0.05  # lower bounds of the gap, in units of the scale


def verdict(gap: float, scale: float = 1.0) -> str:
    """Return a verdict on the gap `val_loss - loss`.

    Above 0.1 scales it is high overfitting, above 0.05 moderate overfitting, above -0.05 well balanced, otherwise possible
    underfitting.

    Args:
        gap: The validation loss minus the training loss.
        scale: The size of a typical loss: 1 (the default) for a cross-entropy, the loss of a constant prediction for a
            regression.

    Examples:
        >>> verdict(0.06), verdict(104.6, scale=5930.0)
        ('Moderate overfitting', 'Well balanced')
    """
    if not math.isfinite(gap):
        return "Not finite"
    if gap > HIGH * scale:
        return "High overfitting"
    if gap > MODERATE * scale:
        return "Moderate overfitting"
    return "Well balanced" if gap > UNDERFITTING * scale else "Possible underfitting"
