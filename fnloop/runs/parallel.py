"""Independent tasks over a run, computed by the `map` of any executor."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from fnloop.core.formatting import short

MAX_TASKS = 16  # a task is a group of neighbouring segments; more tasks would only send the run more often

Map = Callable[..., Iterable[Any]]
Task = TypeVar("Task")
Result = TypeVar("Result")


def map_tasks(map: Map, function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """Return the result of a function for each task, in the order of the tasks.

    Args:
        map: Python's `map`, or that of an executor.
        function: The function of a task; it and the tasks can be pickled.
        tasks: The tasks.

    Raises:
        TypeError: If `map` is not callable.
        ValueError: If `map` does not give a result for each task.
    """
    if not callable(map):
        raise TypeError(f"map must be a function such as an executor's map, got {short(map)}")
    results = list(map(function, tasks))
    if len(results) != len(tasks):
        raise ValueError(f"map must give a result for each of {len(tasks)} tasks, got {len(results)}")
    return results
