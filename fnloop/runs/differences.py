"""The differences between two values in the form that files hold, as trees of JSON."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any


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
