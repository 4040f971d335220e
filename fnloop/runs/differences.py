"""The differences between two values in the form that files hold, as trees of JSON."""

import json
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fnloop.core.encoding import sha256_of
from fnloop.core.formatting import listed


def check_recorded(name: str, text: str, recorded: str | None, python: Callable[[], str]) -> None:
    """Check that a supplied value is the one that a run was recorded with.

    Functions are known by their bytecode. In another version of Python, they are those of the run if the states are.

    Args:
        name: The name of the value, for the message.
        text: The text of the value.
        recorded: The text of the recorded one, or None if there was none.
        python: Returns the version of Python in which the run was started.

    Raises:
        ValueError: If it is another one.
    """
    if text == recorded:
        return
    if recorded is None:
        raise ValueError(f"{name} must be none, as in the recorded run, got one of digest {sha256_of(text)}")
    trees = json.loads(recorded), json.loads(text)
    has_same_bytecode = python().split(".")[:2] == platform.python_version().split(".")[:2]
    if not has_same_bytecode and without_code(trees[0]) == without_code(trees[1]):
        return
    raise ValueError(
        f"{name} must be what the run was recorded with, of digest {sha256_of(recorded)}, got one of digest "
        f"{sha256_of(text)}: it differs in {listed(differing_paths(*trees))}"
    )


def differing_paths(a: Any, b: Any, path: str = "") -> Iterator[str]:
    """Yield the paths at which two trees differ.

    Args:
        a: A tree.
        b: The tree to compare with.
        path: The path of both. Default: "", for whole values.

    Examples:
        >>> list(differing_paths({"@": "A", "b": 1, "c": [2, 3]}, {"@": "A", "b": 1, "c": [2, 4]}))
        ['c[1]']
    """
    if isinstance(a, dict) and isinstance(b, dict) and a.get("@") == b.get("@") and (a.keys() | b.keys()) - {"@array"}:
        for name in a | b:
            yield from differing_paths(a.get(name), b.get(name), f"{path}.{name}".removesuffix(".@mapping"))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from differing_paths(x, y, f"{path}[{i}]")
    elif a != b:
        yield re.sub(r"\.@\w+$", "", path).lstrip(".") or "its kind"


def without_code(tree: Any) -> Any:
    """Return a tree without the hashes of functions, which depend on the version of Python.

    Args:
        tree: A tree.

    Examples:
        >>> without_code({"@": "A", "b": {"@function": "12ab"}})
        {'@': 'A', 'b': {'@function': ''}}
    """
    if isinstance(tree, list):
        return [without_code(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {form: _CODE.get(form, without_code)(part) for form, part in tree.items()}


_CODE: Mapping[str, Callable[[Any], Any]] = {  # the forms of `core.identity` that have a hash
    "@function": lambda code: "",
    "@callable": lambda parts: [without_code(part) for part in parts[:1] + parts[2:]],
    "@method": lambda parts: [without_code(part) for part in parts[:3]],
}
