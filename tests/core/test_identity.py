"""A class is known by where it is defined, a function by what it does and holds: in every process, before and after it ran."""

import functools
import importlib
import operator
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
import threading
import types

import numpy as np
import pytest
import toolz
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.core.identity import callable_text, class_id, same_class


def encode(value):
    """The text of data, as simple as it can be."""
    if isinstance(value, np.ndarray):
        return f'{{"@array":"{value.dtype} {value.shape} {value.tobytes().hex()}"}}'
    if callable(value):
        return callable_text(value, encode)
    if isinstance(value, bool | int | float | str | None):
        return repr(value)
    raise TypeError(f"no data: {value}")


def text(function):
    return callable_text(function, encode)


def defined(source, name="f", module="elsewhere"):
    """A function from source code, as if another module defined it."""
    namespace = {"__name__": module, "np": np, "functools": functools}
    exec(compile(textwrap.dedent(source), f"/somewhere/{module}.py", "exec"), namespace)
    return namespace[name]


def many_constants(last):
    return "f = lambda t: [" + ", ".join(f"t * {i}.5" for i in (*range(299), last)) + ", None]"


# Sources with equal texts, which are different from those of every other entry.
SOURCES = {
    "constant": [
        "f = lambda t: 0.1 * t",
        "def f(t):\n    return 0.1 * t",
        "# a\n\n\ndef f(t: float) -> float:\n    'Doc.'\n    return 0.1 * t",
    ],
    "other constant": ["f = lambda t: 0.2 * t"],
    "int for float": ["f = lambda t: 1 * t"],
    "bool for int": ["f = lambda t: True * t"],
    "float for int": ["f = lambda t: 1.0 * t"],
    "negative zero": ["f = lambda t: -0.0 * t"],
    "zero": ["f = lambda t: 0.0 * t"],
    "operator": ["f = lambda t: 0.1 / t"],
    "global": ["f = lambda t: np.exp(t)"],
    "other global": ["f = lambda t: np.log(t)"],
    "default": ["f = lambda t, a=1: t"],
    "other default": ["f = lambda t, a=2: t"],
    "keyword default": ["f = lambda t, *, a=1: t"],
    "other keyword default": ["f = lambda t, *, a=2: t"],
    "positional-only": ["f = lambda t, a=1, /: t"],
    "other parameter": ["f = lambda s: 0.1 * s"],
    "arguments": ["f = lambda *t: 0.1"],
    "keywords": ["f = lambda **t: 0.1"],
    "generator": ["def f(t):\n    yield 0.1"],
    "coroutine": ["async def f(t):\n    return 0.1"],
    "set": ["f = lambda t: t in {'a', 'b', 'c', 1, 2.0, None}", "f = lambda t: t in {None, 2.0, 'c', 'b', 1, 'a'}"],
    "other set": ["f = lambda t: t in {'a', 'b', 'd', 1, 2.0, None}"],
    "bytes": ["f = lambda t: b'a'"],
    "text": ["f = lambda t: 'a'"],
    "text with a docstring": ["def f(t):\n    return None", "def f(t):\n    'Doc.'\n    return None"],
    "complex": ["f = lambda t: 1j"],
    "negative complex zero": ["f = lambda t: complex(t) * -0j"],
    "ellipsis": ["f = lambda t: t[...]"],
    "try": ["def f(t):\n    try:\n        return 1 / t\n    except ZeroDivisionError:\n        return 0.0"],
    "other exception": ["def f(t):\n    try:\n        return 1 / t\n    except ValueError:\n        return 0.0"],
    "nested": ["f = lambda t: [g * t for g in (lambda s: 0.5 * s,)]"],
    "other nested": ["f = lambda t: [g * t for g in (lambda s: 0.6 * s,)]"],
    "nested with a docstring": [
        "def f(t):\n    def g(s):\n        return 2 * s\n    return g(t)",
        "def f(t):\n    def g(s):\n        'Doc.'\n        return 2 * s\n    return g(t)",
    ],
    "closure": [
        "def g(a):\n    return lambda t: a * t\nf = g(0.1)",
        "def other(a):\n    def named(t):\n        return a * t\n    return named\nf = other(0.1)",
    ],
    "other closure": ["def g(a):\n    return lambda t: a * t\nf = g(0.2)"],
    "array in the closure": ["def g(a):\n    return lambda t: a * t\nf = g(np.ones(2))"],
    "other array in the closure": ["def g(a):\n    return lambda t: a * t\nf = g(np.ones(3))"],
    "table": ["def g(a):\n    return lambda t: a * t\nf = g({0: 0.1, 10: 0.01})"],
    "other table": ["def g(a):\n    return lambda t: a * t\nf = g({0: 0.1, 10: 0.02})"],
    "module": ["def g(a):\n    return lambda t: a * t\nf = g(np)"],
    "empty cell": ["def g():\n    f = lambda t: a * t\n    return f\n    a = 0.1\nf = g()"],
    "recursion": ["def g():\n    def f(t):\n        return t and f(t - 1)\n    return f\nf = g()"],
    "other recursion": ["def g():\n    def f(t):\n        return t and f(t - 2)\n    return f\nf = g()"],
    "wrapped": [
        "def w(g):\n    @functools.wraps(g)\n    def f(*a): return g(*a)\n    return f\n@w\ndef f(t):\n    return 0.1",
    ],
    "other wrapped": [
        "def w(g):\n    @functools.wraps(g)\n    def f(*a): return g(*a)\n    return f\n@w\ndef f(t):\n    return 0.2",
    ],
    "class within": [
        "def f(t):\n    class C:\n        a = 1\n    return C",
        "\n\ndef f(t):\n    class C:\n        a = 1\n    return C",
    ],
    "other class within": ["def f(t):\n    class C:\n        a = 2\n    return C"],
    "many constants": [many_constants(299)],
    "other of many constants": [many_constants(400)],
}


