"""The trainer: a frozen value that defines a run, except for its data."""

from dataclasses import KW_ONLY
from typing import Annotated, Any, Literal

import attrs
import numpy as np

from fnloop.core.changes import with_changes
from fnloop.core.checks import Converted, Mode, PositiveInt, Seed, choice, integer, metric_name, optional
from fnloop.core.digest import same_bits
from fnloop.core.display import html_table, non_default_fields, one_line, pluralize, short_call
from fnloop.core.fields import field_names
from fnloop.core.formatting import listed, short
from fnloop.core.protocols import fulfils
from fnloop.core.records import evolve, frozen
from fnloop.data.dataset import Dataset
from fnloop.losses import Loss
from fnloop.metrics import Metric, PerExample, WholeMetric, check_mode, get_metric, known_mode, look_up, mode_of
from fnloop.metrics.named import AnyMetric, MetricLike
from fnloop.nn import Model
from fnloop.optimizers import Adam, Elementwise
from fnloop.schedulers import ConstantLR, Scheduler
from fnloop.schedulers.scheduler import MonitorsMetric, monitored_metrics, walk_schedulers
from fnloop.training import parts
from fnloop.training.consistency import check_layers, check_metrics, with_modes
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.encoding import check_dataset, encode, find_names
from fnloop.training.state import TrainState

MAX_THREADS = 1024  # the highest allowed value of `threads`; a BLAS may use fewer
MAX_PARAMETERS_OF_ONE_THREAD = 100_000  # up to here two BLAS threads are no faster than one; see benchmarks/README.md

_EPOCHS = "the number of epochs is an argument of fl.fit(trainer, train, validation, epochs=100)"
_RATE = "the scheduler sets the learning rate: scheduler=1e-3, or a schedule such as fl.schedulers.StepLR(0.1, 30)"
HINTS = {  # for arguments that other libraries have
    **dict.fromkeys(("lr", "learning_rate", "initial_lr"), _RATE),
    **dict.fromkeys(("epochs", "max_epochs", "n_epochs", "num_epochs"), _EPOCHS),
    "callbacks": "a callback is a function of the stream of states, such as fl.tap(function)",
    "validation_data": "the data are arguments of fl.fit(trainer, train, validation)",
}


