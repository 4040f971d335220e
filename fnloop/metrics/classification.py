"""The common part of metrics for classification."""

from typing import Self

from fnloop.core.checks import Task
from fnloop.core.records import evolve


class ClassesOrLabels:
    """The members of a metric for one class or several labels an example. A subclass has the field `multilabel`."""

    __slots__ = ()
    multilabel: bool

    @property
    def task(self) -> Task | None:
        """Classification, or multi-label classification if `multilabel`."""
        return "multilabel" if self.multilabel else "classification"

    def for_task(self, task: Task | None) -> Self:
        """Return the metric that reads each output as a label if the task is multi-label classification."""
        return evolve(self, multilabel=True) if task == "multilabel" else self
