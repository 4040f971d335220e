"""Losses and activations in decimal arithmetic with 45 digits, without a smallest or largest number.

Each reference is written so that it keeps its relative precision: log1p, expm1 and sums of positive terms in place of
differences.
"""

import decimal
from decimal import Decimal

from fnloop import losses

EXACT = decimal.Context(prec=45, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])
ROOT = Decimal("0.7978845608028653558798921198687637369517")  # sqrt(2 / pi)
CUBE = Decimal("0.044715")
HUNDREDTH = Decimal("0.01")


def log1p(x):
    """log(1 + x) for x >= 0; by its series where 1 + x would lose digits."""
    return x - x * x / 2 + x**3 / 3 if x < Decimal("1e-20") else (1 + x).ln()


def expm1(x):
    """exp(x) - 1, likewise."""
    return x + x * x / 2 + x**3 / 6 if abs(x) < Decimal("1e-20") else x.exp() - 1


def logistic(x):
    return 1 / (1 + (-x).exp()) if x >= 0 else x.exp() / (1 + x.exp())


def bump(x):
    """The derivative of the logistic function."""
    return logistic(x) * logistic(-x)


def tanh(x):
    size = expm1(-2 * abs(x))
    return (-size / (2 + size)).copy_sign(x)


def log_cosh(x):
    size = abs(x)
    if size < Decimal("1e-15"):
        return size * size / 2
    return size + log1p((-2 * size).exp()) - Decimal(2).ln() if size > 1 else ((size.exp() + (-size).exp()) / 2).ln()


def inner(x):
    """Return the argument of the logistic function in gelu."""
    return 2 * ROOT * (x + CUBE * x**3)


def gelu_slope(x):
    return logistic(inner(x)) + x * 2 * ROOT * (1 + 3 * CUBE * x * x) * bump(inner(x))


ACTIVATIONS = {  # each function of one number, and its derivative
    "identity": (lambda x: x, lambda x: Decimal(1)),
    "relu": (lambda x: max(x, Decimal(0)), lambda x: Decimal(int(x > 0))),
    "leaky_relu": (lambda x: x if x > 0 else x * HUNDREDTH, lambda x: Decimal(1) if x > 0 else HUNDREDTH),
    "elu": (lambda x: x if x > 0 else expm1(x), lambda x: min(x, Decimal(0)).exp()),
    "gelu": (lambda x: x * logistic(inner(x)), gelu_slope),
    "silu": (lambda x: x * logistic(x), lambda x: logistic(x) + x * bump(x)),
    "tanh": (tanh, lambda x: 4 * bump(2 * x)),
    "sigmoid": (logistic, bump),
    "softplus": (lambda x: max(x, Decimal(0)) + log1p((-abs(x)).exp()), logistic),
}


def softmax(z):
    """The probabilities."""
    highest = max(z)
    exp = [(value - highest).exp() for value in z]
    return [value / sum(exp) for value in exp]


def others(values, k):
    """The sum of all but the k-th."""
    return sum(value for i, value in enumerate(values) if i != k)


def surprise(z, k):
    """-log p_k."""
    over = max(0, *(value - z[k] for value in z))
    rest = others([(value - z[k] - over).exp() for value in z], k)
    return over + (rest + (-over).exp()).ln() if over else log1p(rest)


def gradient(z, share):
    """p_k sum_j c_j - c_k."""
    p = softmax(z)
    return [p[k] * others(share, k) - share[k] * others(p, k) for k in range(len(z))]


def cross_entropy(loss, z, y):
    smoothing, weights = Decimal(loss.label_smoothing), loss.class_weights or [1] * len(z)
    share = [Decimal(w) * (t * (1 - smoothing) + smoothing / len(z)) for w, t in zip(weights, y, strict=True)]
    return sum(c * surprise(z, k) for k, c in enumerate(share)), gradient(z, share)


def focal(loss, z, y):
    gamma, p = Decimal(loss.gamma), softmax(z)
    total, share = Decimal(0), []
    for k, (w, t) in enumerate(zip(loss.class_weights or [1] * len(z), y, strict=True)):
        q = others(p, k)
        power = q**gamma if gamma and q else Decimal(int(not gamma))
        total += Decimal(w) * t * power * surprise(z, k)
        share.append(Decimal(w) * t * power * (1 + (gamma * p[k] * surprise(z, k) / q if q else 0)))
    return total, gradient(z, share)


def kl_divergence(loss, z, y):
    return sum(t * (t.ln() + surprise(z, k)) for k, t in enumerate(y) if t), gradient(z, y)


def hinge(loss, z, y):
    right = y.index(1)
    rivals = [-decimal.Decimal("Infinity") if k == right else value for k, value in enumerate(z)]
    rival = rivals.index(max(rivals))
    margin = 1 + (z[rival] - z[right])
    return max(margin, Decimal(0)), [Decimal((margin > 0) * ((k == rival) - (k == right))) for k in range(len(z))]


def huber(loss, e):
    delta = Decimal(loss.delta)
    return (e * e / 2 if abs(e) <= delta else delta * (abs(e) - delta / 2)), min(max(e, -delta), delta)


# Of outputs and targets as rows of probabilities; or of the error, for regression. Each gives the loss and its gradient.
CLASSIFICATION = {
    losses.BinaryCrossEntropy: cross_entropy,
    losses.SoftmaxCrossEntropy: cross_entropy,
    losses.Focal: focal,
    losses.KLDivergence: kl_divergence,
    losses.Hinge: hinge,
}
REGRESSION = {
    losses.MeanSquaredError: lambda loss, e: (e * e, 2 * e),
    losses.MeanAbsoluteError: lambda loss, e: (abs(e), Decimal((e > 0) - (e < 0))),
    losses.Huber: huber,
    losses.LogCosh: lambda loss, e: (log_cosh(e), tanh(e)),
}
