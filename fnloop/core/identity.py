"""The identity of classes and functions in files: a class is known by its module, a function by its code and what it holds."""

import copyreg
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CellType,
    ClassMethodDescriptorType,
    EllipsisType,
    FunctionType,
    MappingProxyType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    NotImplementedType,
    WrapperDescriptorType,
)
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import toolz

from fnloop.core.bytecode import code_text, names_in
from fnloop.core.cycles import current_walk
from fnloop.core.formatting import short

PACKAGE: Final = "fnloop"
Encode = Callable[[Any], str]
_MAIN = "__main__", "__mp_main__"
_CLASS_IDS: WeakKeyDictionary[type, str] = WeakKeyDictionary()


def class_id(cls: type) -> str:
    """Return the name of a class in files: `fnloop.Adam` for one of the package, else `module.Name`.

    A class that a script defines has the id that it has when the script is imported. A class attribute `stored_name` keeps the
    name of a class that is renamed. From a class attribute `format_version = 2` on, the id ends in the version, as `/2`.

    Args:
        cls: The class.

    Raises:
        TypeError: If `format_version` is not an integer.
        ValueError: If `format_version` is below 1.

    Examples:
        >>> from fnloop.optimizers import Adam
        >>> class_id(Adam), class_id(dict)
        ('fnloop.Adam', 'builtins.dict')

    See Also:
        same_class
    """
    found = _CLASS_IDS.get(cls)
    if found is None:
        version = format_version(cls)
        found = _CLASS_IDS[cls] = f"{_module(cls)}.{_stored_name(cls)}{f'/{version}' if version > 1 else ''}"
    return found


def split_id(recorded_id: str) -> tuple[str, int]:
    """Return the name and the version of an id of `class_id`.

    Examples:
        >>> split_id("train.Scale/2"), split_id("train.Scale")
        (('train.Scale', 2), ('train.Scale', 1))
    """
    name, _, version = recorded_id.partition("/")
    return name, int(version or 1)


def format_version(cls: type) -> int:
    """Return the version of the form of a class in files: its class attribute `format_version`, by default 1.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is below 1.
    """
    version = getattr(cls, "format_version", 1)
    if hasattr(version, "__get__"):
        return 1  # a field of that name
    if isinstance(version, bool) or not isinstance(version, int):
        raise TypeError(f"format_version of {short(cls)} must be an integer of at least 1, got {short(version)}")
    if version < 1:
        raise ValueError(f"format_version of {short(cls)} must be at least 1, got {version}")
    return version


def same_class(recorded_id: str, cls: type) -> bool:
    """Return whether a class may be the one that was recorded, whatever its version.

    The class of a script or a notebook may since have moved to a module, and a module into a package. A class of the package
    is never that of another module.

    Args:
        recorded_id: The id that `class_id` returned.
        cls: The class.

    Examples:
        >>> from fractions import Fraction
        >>> same_class("project.fractions.Fraction", Fraction), same_class("__main__.Fraction", Fraction)
        (True, True)
        >>> same_class("decimal.Fraction", Fraction)
        False
    """
    recorded, name = split_id(recorded_id)[0], f".{_stored_name(cls)}"
    modules = recorded.removesuffix(name), _module(cls)
    if not recorded.endswith(name) or PACKAGE in modules:
        return recorded.endswith(name) and modules[0] == modules[1]
    shorter, longer = sorted(modules, key=len)
    return shorter == longer or longer.endswith(f".{shorter}") or _MAIN[0] in modules


def callable_text(function: Any, encode: Encode) -> str:
    """Return the canonical JSON text of a function or another callable: what it does and holds, not what it is called.

    A Python function is known by its bytecode, its defaults and the values in its closure; a `functools.partial`, a bound
    method or an object with `__call__` by its parts; a function written in C, and a class, by its name. A global variable
    or function that a function uses is known by its name alone. Bytecode is that of one minor version of Python, so the
    text holds within one. The text is the same in each process, and before and after the function has run.

    Args:
        function: The callable.
        encode: Returns the canonical JSON text of data, and calls this function for callables within it.

    Raises:
        TypeError: If it holds something that cannot be identified, such as a lock or an open file.

    Examples:
        >>> rate = lambda t: 0.1 * 0.9**t
        >>> callable_text(rate, repr) == callable_text(lambda t: 0.1 * 0.9**t, repr)
        True
        >>> callable_text(rate, repr) == callable_text(lambda t: 0.1 * 0.8**t, repr)
        False
        >>> callable_text(abs, repr)
        '{"@name":"builtins.abs"}'
    """
    with current_walk() as walk:
        return walk.visit(function, lambda: _callable(function, encode))


