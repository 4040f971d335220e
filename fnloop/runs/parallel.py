"""Independent tasks, computed by the `map` of any executor, of joblib, or by a client of Dask."""

import builtins
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Any, TypeVar
from warnings import catch_warnings

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.package import Package, check_package, this_package, this_worker

MAX_TASKS = 16  # a task is a group of neighbouring segments; more tasks would only send the run more often

Map = Any  # what `check_map` takes
Task = TypeVar("Task")
Result = TypeVar("Result")


def check_map(map: Any) -> Any:
    """Return a `map`: that of an executor or a pool, or the client of Dask whose method it is.

    Args:
        map: Python's `map`, an executor, a pool, a client of Dask, the `map` of one of them, or a `joblib.Parallel`.

    Raises:
        TypeError: If it is none of them.
    """
    owner = getattr(map, "__self__", map)
    if type(owner).__module__.startswith("distributed.") and hasattr(owner, "scatter"):
        return owner
    if hasattr(map, "imap"):  # a pool, whose `map` would wait for all results
        return map.imap
    if hasattr(map, "submit"):
        return map.map
    if not callable(map):
        raise TypeError(f"map must be an executor, a pool, a client of Dask or a function such as map, got {short(map)}")
    return map


def map_tasks(map: Any, function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """Return the result of a function for each task, in the order of the tasks.

    Args:
        map: As in `stream_tasks`.
        function: The function of a task; it and the tasks can be pickled.
        tasks: The tasks.

    Raises:
        RunError: If a worker has another version of the package.
        TypeError: If `map` is not callable.
        ValueError: If `map` does not give a result for each task.
    """
    results = dict(stream_tasks(map, function, tasks))
    return [results[index] for index in range(len(tasks))]


def stream_tasks(
    map: Any, function: Callable[[Task], Result], tasks: Sequence[Task], names: Sequence[str | None] | None = None
) -> Iterator[tuple[int, Result]]:
    """Yield the number and the result of each task, as they come.

    Dask's workers get the function, with the data in it, once. If one of them ends, others take its tasks. The tasks wait
    while there are no workers.

    Args:
        map: As in `check_map`.
        function: The function of a task; it and the tasks can be pickled.
        tasks: The tasks.
        names: What an error calls each task. Default: None, for which an error of the function is raised unchanged.

    Raises:
        RunError: If a task that has a name fails, or a worker has another version of the package.
        TypeError: If `map` is not callable.
        ValueError: If `map` does not give a result for each task.
    """
    map = check_map(map)
    if map is builtins.map:
        found: Iterator[tuple[int, Any]] = enumerate(map(function, tasks))
    else:
        found = _results(
            map, partial(_run, function, this_package()), list(zip(tasks, names or repeat(None, len(tasks)), strict=True))
        )
    count = 0
    for count, (index, result) in enumerate(found, 1):  # noqa: B007
        yield index, result
    if count != len(tasks):
        raise ValueError(f"map must give a result for each of {len(tasks)} tasks, got {count}")


def _results(map: Any, run: Callable[[Any], Any], inputs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Return the number and the result of each task, as they come."""
    if hasattr(map, "scatter"):
        return _results_of_dask(map, run, inputs)
    if type(map).__module__.startswith("joblib."):
        from joblib import delayed

        return enumerate(map(delayed(run)(task) for task in inputs))
    return enumerate(map(run, inputs))


def _results_of_dask(client: Any, run: Callable[[Any], Any], inputs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield results of a client of Dask in the order in which they come; those that are not waited for are cancelled."""
    from distributed import as_completed

    with catch_warnings(action="ignore", category=UserWarning):  # it has the data, and is sent once
        function = client.submit(_same, run, pure=False)  # not scattered: that is lost if all workers end, and waits for one
    index_of = {client.submit(_call, function, task, pure=False): index for index, task in enumerate(inputs)}
    try:
        for future in as_completed(list(index_of)):
            index = index_of[future]
            try:
                result = future.result()
            except Exception as error:
                if isinstance(error, RunError) or inputs[index][1] is None:
                    raise
                raise RunError(f"{inputs[index][1]} failed: {type(error).__name__}: {error}") from error
            yield index, result
            future.release()
    finally:
        client.cancel(list(index_of))


def _same(function: Callable[[Task], Result]) -> Callable[[Task], Result]:
    return function


def _call(function: Callable[[Task], Result], task: Task) -> Result:
    return function(task)


def _run(function: Callable[[Any], Any], package: Package, named: tuple[Any, str | None]) -> Any:
    """Return the result of a function in a worker that has the same package."""
    check_package(package)
    task, name = named
    try:
        return function(task)
    except Exception as error:
        if name is None:
            raise
        raise RunError(f"{name} failed in {this_worker()}: {type(error).__name__}: {error}") from error
