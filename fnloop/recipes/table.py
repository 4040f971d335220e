"""The recipe for tables: a multilayer perceptron whose settings follow from the size and the kind of the data."""

from collections.abc import Sequence

from fnloop.core.checks import Task, choice, integer, optional, real, sequence_of
from fnloop.data.dataset import Dataset
from fnloop.data.names import unique_labels
from fnloop.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fnloop.nn import Activation, Dropout, Sequential, mlp
from fnloop.nn.layer import Layer
from fnloop.optimizers import AdamW
from fnloop.schedulers import CosineAnnealingLR
from fnloop.training.encoding import check_dataset
from fnloop.training.trainer import Trainer

WIDTH = 128
MANY_ROWS = 3000
ACTIVATION = "silu"
LABEL_SMOOTHING = 0.05
RATE = 0.01
SECOND_MOMENT = 0.95
SMALLEST_BATCH, LARGEST_BATCH, STEPS = 16, 256, 200
DECAY = 20.0
LARGEST_DECAY = 4.0


def tabular(
    train: Dataset,
    *,
    epochs: int = 100,
    task: Task | None = None,
    classes: int | None = None,
    hidden: Sequence[int] | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    weight_decay: float | None = None,
    seed: int = 0,
) -> Trainer:
    """Return a trainer for a table, whose settings follow from the size and the kind of the data.

    The features, and quantities to predict, should be of about unit scale, as `fl.Preprocessing` makes them. Train for
    `epochs` epochs, and take the best one by validation: `fl.fit(trainer, train, validation, epochs=100).best`.

        batch_size = 16, doubled up to 256 while an epoch has more than 200 steps
        weight_decay = min(4, 20 / steps of an epoch)

    Below the maximum, the decay over an epoch is thus the same for any number of steps. The network has two hidden layers of
    128 units with SiLU and a dropout of 0.2; from 3,000 training examples on it has three, and a dropout of 0.1. AdamW with
    b2 = 0.95 trains it, at a rate that falls from 0.01 to 0 along half a cosine. The loss of classes has a label smoothing of
    0.05.

    Args:
        train: The training data, x of shape (N, D).
        epochs: The number of epochs that the schedule is for. Default: `100`, that of `fl.fit`.
        task: `"classification"`, `"multilabel"` or `"regression"`. Default: None, by the targets: floats are quantities;
            integers, booleans and text are classes, or several labels if their shape is (N, K).
        classes: The number of classes. Default: None, that of the different targets. State it if a class has no rows.
        hidden: The widths of the hidden layers. Default: None, 128 each, by the rule.
        lr: The initial learning rate. Default: None, 0.01.
        batch_size: The number of examples in a batch. Default: None, by the rule.
        weight_decay: The decoupled weight decay. Default: None, by the rule.
        seed: The seed of the trainer. Default: `0`.

    Raises:
        TypeError: If an argument is not of its type.
        ValueError: If an argument is not allowed, or the targets do not fit the task.

    Examples:
        >>> import fnloop as fl
        >>> data = fl.datasets.iris()
        >>> trainer = tabular(data.train)
        >>> trainer.batch_size, trainer.loss.label_smoothing
        (16, 0.05)
        >>> fl.fit(trainer, data.train, data.validation, progress=False).evaluate(data.test)["accuracy"] > 0.9
        True

    Source: the form of the rules follows Loshchilov & Hutter 2019, Decoupled weight decay regularization, appendix B.1, and
    Holzmüller et al. 2024, Better by default; the numbers are tuned on the tables of `benchmarks/tabular_tables.py`.

    See Also:
        `fl.Preprocessing`, `fl.split_table`, `fl.sklearn.LoopClassifier`
    """
    rows, features = _check_features(train)
    loss, outputs = _objective(train, task, classes)
    size = choose_batch_size(rows) if batch_size is None else integer(1)("batch_size", batch_size)
    return Trainer(
        model=network(rows, features, outputs, hidden if hidden is None else sequence_of(integer(1))("hidden", hidden)),
        loss=loss,
        optimizer=AdamW(b2=SECOND_MOMENT, weight_decay=choose_decay(rows, size) if weight_decay is None else weight_decay),
        scheduler=CosineAnnealingLR(RATE if lr is None else real("(0, inf)")("lr", lr), integer(1)("epochs", epochs)),
        batch_size=size,
        seed=seed,
    )


def network(rows: int, features: int, outputs: int, hidden: Sequence[int] | None = None) -> Sequential:
    """Return the network of the recipe: an MLP with dropout after each activation.

    It has two hidden layers and a dropout of 0.2; from 3,000 examples on three, and 0.1.

    Args:
        rows: The number of training examples.
        features: The number of features.
        outputs: The number of outputs.
        hidden: The widths of the hidden layers. Default: None, 128 each.
    """
    depth, rate = (2, 0.2) if rows < MANY_ROWS else (3, 0.1)
    layers: list[Layer] = []
    for layer in mlp([features, *((WIDTH,) * depth if hidden is None else hidden), outputs], ACTIVATION).layers:
        layers += [layer, Dropout(rate)] if isinstance(layer, Activation) else [layer]
    return Sequential(features, tuple(layers))


def choose_batch_size(rows: int) -> int:
    """Return the batch size: 16, doubled up to 256 while an epoch has more than 200 steps.

    Args:
        rows: The number of training examples.
    """
    size = SMALLEST_BATCH
    while size < LARGEST_BATCH and rows > STEPS * size:
        size *= 2
    return size


def choose_decay(rows: int, batch_size: int) -> float:
    """Return the weight decay: 20 by the number of steps of an epoch, at most 4.

    Args:
        rows: The number of training examples.
        batch_size: The number of examples in a batch.
    """
    return min(LARGEST_DECAY, DECAY / -(-rows // batch_size))


def _check_features(train: Dataset) -> tuple[int, int]:
    shape = check_dataset(train, "train").x.shape
    if len(shape) != 2:
        raise ValueError(f"train: x must be of shape (N, D), a table, got {shape}")
    return shape


def _objective(train: Dataset, task: Task | None, classes: int | None) -> tuple[Loss, int]:
    """Return the loss and the number of outputs."""
    y = train.y
    task = optional(choice("classification", "multilabel", "regression"))("task", task) or _guess(train)
    if task == "regression":
        return MeanSquaredError(), y.shape[1] if y.ndim == 2 else 1
    if task == "multilabel":
        if y.ndim != 2:
            raise ValueError(f"train: y must be of shape (N, K) for task='multilabel', got {y.shape}")
        return BinaryCrossEntropy(label_smoothing=LABEL_SMOOTHING), y.shape[1]
    count = _count_classes(train) if classes is None else integer(2)("classes", classes)
    if count == 2:
        return BinaryCrossEntropy(label_smoothing=LABEL_SMOOTHING), 1
    return SoftmaxCrossEntropy(label_smoothing=LABEL_SMOOTHING), count


def _guess(train: Dataset) -> Task:
    if train.classes or train.y.dtype.kind == "U":
        return "classification"
    if train.y.dtype.kind == "f":
        return "regression"
    return "multilabel" if train.y.shape[1:] not in ((), (1,)) else "classification"


def _count_classes(train: Dataset) -> int:
    count = len(train.classes or unique_labels(train.y))
    if count < 2:
        raise ValueError(f"train: y must have at least 2 classes, got {count}; classes=2 states their number")
    return count
