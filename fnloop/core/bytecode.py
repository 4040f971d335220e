"""The text of a Python function: its bytecode, without its name, file, line numbers, docstring and annotations."""

import dis
import json
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

_FLAGS = 0x04 | 0x08 | 0x20 | 0x80 | 0x100 | 0x200  # *args, **kwargs, generators and coroutines
_WITH_CONSTANT, _WITH_NAME = frozenset(dis.hasconst), dis.opmap["STORE_NAME"]
_PLACE_OF_CLASS = frozenset({"__qualname__", "__firstlineno__", "__static_attributes__"})  # stored by the body of a class


def code_text(code: CodeType, constant_text: Callable[[Any], str]) -> str:
    """Return the canonical JSON text of a code object and of the code within it.

    It is the same before and after the code has run, or is traced: `co_code` is the code as compiled. It holds for one minor
    version of Python, as bytecode does.

    Args:
        code: The code object.
        constant_text: Returns the text of a constant that is not code.

    Examples:
        >>> def double(x):
        ...     "Return 2 x."
        ...     return 2 * x
        >>> code_text(double.__code__, repr) == code_text((lambda x: 2 * x).__code__, repr)
        True
    """
    instructions, used, constants = _instructions(code)
    texts = [code_text(c, constant_text) if isinstance(c, CodeType) else constant_text(c) for c in constants]
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    signature = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _FLAGS]
    names = [code.co_names, code.co_varnames[:count], code.co_cellvars, code.co_freevars]
    whole = [instructions.hex(), used, code.co_exceptiontable.hex(), *signature, *names]
    return f'{{"@code":[{",".join((*map(_json, whole), *texts))}]}}'


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names of the globals and attributes that a code object and the code within it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def _instructions(code: CodeType) -> tuple[bytes, list[int], list[Any]]:
    """Return the instructions without the numbers of constants, these numbers in order of first use, and the constants.

    So a docstring, which is a constant that no instruction uses, makes no difference.
    """
    raw = bytearray(code.co_code)
    numbers: dict[int, int] = {}
    used: list[int] = []
    constants: list[Any] = []
    for i in range(0, len(raw), 2):
        if raw[i] not in _WITH_CONSTANT:
            continue
        index = _take_argument(raw, i)
        if index not in numbers:
            numbers[index] = len(constants)
            constants.append(None if _is_place_of_class(code, raw[i + 2 : i + 4]) else code.co_consts[index])
        used.append(numbers[index])
    return bytes(raw), used, constants


def _take_argument(raw: bytearray, i: int) -> int:
    """Return an instruction's argument, whose upper bytes are in `EXTENDED_ARG` instructions before it, and set it to 0."""
    lowest, raw[i + 1] = raw[i + 1], 0
    is_extended = i >= 2 and raw[i - 2] == dis.EXTENDED_ARG
    return lowest | _take_argument(raw, i - 2) << 8 if is_extended else lowest


def _is_place_of_class(code: CodeType, following: bytearray) -> bool:
    """Return whether an instruction stores where a class is defined: under which qualified name, in which line."""
    operation, argument = following or b"\0\0"
    return operation == _WITH_NAME and argument < len(code.co_names) and code.co_names[argument] in _PLACE_OF_CLASS


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
