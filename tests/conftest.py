"""The quick tests, and with `--thorough` the exhaustive ones and more examples of each law."""

import mmap
import os
from importlib.util import find_spec
from pathlib import Path

from hypothesis import settings

settings.register_profile("dev", deadline=None, max_examples=20)
settings.register_profile("ci", deadline=None, max_examples=20, derandomize=True, database=None)
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.register_profile("ci thorough", deadline=None, max_examples=100, derandomize=True, database=None)

# Compiling takes most of the time of the JAX tests; without optimisation it takes a third.
QUICK_COMPILER = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": "true",
    "xla_cpu_use_fusion_emitters": "false",
}


def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true", help="run the exhaustive tests too, and more examples of each law")


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: exhaustive and slow; runs with --thorough")
    ci, thorough = bool(os.environ.get("CI")), config.getoption("--thorough")
    settings.load_profile({(0, 0): "dev", (1, 0): "ci", (0, 1): "thorough", (1, 1): "ci thorough"}[ci, thorough])
    if not thorough:
        os.environ.setdefault("XLA_FLAGS", compiler_flags())


def compiler_flags():
    """The flags of a quick compiler that the installed JAX knows; it ends a process that sets another one."""
    found = find_spec("jaxlib")
    libraries = [path for place in found.submodule_search_locations for path in Path(place).glob("libjax_common.so")]
    if not libraries:
        return ""
    with libraries[0].open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return " ".join(f"--{name}={value}" for name, value in QUICK_COMPILER.items() if content.find(name.encode()) > 0)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--thorough"):
        excluded = [item for item in items if item.get_closest_marker("thorough")]
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=excluded)
