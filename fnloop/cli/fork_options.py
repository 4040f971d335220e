"""The options of `fnloop fork` as changes of the trainer."""

from typing import Any

from fnloop.cli.train_options import make_scheduler
from fnloop.core.fields import field_names
from fnloop.core.records import evolve, frozen
from fnloop.optimizers import Elementwise, add_decayed_weights, add_l2_penalty, chain, clip_by_global_norm
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
        """Return the optimizer with clipping as its first part, and weight decay in place of its own or as the last part."""
        parts = list(optimizer.parts)
        if self.clip is not None:
            parts = [clip_by_global_norm(self.clip), *(part for part in parts if not isinstance(part, clip_by_global_norm))]
        if self.weight_decay is not None:
            decay = add_decayed_weights(self.weight_decay)
            decays = [i for i, part in enumerate(parts) if isinstance(part, add_decayed_weights | add_l2_penalty)]
            end = len(parts) - 1 if parts[-1].keeps_average else len(parts)
            parts[decays[-1] if decays else end : decays[-1] + 1 if decays else end] = [decay]
        return chain(*parts)

    def _early_stopping(self, trainer: Trainer, validation: bool) -> EarlyStopping | None:
        if self.no_early_stopping:
            if self.patience is not None:
                raise ValueError("--patience cannot be combined with --no-early-stopping")
            return None
        old = trainer.early_stopping or EarlyStopping("val_loss" if validation else "loss")
        return evolve(old, patience=self.patience)