def _module(cls: type) -> str:
    """Return the module of a class: that of the package for all its classes."""
    module = str(cls.__module__)
    return PACKAGE if module.partition(".")[0] == PACKAGE else _imported_name(module)


def _imported_name(module: str) -> str:
    """Return the name that a module has when it is imported; `__main__` if it cannot be, as in a notebook."""
    if module not in _MAIN:
        return module
    main = sys.modules.get(module)
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is None or name in _MAIN:
        file = getattr(main, "__file__", None)
        return PurePath(file).stem if file and not file.startswith("<") else _MAIN[0]  # "<stdin>"
    return str(name)


def _stored_name(cls: type) -> str:
    stored = vars(cls).get("stored_name")
    name = cls.__name__ if _module(cls) == PACKAGE else cls.__qualname__
    return stored if isinstance(stored, str) else name


def _callable(value: Any, encode: Encode) -> str:
    if isinstance(value, type):
        return _name(class_id(value))
    if isinstance(value, FunctionType):
        return f'{{"@function":"{_hash_of(value, encode)}"}}'
    if isinstance(value, MethodType):
        return _method(value, encode)
    if isinstance(value, _DESCRIPTORS):
        return _name(f"{class_id(value.__objclass__)}.{value.__name__}")
    if isinstance(value, BuiltinFunctionType | MethodWrapperType):
        owner = value.__self__
        if owner is None or isinstance(owner, ModuleType):
            return _name(f"{value.__module__}.{value.__qualname__}")
        return f'{{"@method":[{_quote(value.__name__)},{_part(owner, encode)}]}}'
    return _global_name(value) if isinstance(value, _NAMED) else _object_with_call(value, encode)


def _hash_of(function: FunctionType, encode: Encode) -> str:
    """Return the hash of a function's code, its defaults and the values in its closure."""
    code = code_text(function.__code__, lambda constant: _part(constant, encode))
    keywords = sorted((function.__kwdefaults__ or {}).items())
    cells = [_cell(cell, encode) for cell in function.__closure__ or ()]
    return _sha256(code, _part(function.__defaults__, encode), _part(keywords, encode), *cells)


def _cell(cell: CellType, encode: Encode) -> str:
    try:
        content = cell.cell_contents
    except ValueError:
        return '{"@empty":[]}'
    return _part(content, encode)


def _method(method: MethodType, encode: Encode) -> str:
    function, owner = method.__func__, method.__self__
    name = getattr(function, "__name__", "__call__")
    code = _hash_of_methods(owner if isinstance(owner, type) else type(owner), name, encode)
    return f'{{"@method":[{_quote(name)},{_part(owner, encode)},{_part(function, encode)},{code}]}}'


def _global_name(value: Any) -> str:
    """Return the name of a function written in C that a module holds, such as `numpy.exp` and `numpy.mean`."""
    name = value.__name__
    for module in (getattr(value, "__module__", None), *_MODULES_OF_UFUNCS):
        if getattr(sys.modules.get(str(module)), name, None) is value:
            return _name(f"{module}.{name}")
    raise _unidentified(value)


def _object_with_call(value: Any, encode: Encode) -> str:
    """Return the class of an object, the hash of the code that calling it runs, and its state."""
    cls = type(value)
    if cls is functools.partial:
        return f'{{"@partial":[{",".join(_bound(value, encode))}]}}'
    code = _hash_of_methods(cls, "__call__", encode)
    wrapped = getattr(value, "__wrapped__", None)
    if isinstance(value, toolz.curry):
        state = f"[{','.join(_bound(value, encode))}]"
    elif code == "null" and callable(wrapped):  # written in C, such as `lru_cache`
        parameters = value.cache_parameters() if hasattr(value, "cache_parameters") else {}
        state = f"[{_part(wrapped, encode)},{_part(parameters, encode)}]"
    else:
        state = _state(value, encode)
    return f'{{"@callable":[{_quote(class_id(cls))},{code},{state}]}}'


def _bound(value: Any, encode: Encode) -> Iterator[str]:
    """Yield a function and its bound arguments, those by keyword in the order of their names."""
    yield _part(value.func, encode)
    yield _part(value.args, encode)
    yield _part(dict(sorted(value.keywords.items())), encode)


