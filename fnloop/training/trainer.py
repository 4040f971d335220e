"""The trainer: a frozen value with all that defines a run, beside its data."""

from dataclasses import KW_ONLY
from typing import Annotated, Any, Literal

import attrs
import numpy as np

from fnloop.core.changes import with_changes
from fnloop.core.checks import Converted, Mode, PositiveInt, Seed, choice, integer, optional
from fnloop.core.digest import same_bits
from fnloop.core.display import html_table, non_default_fields, one_line, pluralize, short_call
from fnloop.core.fields import field_names
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve, frozen
from fnloop.data.dataset import Dataset
from fnloop.losses import Loss
from fnloop.losses.weighting import known
from fnloop.metrics import Metric, PerExample, WholeMetric, check_mode, get_metric, known_mode, look_up, mode_of
from fnloop.metrics.named import AnyMetric, Given, for_task
from fnloop.metrics.whole import is_whole
from fnloop.nn import Sequential
from fnloop.optimizers import Adam, Elementwise
from fnloop.schedulers import ConstantLR, Scheduler
from fnloop.schedulers.scheduler import MonitorsMetric, monitored_metrics, walk_schedulers
from fnloop.training import parts
from fnloop.training.consistency import check_layers, check_metrics, with_modes
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.encoding import check_dataset, encode, find_names
from fnloop.training.state import TrainState
from fnloop.training.tasks import task_of

MOST_THREADS = 1024  # that can be asked for; a BLAS may use fewer
ONE_THREAD = 100_000  # parameters up to which two BLAS threads are no faster than one; measured, see benchmarks/README.md

_EPOCHS = "how long to train is said where it is done: fl.fit(trainer, train, validation, epochs=100)"
_RATE = "the learning rate is the scheduler's: scheduler=1e-3, or a schedule such as fl.schedulers.StepLR(0.1, 30)"
HINTS = {  # for arguments that trainers have elsewhere
    **dict.fromkeys(("lr", "learning_rate", "initial_lr"), _RATE),
    **dict.fromkeys(("epochs", "max_epochs", "n_epochs", "num_epochs"), _EPOCHS),
    "callbacks": "a function of the stream of states does what a callback does, such as fl.tap(function)",
    "validation_data": "the data are given to fl.fit(trainer, train, validation)",
}