def test_functions_are_known_by_what_they_do():
    """Equal source has equal text under any name, file, line, docstring and annotation; other source has other text."""
    texts = {kind: {text(defined(source)) for source in sources} for kind, sources in SOURCES.items()}
    assert {kind: len(found) for kind, found in texts.items() if len(found) != 1} == {}
    assert len(set.union(*texts.values())) == len(SOURCES)


def test_a_renamed_function_with_a_class_within_is_the_same():
    """The qualified name of a class, and the line where it is defined, are constants of its body."""
    body = "():\n    class C:\n        def a(self):\n            return 1\n    return C"
    assert text(defined(f"def f{body}")) == text(defined(f"\n\n\ndef g{body}", "g"))


class Scale:
    """A callable object, whose attributes are its state."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, t):
        return self.rate(t)

    def rate(self, t):
        return self.factor * t

    @functools.cached_property
    def inverse(self):
        return 1 / self.factor


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, t):
        return self.factor * t


class Curried(toolz.curry):
    pass


def power(t, exponent=2.0, *, scale=1.0):
    return scale * t**exponent


def other_power(t, exponent=2.0, *, scale=1.0):
    return scale * t * exponent


HOLDERS = {
    "partial": lambda a, f=power: functools.partial(f, exponent=a, scale=2.0),
    "partial by position": lambda a, f=power: functools.partial(f, 1.0, a),
    "object": lambda a, f=power: Scale((a, f)),
    "slots": lambda a, f=power: Slotted([a, f]),
    "bound method": lambda a, f=power: Scale((a, f)).rate,
    "curry": lambda a, f=power: toolz.curry(f, scale=a),
    "subclass of curry": lambda a, f=power: Curried(f, scale=a),
    "compose": lambda a, f=power: toolz.compose(f, functools.partial(max, a)),
    "lru_cache": lambda a, f=power: functools.lru_cache(functools.partial(f, a)),
    "closure": lambda a, f=power: lambda t: f(t, a),
    "namespace": lambda a, f=power: (lambda held: lambda t: held.f(t, held.a))(types.SimpleNamespace(a=a, f=f)),
    "vectorize": lambda a, f=power: np.vectorize(functools.partial(f, a), otypes=[float]),
    "builtin method": lambda a, f=power: (a, f).__eq__,
    "mapping": lambda a, f=power: {"a": a, f: 1}.get,
    "nested": lambda a, f=power: toolz.compose(Scale(toolz.curry(f)(exponent=a)), f),
}


@given(a=st.floats(), b=st.floats())
def test_holders_are_known_by_their_parts(a, b):
    """An object that holds a function and a value is known by these, to the bit, and by its kind."""
    same = repr(a) == repr(b)
    for kind, make in HOLDERS.items():
        assert text(make(a)) == text(make(a)), kind
        assert (text(make(a)) == text(make(b))) == same, kind
        assert text(make(a)) != text(make(a, other_power)), kind
    assert len({text(make(a)) for make in HOLDERS.values()}) == len(HOLDERS)


def test_forms():
    """A function written in C is known by its name, and what is not is known by its parts."""
    assert text(abs) == '{"@name":"builtins.abs"}'
    assert text(np.add) == '{"@name":"numpy.add"}'
    assert text(np.mean) == '{"@name":"numpy.mean"}'
    assert text(str.upper) == '{"@name":"builtins.str.upper"}'
    assert text(Scale) == '{"@name":"tests.core.test_identity.Scale"}'
    assert text(fl.optimizers.Adam) == '{"@name":"fnloop.Adam"}'
    assert re.fullmatch(r'{"@function":"[0-9a-f]{64}"}', text(power))
    assert text(functools.partial(abs, 1)).startswith('{"@partial":[{"@name":"builtins.abs"},')
    assert text(Scale(1).rate).startswith('{"@method":["rate",')
    assert text(Scale(1)).startswith('{"@callable":["tests.core.test_identity.Scale","')
    keywords = functools.partial(power, scale=1, exponent=2), functools.partial(power, exponent=2, scale=1)
    assert text(keywords[0]) == text(keywords[1])
    assert text(operator.methodcaller("a", b=1)) != text(operator.methodcaller("a", b=2))


def test_the_code_of_an_object_counts():
    """An edited `__call__`, or a method that it calls, makes another object; a method that it does not call does not."""
    source = """
    class Base:
        def __call__(self, t): return self.rate(t)
    class C(Base):
        def __call__(self, t): return super().__call__(t)
        def rate(self, t): return 0.1 * t
        def other(self): return 1
    f = C()
    """
    original = text(defined(source))
    assert original == text(defined(source))
    assert original == text(defined(source.replace("return 1", "return 2")))
    assert original != text(defined(source.replace("0.1", "0.2")))
    assert original != text(defined(source.replace("self.rate(t)", "-self.rate(t)")))


def test_what_a_run_leaves_behind_does_not_count():
    """Caches that a call fills, and bytecode that Python specialises, do not change a text."""
    cached, scale = functools.lru_cache(lambda t: t + 1), Scale(2.0)
    vectorized, curried = np.vectorize(lambda t: t + 1, otypes=[float]), toolz.curry(power, 1.0)
    hot = defined("def f(t):\n    total = 0\n    for i in range(t):\n        total += [i, 2.0][0] * 2\n    return total")
    functions = cached, scale, vectorized, curried, hot
    before = [text(function) for function in functions]
    cached(1), scale(1), scale.inverse, vectorized([1.0]), curried(scale=2.0)
    with pytest.raises(TypeError):
        curried(wrong=1)
    for _ in range(200):
        hot(200)
    tracer = sys.gettrace()
    try:
        sys.settrace(lambda *args: None)
        traced = defined("def f(t):\n    return lambda: t")(1)
        traced()
        assert [text(function) for function in functions] == before
    finally:
        sys.settrace(tracer)
    assert text(traced) == text(defined("def f(t):\n    return lambda: t")(1))


def even_and_odd(step=1):
    def even(t):
        return t == 0 or odd(t - step)

    def odd(t):
        return t != 0 and even(t - step)

    return even, odd


def clique(size, constant=0):
    """Closures each of which contains all of them."""
    functions = []
    functions.extend([lambda t, i=i: functions[i](t) + constant for i in range(size)])
    return functions


def test_cycles_are_written_once():
    """Functions that contain one another have a text each, which does not depend on where they are reached from."""
    even, odd = even_and_odd()
    assert text(even) != text(odd)
    assert [text(even), text(odd)] == [text(function) for function in even_and_odd()]
    assert text(even) != text(even_and_odd(2)[0])
    pair, copies = (lambda: (even, odd)), (lambda even, odd: lambda: (even, odd))(even_and_odd()[0], even_and_odd()[1])
    assert text(pair) == text(copies)
    assert text(pair) != text((lambda even, odd: lambda: (odd, even))(even, odd))
    assert text(clique(12)[3]) == text(clique(12)[3]) != text(clique(12)[4])
    assert text(clique(12)[3]) != text(clique(12, 1)[3])
    scale = Scale(1.0)
    scale.method, scale.items = scale.rate, [scale, {"again": scale}]
    assert text(scale) == text(scale)
    assert text(scale.rate) == text(scale.rate) != text(scale)


def test_sharing_does_not_count():
    """A value that is held twice is written as two equal ones; many levels of sharing take no longer."""
    shared, copies = [1.0], ([1.0], [1.0])
    assert text((lambda a, b: lambda: (a, b))(shared, shared)) == text((lambda a, b: lambda: (a, b))(*copies))
    function = power
    for _ in range(60):
        function = (lambda f, g: lambda t: f(g(t)))(function, function)
    assert re.fullmatch(r'{"@function":"[0-9a-f]{64}"}', text(function))


@pytest.mark.parametrize(
    ("held", "named"),
    [
        (threading.Lock(), "lock"),
        ((i for i in "a"), "generator"),
        (np.frompyfunc(power, 1, 1), "ufunc 'power"),
        (sys.stdout, "TextIO|EncodedFile"),
    ],
)
def test_what_cannot_be_identified_is_named(held, named):
    """It raises, however deep it is, and the next text is right."""
    with pytest.raises(TypeError, match=rf"{named}.* cannot be identified"):
        text(functools.partial(lambda t: t, [Scale({1: held})]))
    assert text(abs) == '{"@name":"builtins.abs"}'


PROGRAM = """
import functools, json, multiprocessing, sys
import numpy as np, toolz
from fnloop.core.identity import callable_text, class_id

