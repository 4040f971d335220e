"""The options of `fnloop fork` as changes of the trainer."""

from collections.abc import Sequence
from typing import Any

from fnloop.cli.train_options import make_scheduler
from fnloop.core.fields import field_names, is_record, leaves
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.optimizers import Chain, Elementwise, add_decayed_weights, chain, clip_by_global_norm
from fnloop.optimizers.hyperparameters import Scheduled
from fnloop.schedulers import Scheduler
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.trainer import Trainer


@frozen
class ForkOptions:
    """The options; None leaves a part of the trainer unchanged.

    Args:
        lr: Initial learning rate.
        scheduler: Name of a schedule.
        batch_size: Examples per batch.
        patience: Epochs without improvement before training stops.
        no_early_stopping: Whether to train without early stopping.
        seed: Seed of the order of examples.
        clip: Norm that the gradient is clipped to.
        weight_decay: Decoupled weight decay.
    """

    lr: float | None = None
    scheduler: str | None = None
    batch_size: int | None = None
    patience: int | None = None
    no_early_stopping: bool = False
    seed: int | None = None
    clip: float | None = None
    weight_decay: float | None = None

    def changes(self, trainer: Trainer, validation: bool, epochs: int) -> dict[str, Any]:
        """Return the fields of the trainer that change, with their new values.

        Args:
            trainer: The trainer of the run.
            validation: Whether the run has validation data.
            epochs: Total number of epochs, for schedules that are spread over them.

        Raises:
            ValueError: If the options contradict each other or the trainer.
        """
        changed = {name: value for name in ("batch_size", "seed") if (value := getattr(self, name)) is not None}
        if self.lr is not None or self.scheduler is not None:
            changed["scheduler"] = self._scheduler(trainer, epochs)
        if self.clip is not None or self.weight_decay is not None:
            changed["optimizer"] = self._optimizer(trainer.optimizer)
        if self.patience is not None or self.no_early_stopping:
            changed["early_stopping"] = self._early_stopping(trainer, validation)
        return changed

    def _scheduler(self, trainer: Trainer, epochs: int) -> Scheduler:
        old = trainer.scheduler
        if self.scheduler is not None:
            lr = self.lr if self.lr is not None else getattr(old, "initial_lr", old.init().lr)
            patience = self.patience or (trainer.early_stopping or EarlyStopping()).patience
            return make_scheduler(self.scheduler, lr, epochs, patience)
        if "initial_lr" not in field_names(type(old)):
            raise ValueError(f"--lr must be given with --scheduler, because {type(old).__name__} has no initial learning rate")
        return evolve(old, initial_lr=self.lr)

    def _optimizer(self, optimizer: Elementwise) -> Elementwise:
        """Return the optimizer with this weight decay in place of its own, and clipping as its first part."""
        if self.weight_decay is not None:
            optimizer = _with_weight_decay(optimizer, self.weight_decay)
        if self.clip is not None:
            others = (part for part in _transformations(optimizer) if not isinstance(part, clip_by_global_norm))
            optimizer = chain(clip_by_global_norm(self.clip), *others)
        return optimizer

    def _early_stopping(self, trainer: Trainer, validation: bool) -> EarlyStopping | None:
        if self.no_early_stopping:
            if self.patience is not None:
                raise ValueError("--patience cannot be combined with --no-early-stopping")
            return None
        old = trainer.early_stopping or EarlyStopping("val_loss" if validation else "loss")
        return evolve(old, patience=self.patience)


def _with_weight_decay(optimizer: Elementwise, weight_decay: float) -> Elementwise:
    """Return the optimizer with this weight decay, else with this L2 penalty, else with a decay as its last part."""
    names = {path.rpartition(".")[2] for path, _ in leaves(optimizer)}
    for name in ("weight_decay", "l2"):
        if name in names:
            return _with_field(optimizer, name, weight_decay)  # type: ignore[no-any-return]
    averages = [part for part in optimizer.parts if part.keeps_average]
    others = [part for part in optimizer.parts if not part.keeps_average]
    return chain(*others, add_decayed_weights(weight_decay), *averages)


def _with_field(value: Any, name: str, new: float) -> Any:
    """Return an optimizer, or several, with the field of this name changed in each record that has it."""
    if isinstance(value, tuple):
        return tuple(_with_field(item, name, new) for item in value)
    if not (isinstance(value, Elementwise) and is_record(value)):
        return value
    if isinstance(value, Scheduled) and name in value.schedules:
        raise ValueError(f"--weight-decay must be left out if {name} follows a schedule, as in {short(value)}")
    fields = {field: getattr(value, field) for field in field_names(type(value))}
    return evolve(value, **{field: new if field == name else _with_field(old, name, new) for field, old in fields.items()})


def _transformations(optimizer: Elementwise) -> Sequence[Elementwise]:
    """Return the transformations of a chain, and of chains in it; other optimizers are divided only to find a clip in them."""
    if isinstance(optimizer, Chain):
        return [part for transformation in optimizer.transformations for part in _transformations(transformation)]
    has_clip = any(isinstance(part, clip_by_global_norm) for part in optimizer.parts)
    return optimizer.parts if has_clip else [optimizer]