@frozen
class Trainer:
    """Everything that defines a run besides its data: the model, the loss, and how the loss is minimised.

    A trainer is a frozen value; `replace` returns a trainer with other fields. All arguments are given by name.

    Args:
        model: The model: `fl.mlp([10, 16, 1])`, layers in a `fl.nn.Sequential`, or a `fl.nn.Function`.
        loss: The loss to minimise: one of `fl.losses`, its name, such as `"mse"`, `"bce"` or `"cross_entropy"`, or a function
            of (outputs, targets) that returns one value for each example.
        optimizer: One of `fl.optimizers`, or its name, such as `"sgd"`. Default: `Adam()`.
        scheduler: The learning rate: one of `fl.schedulers`, or a number for a constant one. Default: `ConstantLR(0.001)`.
        early_stopping: A `fl.EarlyStopping`, or None to train until the caller stops. Default: `None`.
        batch_size: The number of examples in a batch; the last batch of an epoch may be smaller. Default: `32`.
        seed: The seed of the initial weights, the order of the examples and dropout, in [0, 2^64). Default: `0`.
        metrics: One or several metrics, measured besides the loss: names, metrics such as `fl.metrics.TopKAccuracy(3)`,
            functions of `sklearn.metrics`, or functions of (outputs, targets) that return one value for each example. Metrics
            of all examples at once, such as `"roc_auc"` and those of scikit-learn, are measured only on validation data and by
            `evaluate`. Default: `loss.metrics`, which suit the loss.
        schedule_every: Whether the scheduler steps once an `"epoch"` or once a `"step"`, an update of the parameters. Default:
            `"epoch"`.
        accumulate: The number of batches whose gradients are averaged for one update, as if they were one batch. Default: `1`.
        non_finite: What happens if the loss, the gradient or the parameters are no longer finite: `"stop"` with the last
            finite state, `"skip"` the update, or `"raise"` a `NonFiniteError`. Default: `"stop"`.
        dtype: The dtype of the parameters and of all computation, `"float32"` or `"float64"`. Default: `"float32"`.
        threads: The number of BLAS threads of the NumPy engine, in [1, 1024]; the last bits of a matrix product depend on it.
            The setting of the process is restored after each computation. Default: `None`, which is 1 for a model of up to
            100,000 parameters, where a second thread gains nothing, else 2.

    Raises:
        TypeError: If a field is not of its type; the message says what is allowed.
        ValueError: If a value is not allowed, a name is unknown, or two fields do not fit together.

    Examples:
        >>> from fnloop.nn import mlp
        >>> Trainer(model=mlp([10, 1]), loss="mse", optimizer="sgd", scheduler=0.1)
        Trainer(model=Sequential(10 -> 1, 11 parameters), loss=MeanSquaredError(), optimizer=SGD(), scheduler=ConstantLR(0.1))

    See Also:
        `fl.fit`: Train in one call.
        `fl.epochs`: The stream of states, one for each epoch.
    """

    _: KW_ONLY
    model: Annotated[Model, parts.model]
    loss: Annotated[Converted[Loss, str | PerExample], parts.loss]
    optimizer: Annotated[Converted[Elementwise, str], parts.optimizer] = attrs.field(default=Adam())
    scheduler: Annotated[Converted[Scheduler, float], parts.scheduler] = attrs.field(default=ConstantLR(1e-3))
    early_stopping: Annotated[EarlyStopping | None, parts.early_stopping] = None
    batch_size: PositiveInt = 32
    seed: Seed = 0
    metrics: Annotated[Converted[tuple[MetricLike, ...], MetricLike | list[MetricLike]], parts.metrics] = attrs.field(
        default=attrs.Factory(lambda self: self.loss.metrics, takes_self=True),
        metadata={"default": "loss.metrics"},
    )
    schedule_every: Annotated[Literal["epoch", "step"], choice("epoch", "step")] = "epoch"
    accumulate: PositiveInt = 1
    non_finite: Annotated[Literal["stop", "skip", "raise"], choice("stop", "skip", "raise")] = "stop"
    dtype: Annotated[Literal["float32", "float64"], parts.dtype] = "float32"
    threads: Annotated[int | None, optional(integer(1, MAX_THREADS + 1))] = None

    argument_hints = HINTS

    def __attrs_post_init__(self) -> None:
        if self.metrics is None:
            object.__setattr__(self, "metrics", self.loss.metrics)
        if len(self.model.shape) != 1:
            shape = ", ".join(map(str, ("N", *self.model.shape)))
            raise ValueError(f"model must have outputs of shape (N, K), got ({shape})")
        check_layers(self.model, self.optimizer)
        self.loss.check_outputs(self.model.outputs)
        check_metrics(self._metrics(), self.loss, self.model)
        object.__setattr__(self, "scheduler", with_modes(self.scheduler, self._metrics()))
        object.__setattr__(self, "early_stopping", with_modes(self.early_stopping, self._metrics()))
        if self.schedule_every == "step" and monitored_metrics(self.scheduler):
            raise ValueError("schedule_every must be 'epoch' for a scheduler that reads a metric, got 'step'")

    def __repr__(self) -> str:
        shown = {"optimizer", "scheduler", *(field.name for field in non_default_fields(self))}
        return one_line("Trainer", {name: text for name, text in self._fields_as_text().items() if name in shown})

    def _repr_html_(self) -> str:
        return html_table("Trainer", self._fields_as_text())

    def _fields_as_text(self) -> dict[str, str]:
        """Return the fields as text, by name."""
        inputs, outputs = ("x".join(map(str, shape)) for shape in (self.model.inputs, self.model.shape))
        model = f"{type(self.model).__name__}({inputs} -> {outputs}, {pluralize(self.model.size, 'parameter')})"
        return {"model": model, **{name: short_call(getattr(self, name)) for name in field_names(Trainer) if name != "model"}}

    def replace(self, **changes: Any) -> "Trainer":
        """Return a trainer with some fields changed.

        Metrics that are the defaults of the loss are replaced by the defaults of a new loss.

        Args:
            changes: The new values by field; a path such as `"scheduler.initial_lr"` is a field of a part.

        Raises:
            TypeError: If there is no such field, or a value is not of its type.
            ValueError: If a value is not allowed.

        Examples:
            >>> from fnloop.nn import mlp
            >>> trainer = Trainer(model=mlp([3, 1]), loss="mse", optimizer="adam")
            >>> trainer.replace(seed=3, scheduler=0.01).scheduler
            ConstantLR(initial_lr=0.01)
            >>> trainer.replace(**{"optimizer.b1": 0.8}).optimizer
            Adam(b1=0.8, b2=0.999, eps=1e-08)
        """
        if "loss" in changes and self.metrics == tuple(self.loss.metrics):
            changes.setdefault("metrics", None)
        return with_changes(self, changes)

    def blas_threads(self) -> int:
        """Return the number of BLAS threads of the NumPy engine: `threads`, or its default for the size of the model."""
        return self.threads or default_threads(self.model)

    def summed_metrics(self) -> tuple[Metric, ...]:
        """Return the metrics that are sums over examples, which are measured whenever the loss is."""
        return tuple(metric for metric in self._metrics() if not fulfils(metric, WholeMetric))  # type: ignore[misc]

    def whole_metrics(self) -> tuple[WholeMetric, ...]:
        """Return the metrics of all examples at once, which are measured on validation data and by `evaluate`."""
        return tuple(metric for metric in self._metrics() if fulfils(metric, WholeMetric))  # type: ignore[misc]

    def known_mode(self, name: str) -> Mode | None:
        """Return the mode of a metric, or None if it is unknown.

        It is the mode of early stopping if that monitors the metric, else the mode of the metric itself.

        Args:
            name: The name of the metric, as in `state.metrics`.
        """
        policy = self.early_stopping
        if policy is not None and policy.mode is not None and policy.metric.removeprefix("val_") == name.removeprefix("val_"):
            return policy.mode
        return known_mode(name, self._metrics())

    def _metrics(self) -> tuple[AnyMetric, ...]:
        """Return the metrics, adapted to the task of the loss."""
        task = self.loss.task(self.model.outputs)
        return tuple(get_metric(metric).for_task(task) for metric in self.metrics)

    def resolve(self, train: Dataset) -> "Trainer":
        """Return the trainer with everything that depends on the training data computed from it.

        This replaces `class_weights="balanced"` by numbers; any other trainer is returned unchanged. `fit`, `epochs` and
        `steps` call it; `evaluate` and `make_step`, which do not have the training data, need a resolved trainer:
        `fl.evaluate(trainer.resolve(data.train), state, data.test)`.

        Args:
            train: The training data.

        Raises:
            TypeError: If `train` is not a dataset, or its targets are not of the type that the loss needs.
            ValueError: If the data does not fit the model and the loss, or a class has no examples.
        """
        if self.loss.is_resolved:
            return self
        train = encode(train, find_names(self.loss, self.model.outputs, train), "train")
        self.check_data(train, "train")
        try:
            loss = self.loss.resolve(train.y, self.model.outputs, train.weights)
        except ValueError as error:
            raise ValueError(f"train: {error}") from None
        return evolve(self, loss=loss)

    def check_data(self, data: Dataset, name: str) -> None:
        """Check that a dataset fits the model and the loss.

        Args:
            data: The dataset.
            name: The name of the argument, for the error.

        Raises:
            TypeError: If `data` is not a dataset.
            ValueError: If its features or targets do not fit.
        """
        check_dataset(data, name)
        self.check_features(data.x, name)
        try:
            self.loss.check_targets(data.y, self.model.outputs)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def check_resolved(self) -> None:
        """Check that nothing depends on the training data any more.

        Raises:
            ValueError: If something does; `resolve` computes it.
        """
        if not self.loss.is_resolved:
            raise ValueError(
                f"trainer depends on the training data, loss={short_call(self.loss)}: use trainer.resolve(train), or the "
                ".trainer of the result of fl.fit"
            )

    def check_features(self, x: Any, name: str) -> None:
        """Check that features fit the model and its dtype.

        Args:
            x: The features, (N, ...).
            name: The name of the argument, for the error.

        Raises:
            ValueError: If their shape or a value does not fit.
        """
        if x.shape[1:] != self.model.inputs:
            expected = ", ".join(map(str, ("N", *self.model.inputs)))
            raise ValueError(f"{name}: x must be of shape ({expected}) for this model, got {x.shape}")
        largest = float(np.finfo(self.dtype).max)
        if x.dtype.kind == "f" and x.size and max(float(x.max()), -float(x.min())) > largest:
            raise ValueError(
                f"{name}: x must be at most {largest:.3g} in size for dtype {short(self.dtype)}, got {np.abs(x).max():.3g}"
            )
        try:
            self.model.check_values(x)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def check_state(self, state: Any, name: str) -> None:
        """Check that a state has the parameters of this model.

        Args:
            state: The state.
            name: The name of the argument, for the error.

        Raises:
            TypeError: If it is not a `TrainState`.
            ValueError: If it is a state of another model or dtype.
        """
        if not isinstance(state, TrainState):
            raise TypeError(f"{name} must be a TrainState, got {short(state)}")
        if not same_bits(state.params.model, self.model):
            raise ValueError(
                f"{name} is a state of another model, {short(state.params.model)}; the trainer's is {short(self.model)}"
            )
        if state.params.vector.dtype != self.dtype:
            raise ValueError(f"{name} has parameters of {state.params.vector.dtype}; the trainer's dtype is {self.dtype}")

    def metric_names(self, validation: bool) -> list[str]:
        """Return the names of the metrics of an epoch, without the learning rate.

        Args:
            validation: Whether the run has validation data.

        Examples:
            >>> from fnloop.nn import mlp
            >>> Trainer(model=mlp([10, 1]), loss="mse").metric_names(validation=True)
            ['loss', 'r2', 'val_loss', 'val_r2']
        """
        summed = ["loss", *(metric.name for metric in self.summed_metrics())]
        whole = [metric.name for metric in self.whole_metrics()]
        return [*summed, *(f"val_{name}" for name in (*summed, *whole))] if validation else summed

    def check_monitored(self, validation: bool) -> None:
        """Check that the run produces every metric that is monitored.

        Args:
            validation: Whether the run has validation data.

        Raises:
            ValueError: If a schedule or early stopping monitors another metric.
        """
        produced = self.metric_names(validation)
        for part in (*walk_schedulers(self.scheduler), self.early_stopping):
            monitored = part.metric if isinstance(part, MonitorsMetric) else None
            if monitored is not None and monitored not in produced:
                hint = "" if validation or not monitored.startswith("val_") else " (no validation data was given)"
                if monitored in {metric.name for metric in self.whole_metrics()}:
                    hint = f" (it is measured on validation data only, as 'val_{monitored}')"
                raise ValueError(
                    f"{type(part).__name__} monitors metric {short(monitored)}, which this run does not produce{hint}; "
                    f"it produces {listed(produced)}"
                )

    def mode_of(self, name: str) -> Mode:
        """Return the mode of a metric: `"min"` if its smallest value is best, `"max"` if its largest.

        Args:
            name: The name of the metric, as in `state.metrics`.

        Raises:
            ValueError: If the mode is unknown.
        """
        return self.known_mode(name) or mode_of(name, self._metrics())

    def monitored(self, validation: bool, monitor: str | None = None) -> tuple[str, Mode]:
        """Return the metric that selects the best state, and its mode.

        Args:
            validation: Whether the run has validation data.
            monitor: The name of the metric. Default: the metric of early stopping, else the loss, on validation data if
                there is any.

        Raises:
            ValueError: If the run does not produce the metric, or its mode is unknown.
        """
        if monitor is not None:
            look_up(dict.fromkeys(self.metric_names(validation), 0.0), metric_name("monitor", monitor))
            return monitor, self.mode_of(monitor)
        if self.early_stopping is not None:
            return self.early_stopping.metric, check_mode(self.early_stopping.mode, self.early_stopping.metric)
        return ("val_loss" if validation else "loss"), "min"


def default_threads(model: Model) -> int:
    """Return the number of BLAS threads for a model, unless another is given: 1, or 2 for a large one."""
    return 1 if model.size <= MAX_PARAMETERS_OF_ONE_THREAD else 2


def check_trainer(trainer: Any, name: str = "trainer") -> Trainer:
    """Check a trainer, and return it unchanged."""
    if not isinstance(trainer, Trainer):
        raise TypeError(f"{name} must be a fl.Trainer, got {short(trainer)}")
    return trainer
