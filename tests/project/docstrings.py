"""Reads docstrings in Google style, and lists the faults of one."""

import enum
import inspect
import itertools
import re
import textwrap

import attrs

SECTIONS = "Args", "Attributes", "Examples", "Raises", "Returns", "See Also", "Shapes", "Source", "Yields"
HEADING = re.compile(r"^(\w[\w ]*):\s*$", re.M)
EXCEPTION = re.compile(r"^\w*(Error|Exception|Warning|Interrupt|Abort|Exit): \S")


def faults_of(value):
    """Every fault of the docstring of a class or a function, as short sentences."""
    text = inspect.cleandoc(value.__doc__ or "")
    if not text:
        return ["has no docstring"]
    return [*_first_line(text), *_parameters(value, text), *_exceptions(text), *_headings(text)]


def sections(text):
    """The sections of a docstring by their names, dedented; the summary is under the empty name."""
    parts = HEADING.split(text)
    names = ["", *parts[1::2]]
    return {name: _indented(body) if name else body for name, body in zip(names, parts[::2], strict=True)}


def _indented(body):
    """The indented lines that follow a heading, dedented."""
    lines = itertools.takewhile(lambda line: not line.strip() or line.startswith(" "), body.strip("\n").splitlines())
    return textwrap.dedent("\n".join(lines)).strip()


def entries(section):
    """The entries of a section, each with its continuation lines."""
    return re.findall(r"^\S.*(?:\n[ \n].*)*", section, re.M)


def parameters_of(value):
    """The names of the parameters that a caller may give, or of a record's fields."""
    if isinstance(value, type) and attrs.has(value):
        return [field.name for field in attrs.fields(value) if field.init and not field.name.startswith("_")]
    if isinstance(value, type) and hasattr(value, "_fields"):
        return list(value._fields)
    if isinstance(value, type) and (issubclass(value, Exception | enum.Enum) or getattr(value, "_is_protocol", False)):
        return []
    if isinstance(value, type) and value.__init__ is object.__init__:
        return []
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]


def _first_line(text):
    first = text.split("\n\n")[0]
    if "\n" in first:
        yield "the first sentence is not one line"
    if not first.rstrip().endswith("."):
        yield "the first line does not end with a full stop"
    if first.startswith("See `"):
        yield "the first line only refers to another docstring"


def _parameters(value, text):
    found = sections(text)
    documented = set()
    for name in ("Args", "Attributes"):
        for entry in entries(found.get(name, "")):
            heads, colon, meaning = entry.partition(":")
            if colon and meaning.strip():
                documented |= {head.strip().lstrip("*").split(" (")[0] for head in heads.split(",")}
    expected = parameters_of(value)
    missing = [name for name in expected if name not in documented]
    if missing:
        yield f"does not document {', '.join(missing)}"
    unknown = sorted(documented - set(expected)) if found.get("Args") and expected else []
    if unknown:
        yield f"documents {', '.join(unknown)}, which it does not have"


def _exceptions(text):
    for entry in entries(sections(text).get("Raises", "")):
        if not EXCEPTION.match(entry):
            yield f"'Raises:' has an entry that is not 'Error: If ...': {entry.splitlines()[0]!r}"
        if re.search(r"; \w+Error:", entry):
            yield f"'Raises:' has two exceptions on one line: {entry.splitlines()[0]!r}"


def _headings(text):
    for heading in re.findall(r"^(Args|Raises|Returns|Attributes|Examples?|See also|See Also): +\S", text, re.M):
        yield f"'{heading}:' has text on the line of its heading"
    unknown = [heading for heading in HEADING.findall(text) if heading not in SECTIONS]
    if unknown:
        yield f"has the heading {', '.join(unknown)}, which is not one of {', '.join(SECTIONS)}"


def public_methods(cls):
    """The public functions that a class defines itself and that no base class documents."""
    for name, value in vars(cls).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        inherited = any(getattr(base, name, None) is not None for base in cls.__mro__[1:])
        if inspect.isfunction(function) and not name.startswith("_") and not inherited:
            yield function
