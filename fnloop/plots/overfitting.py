"""What the gap between validation and training says."""

import math


def verdict(gap: float, scale: float = 1.0) -> str:
    """What the gap `val_loss - loss` says: above 0.1, above 0.05, above -0.05 times the scale, or not above any of them.

    Args:
        scale: What the loss is measured by: 1 for a cross-entropy, and the loss of a constant prediction where it has units.

    Examples:
        >>> verdict(0.06), verdict(104.6, scale=5930.0)
        ('Moderate overfitting', 'Well balanced')
    """
    if not math.isfinite(gap):
        return "Not finite"
    if gap > 0.1 * scale:
        return "High overfitting"
    if gap > 0.05 * scale:
        return "Moderate overfitting"
    return "Well balanced" if gap > -0.05 * scale else "Possible underfitting"