def _hash_of_methods(cls: type, name: str, encode: Encode) -> str:
    """Return the hash of a method and of the methods that it names, in all bases of a class; null if it is written in C."""
    found: dict[str, list[FunctionType]] = {}
    names = [name]
    while names:
        current = names.pop()
        if current not in found:
            found[current] = [function for base in cls.__mro__ for function in _functions(vars(base).get(current))]
            names += (name for function in found[current] for name in names_in(function.__code__))
    if not found[name]:
        return "null"
    return _quote(_sha256(*(_part(function, encode) for current in sorted(found) for function in found[current])))


def _functions(member: Any) -> Iterator[FunctionType]:
    """Yield the Python function of a member of a class, if it has one."""
    for function in (member, *(getattr(member, name, None) for name in ("__func__", "fget", "func"))):
        if isinstance(function, FunctionType):
            yield function


def _part(value: Any, encode: Encode) -> str:
    """Return the text of what a function holds: data, a callable, or an object with a state."""
    kind = type(value)
    if kind in _CONSTANTS:
        return f'{{"@constant":{_quote(repr(value))}}}'
    if kind in (set, frozenset):
        return f'{{"@set":[{",".join(sorted(_part(item, encode) for item in value))}]}}'
    if kind is ModuleType:
        return _name(_imported_name(value.__name__))
    with current_walk() as walk:
        if kind in (tuple, list):
            return walk.visit(value, lambda: f'{{"@{kind.__name__}":[{",".join(_part(item, encode) for item in value)}]}}')
        if kind in (dict, MappingProxyType):
            return walk.visit(value, lambda: f'{{"@items":{_part([*value.items()], encode)}}}')
        if hasattr(kind, "__attrs_attrs__") or not callable(value):
            try:
                return encode(value)
            except TypeError:  # no data, but an object that may have a state
                pass
        if callable(value):
            return callable_text(value, encode)
        return walk.visit(value, lambda: f'{{"@object":[{_quote(class_id(kind))},{_state(value, encode)}]}}')


def _state(value: Any, encode: Encode) -> str:
    """Return what the `copy` module makes a copy of an object from: its `__dict__` and slots, or what its class declares."""
    cls = type(value)
    reduce = copyreg.dispatch_table.get(cls)
    try:
        reduced = reduce(value) if reduce else value.__reduce_ex__(2)
    except Exception:  # locks, files, generators; or a class that refuses to be copied
        raise _unidentified(value) from None
    if isinstance(reduced, str):
        return _name(f"{_imported_name(value.__module__)}.{reduced}")
    rebuild, arguments, state, *items = (*reduced, None, None, None)[:5]
    if isinstance(state, tuple) and len(state) == 2 and all(isinstance(part, dict | None) for part in state):
        state = {**(state[0] or {}), **(state[1] or {})}
    if isinstance(state, dict) and all(isinstance(name, str) for name in state):
        state = {name: state[name] for name in sorted(state) if not _is_derived(cls, name)}
    is_named = hasattr(rebuild, "__qualname__")
    made_by = _name(f"{_imported_name(rebuild.__module__)}.{rebuild.__qualname__}") if is_named else _part(rebuild, encode)
    contents = (arguments, state, *(item if item is None else list(item) for item in items))
    return f"[{made_by},{','.join(_part(part, encode) for part in contents)}]"


def _is_derived(cls: type, name: str) -> bool:
    """Return whether an attribute is a description, or a value that is kept once it was computed."""
    is_cache = isinstance(inspect.getattr_static(cls, name, None), functools.cached_property)
    return is_cache or name in _DESCRIPTIONS or (issubclass(cls, np.vectorize) and name == "_ufunc")


def _unidentified(value: Any) -> TypeError:
    return TypeError(
        f"{short(value)} cannot be identified: a function may hold data, functions and objects that can be copied"
    )


def _name(name: str) -> str:
    return f'{{"@name":{_quote(name)}}}'


def _sha256(*texts: str) -> str:
    return hashlib.sha256(f"[{','.join(texts)}]".encode()).hexdigest()


_quote = json.dumps
_DESCRIPTORS = MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType
_NAMED = np.ufunc, type(np.mean)  # they have no code, and are copied by their names
_MODULES_OF_UFUNCS = "numpy", "scipy.special"
_CONSTANTS = frozenset({bytes, complex, EllipsisType, NotImplementedType})
_DESCRIPTIONS = frozenset({"__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__type_params__"})