class Layer:
    class Inner: pass

class Rate:
    def __init__(self): self.names, self.table = {"a", "b", "c", 1, None}, {0: 0.1}
    def __call__(self, t): return t in {"x", "y", "z", 3} and self.table

def encode(value):
    return callable_text(value, encode) if callable(value) else json.dumps(value)

def local():
    names = {"p", "q", "r"}
    return lambda t: t in names or {"a": t in frozenset(("l", "m", "n"))}

def report(_=None):
    return [class_id(Layer), class_id(Layer.Inner), *(callable_text(f, encode) for f in (
        Rate(), local(), functools.partial(local(), Rate), toolz.curry(Layer), Layer.__init__, np.exp))]

if __name__ == "__main__":
    if "spawn" in sys.argv:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(json.dumps(pool.map(report, [0])[0]))
    else:
        print(json.dumps(report()))
"""


def output(arguments, folder, seed):
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_process_gives_the_same_texts(tmp_path):
    """A script, the module that it is when imported, and a spawned process agree, whatever the seed of hashes is."""
    (tmp_path / "train.py").write_text(PROGRAM)
    imported = "import json, train; print(json.dumps(train.report()))"
    expected = output(["-c", imported], tmp_path, 1)
    assert expected.startswith('["train.Layer", "train.Layer.Inner", ')
    assert output(["train.py"], tmp_path, 2) == expected
    assert output(["train.py", "spawn"], tmp_path, 3) == expected
    package = tmp_path / "project"
    package.mkdir()
    (package / "train.py").write_text(PROGRAM)
    assert output(["-m", "project.train"], tmp_path, 4) == expected.replace("train.", "project.train.")


def test_ids_of_classes():
    """Classes of the package have its name, whatever their modules; others have their module and qualified name."""
    assert class_id(fl.optimizers.Adam) == "fnloop.Adam"
    assert class_id(Scale) == "tests.core.test_identity.Scale"
    assert class_id(dict) == "builtins.dict"

    class Renamed:
        stored_name = "Former"
        format_version = 2

    class Derived(Renamed):
        pass

    class HasFields:
        __slots__ = "format_version", "stored_name"

    assert class_id(Renamed) == f"{__name__}.Former/2"
    assert class_id(Derived) == f"{__name__}.{Derived.__qualname__}/2"
    assert class_id(HasFields) == f"{__name__}.{HasFields.__qualname__}"
    for version, error in (("2", TypeError), (True, TypeError), (0, ValueError)):
        with pytest.raises(error, match=rf"format_version of .* must be .*at least 1, got {version!r}"):
            class_id(type("Wrong", (), {"format_version": version}))


def test_no_two_records_of_the_package_have_one_id():
    """Whatever modules they are in: an id has no module, so that a class can move."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(fl.__path__, "fnloop.")
        if not found.name.startswith(("fnloop.engines.jax", "fnloop.__main__"))
    ]
    records = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and hasattr(value, "__attrs_attrs__") and value.__module__.startswith("fnloop.")
    }
    assert len({class_id(cls) for cls in records}) == len(records) > 100