@frozen
class Trainer:
    """All that defines a run: the model, what it minimises, and how. A frozen value; `replace` makes one with other fields.

    Args:
        model: what is trained: `fl.mlp([10, 16, 1])`, layers in a `fl.nn.Sequential`, or a `fl.nn.Function`.
        loss: what is minimised: one of `fl.losses`, or its name, such as `"mse"`, `"bce"` or `"cross_entropy"`.
        optimizer: one of `fl.optimizers`, or its name, such as `"sgd"`. Default: `Adam()`.
        scheduler: the learning rate, which moves every epoch or every applied update (`schedule_every`): one of
            `fl.schedulers`, or a number, which stays. Default: `ConstantLR(0.001)`.
        early_stopping: a `fl.EarlyStopping`, or None to train as long as the stream is read. Default: `None`.
        batch_size: examples in a (micro-)batch; the last one of an epoch may be smaller. Default: `32`.
        seed: of the initial weights and of the order of examples, in [0, 2^64). Default: `0`.
        metrics: one or several: names, metrics such as `fl.metrics.TopKAccuracy(3)`, functions of `sklearn.metrics`, or
            functions of (outputs, targets) that return one value an example. Those of all examples at once, such as
            `"roc_auc"` and scikit-learn's, are measured on the validation data and by `evaluate` alone. Default:
            `loss.metrics`, those that suit the loss.
        schedule_every: `"epoch"` or `"step"`. Default: `"epoch"`.
        accumulate: micro-batches whose gradients make one update, as if they were one batch of their examples. Default: `1`.
        non_finite: what to do when the loss, its gradient or the parameters are no longer finite: `"stop"` with the last
            finite state, `"skip"` that update, or `"raise"` a `NonFiniteError`. Default: `"stop"`.
        dtype: of the parameters and of all computation, `"float32"` or `"float64"`. Default: `"float32"`.
        threads: BLAS threads of the NumPy engine, in [1, 1024]; the process's own setting is restored after each computation.
            The last bits of a matrix product depend on the number. Default: `None`, which depends on the model alone: 1 up to
            100,000 parameters, where a second thread gains nothing, else 2.
    Raises:
        TypeError: For a part that is not of its kind, with what is allowed.
        ValueError: For a value that is not allowed, an unknown name, or parts that do not fit together.
    Examples:
        >>> from fnloop.nn import mlp
        >>> Trainer(model=mlp([10, 1]), loss="mse", optimizer="sgd", scheduler=0.1)
        Trainer(model=Sequential(10 -> 1, 11 parameters), loss=MeanSquaredError(), optimizer=SGD(), scheduler=ConstantLR(0.1))
    """

    _: KW_ONLY
    model: Annotated[Sequential, parts.model]
    loss: Annotated[Converted[Loss, str | PerExample], parts.loss]
    optimizer: Annotated[Converted[Elementwise, str], parts.optimizer] = attrs.field(default=Adam())
    scheduler: Annotated[Converted[Scheduler, float], parts.scheduler] = attrs.field(default=ConstantLR(1e-3))
    early_stopping: Annotated[EarlyStopping | None, parts.early_stopping] = None
    batch_size: PositiveInt = 32
    seed: Seed = 0
    metrics: Annotated[Converted[tuple[Given, ...], Given | list[Given]], parts.metrics] = attrs.field(
        default=attrs.Factory(lambda self: getattr(self.loss, "metrics", ()), takes_self=True),
        metadata={"default": "loss.metrics"},
    )
    schedule_every: Annotated[Literal["epoch", "step"], choice("epoch", "step")] = "epoch"
    accumulate: PositiveInt = 1
    non_finite: Annotated[Literal["stop", "skip", "raise"], choice("stop", "skip", "raise")] = "stop"
    dtype: Annotated[Literal["float32", "float64"], parts.dtype] = "float32"
    threads: Annotated[int | None, optional(integer(1, MOST_THREADS + 1))] = None

    argument_hints = HINTS

    def __attrs_post_init__(self) -> None:
        if self.metrics is None:
            object.__setattr__(self, "metrics", getattr(self.loss, "metrics", ()))
        if len(self.model.shape) != 1:
            shape = ", ".join(map(str, ("N", *self.model.shape)))
            raise ValueError(f"model must give a row of outputs for each example, (N, K), got ({shape})")
        check_layers(self.model, self.optimizer)
        self.loss.check_outputs(self.model.outputs)
        check_metrics(self._metrics(), self.loss, self.model)
        object.__setattr__(self, "scheduler", with_modes(self.scheduler, self._metrics()))
        object.__setattr__(self, "early_stopping", with_modes(self.early_stopping, self._metrics()))
        if self.schedule_every == "step" and monitored_metrics(self.scheduler):
            raise ValueError("schedule_every must be 'epoch' for a scheduler that reads a metric, got 'step'")

    def __repr__(self) -> str:
        shown = {"optimizer", "scheduler", *(field.name for field in non_default_fields(self))}
        return one_line("Trainer", {name: fact for name, fact in self._facts().items() if name in shown})

    def _repr_html_(self) -> str:
        return html_table("Trainer", self._facts())

    def _facts(self) -> dict[str, str]:
        def extents(shape: tuple[int, ...]) -> str:
            return "x".join(map(str, shape))

        model = f"{type(self.model).__name__}({extents(self.model.inputs)} -> {extents(self.model.shape)}"
        parts = {name: short_call(getattr(self, name)) for name in field_names(Trainer) if name != "model"}
        return {"model": f"{model}, {pluralize(self.model.size, 'parameter')})", **parts}

    def replace(self, **changes: Any) -> "Trainer":
        """The trainer with some fields changed, checked as a new one is; this one stays as it is.

        Args:
            changes: fields by name. A path such as `"scheduler.initial_lr"` is a field of a part.
        Examples:
            >>> from fnloop.nn import mlp
            >>> trainer = Trainer(model=mlp([3, 1]), loss="mse", optimizer="adam")
            >>> trainer.replace(seed=3, scheduler=0.01).scheduler
            ConstantLR(initial_lr=0.01)
            >>> trainer.replace(**{"optimizer.b1": 0.8}).optimizer
            Adam(b1=0.8, b2=0.999, eps=1e-08)

        Metrics that were the loss's own follow it when the loss is changed.

        Raises: TypeError, ValueError: for an unknown field, with those that there are, or a value that is not allowed.
        """
        if "loss" in changes and self.metrics == tuple(getattr(self.loss, "metrics", ())):
            changes.setdefault("metrics", None)
        return with_changes(self, changes)

    def blas_threads(self) -> int:
        """The number of BLAS threads that the NumPy engine computes with: `threads`, or what suits the size of the model."""
        return self.threads or (1 if self.model.size <= ONE_THREAD else 2)

    def summed_metrics(self) -> tuple[Metric, ...]:
        """The metrics beside the loss that are sums over examples, measured wherever the loss is."""
        return tuple(metric for metric in self._metrics() if not is_whole(metric))  # type: ignore[misc]

    def whole_metrics(self) -> tuple[WholeMetric, ...]:
        """The metrics of all examples at once, measured on validation data and by `evaluate`."""
        return tuple(metric for metric in self._metrics() if is_whole(metric))  # type: ignore[misc]

    def known_mode(self, name: str) -> Mode | None:
        """The mode of a metric of this trainer: that of early stopping if it reads it, else the metric's; None if unknown."""
        policy, own = self.early_stopping, name.removeprefix("val_")
        given = policy.mode if policy is not None and policy.metric.removeprefix("val_") == own else None
        return given or known_mode(name, self._metrics())

    def _metrics(self) -> tuple[AnyMetric, ...]:
        """The metrics beside the loss, as they read the outputs of its kind."""
        task = task_of(self.loss, self.model.outputs)
        return tuple(for_task(get_metric(metric), task) for metric in self.metrics)

    def resolve(self, train: Dataset) -> "Trainer":
        """The trainer with what depends on the training data computed from it: `class_weights="balanced"` become numbers.

        `fit`, `epochs`, `steps` and all else that is handed the training data call it themselves. `evaluate` and `make_step`
        have other data, and need a trainer that is complete. A trainer with nothing to compute is returned as it is.

        Examples:
            fl.evaluate(trainer.resolve(data.train), state, data.test)
        Raises: TypeError, ValueError: if the data does not fit the model and the loss, or has no example of a class.
        """
        if getattr(self.loss, "class_weights", None) != "balanced":
            return self
        train = encode(train, find_names(self, train), "train")
        self.check_data(train, "train")
        try:
            loss = self.loss.resolve(train.y, self.model.outputs, train.weights)  # type: ignore[attr-defined]
        except ValueError as error:
            raise ValueError(f"train: {error}") from None
        return evolve(self, loss=loss)

    def check_data(self, data: Dataset, name: str) -> None:
        """Refuse a dataset whose columns or targets do not fit the model and the loss."""
        check_dataset(data, name)
        self.check_features(data.x, name)
        try:
            self.loss.check(data.y, self.model.outputs)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def check_resolved(self) -> None:
        """Refuse to go on where something depends on training data that is not known; see `resolve`."""
        known(getattr(self.loss, "class_weights", None))

    def check_features(self, x: Any, name: str) -> None:
        """Refuse examples that do not have the model's number of features."""
        if x.shape[1:] != self.model.inputs:
            expected = ", ".join(map(str, ("N", *self.model.inputs)))
            raise ValueError(f"{name}: x must be of shape ({expected}) for this model, got {x.shape}")
        most = float(np.finfo(self.dtype).max)
        if x.dtype.kind == "f" and x.size and max(float(x.max()), -float(x.min())) > most:
            raise ValueError(
                f"{name}: x must be at most {most:.3g} in size for dtype {short(self.dtype)}, got {np.abs(x).max():.3g}"
            )
        try:
            self.model.check_values(x)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def check_state(self, state: Any, name: str) -> None:
        """Refuse a state of another model."""
        if not isinstance(state, TrainState):
            raise TypeError(f"{name} must be a TrainState, got {short(state)}")
        if not same_bits(state.params.model, self.model):
            raise ValueError(
                f"{name} is a state of another model, {short(state.params.model)}; the trainer's is {short(self.model)}"
            )
        if state.params.vector.dtype != self.dtype:
            raise ValueError(f"{name} has parameters of {state.params.vector.dtype}; the trainer's dtype is {self.dtype}")

    def metric_names(self, validation: bool) -> list[str]:
        """The metrics of an epoch, beside the learning rate."""
        own = ["loss", *(metric.name for metric in self.summed_metrics())]
        whole = [metric.name for metric in self.whole_metrics()]
        return [*own, *(f"val_{name}" for name in (*own, *whole))] if validation else own

    def check_monitored(self, validation: bool) -> None:
        """Refuse to monitor a metric that the run will not produce."""
        produced = self.metric_names(validation)
        for part in (*walk_schedulers(self.scheduler), self.early_stopping):
            monitored = part.metric if isinstance(part, MonitorsMetric) else None
            if monitored is not None and monitored not in produced:
                hint = "" if validation or not monitored.startswith("val_") else " (no validation data was given)"
                if monitored in {metric.name for metric in self.whole_metrics()}:
                    hint = " (it is measured on all of the validation data at once, as 'val_" + monitored + "')"
                raise ValueError(
                    f"{type(part).__name__} monitors metric {short(monitored)}, which this run does not produce{hint}; "
                    f"it produces {listed(produced)}"
                )

    def mode_of(self, name: str) -> Mode:
        """Whether the smallest or the largest value of a metric of this trainer is best.

        Raises:
            ValueError: If the metric does not say it.
        """
        return self.known_mode(name) or mode_of(name, self._metrics())

    def monitored(self, validation: bool, monitor: str | None = None) -> tuple[str, Mode]:
        """The metric that the best state is chosen by, and how it is read: by default what early stopping reads."""
        if monitor is not None:
            look_up(dict.fromkeys(self.metric_names(validation), 0.0), monitor)
            return monitor, self.mode_of(monitor)
        if self.early_stopping is not None:
            return self.early_stopping.metric, check_mode(self.early_stopping.mode, self.early_stopping.metric)
        return ("val_loss" if validation else "loss"), "min"


def check_trainer(trainer: Any) -> Trainer:
    """The trainer, if it is one."""
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a fl.Trainer, got {short(trainer)}")
    return trainer