def test_the_main_module(monkeypatch):
    """It has the name under which it would be imported, or none."""

    def id_with(**attributes):
        main = types.ModuleType("__main__")
        vars(main).update(attributes)
        monkeypatch.setitem(sys.modules, "__main__", main)
        return class_id(type("Layer", (), {"__module__": "__main__"}))

    assert id_with() == "__main__.Layer"
    assert id_with(__file__="/a/b/train.py") == "train.Layer"
    assert id_with(__file__="/a/b/train.py", __spec__=types.SimpleNamespace(name="a.b.train")) == "a.b.train.Layer"
    assert id_with(__file__="/a/b/train.py", __spec__=types.SimpleNamespace(name="__main__")) == "train.Layer"


def test_same_class():
    """A class is found again in a module of which the recorded one is the end, or the other way round."""

    def cls(module, name="Layer", **attributes):
        return type(name, (), {"__module__": module, "__qualname__": name, **attributes})

    for module in ("train", "project.train", "a.project.train"):
        for recorded in ("train.Layer", "project.train.Layer", "project.train.Layer/3", "__main__.Layer"):
            assert same_class(recorded, cls(module))
            assert same_class(recorded, cls(module, format_version=2))
        for recorded in (
            "strain.Layer",
            "train.x.Layer",
            "train.MyLayer",
            "train.A.Layer",
            "x.Layer",
            "fnloop.Layer",
            "Layer",
        ):
            assert not same_class(recorded, cls(module)), (recorded, module)
    assert same_class("project.train.Layer", cls("__main__no")) is False
    assert same_class("project.A.Layer", cls("project", "A.Layer"))
    assert same_class("project.Former", cls("project", stored_name="Former"))
    assert not same_class("project.Layer", cls("project", stored_name="Former"))


def test_classes_of_the_package_are_only_their_own():
    """A class of the user with the name of one of the package is never taken for it, nor the other way round."""
    own = type("Adam", (), {"__module__": "__main__", "__qualname__": "Adam"})
    nested = type("Adam", (), {"__module__": "my.fnloop", "__qualname__": "Adam"})
    assert same_class("fnloop.Adam", fl.optimizers.Adam)
    assert same_class("fnloop.Adam/2", fl.optimizers.Adam)
    for cls in (own, nested):
        assert not same_class("fnloop.Adam", cls)
        assert not same_class(class_id(cls), fl.optimizers.Adam)
    assert not same_class("__main__.Adam", fl.optimizers.Adam)


def test_a_function_that_cannot_be_identified_is_only_itself():
    """It can be trained with; two of them differ, and neither can be written to a file."""

    def with_lock():
        lock = threading.Lock()
        return lambda outputs, targets: lock.locked() + outputs

    first, second = with_lock(), with_lock()
    assert fl.same_bits([first], [first])
    assert not fl.same_bits([first], [second])
    with pytest.raises(TypeError, match="cannot be identified"):
        fl.digest([first])
