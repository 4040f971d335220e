"""The quick tests, and with `--thorough` the exhaustive ones and more examples of each law."""

import os

from hypothesis import settings

settings.register_profile("dev", deadline=None, max_examples=20)
settings.register_profile("ci", deadline=None, max_examples=20, derandomize=True, database=None)
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.register_profile("ci thorough", deadline=None, max_examples=100, derandomize=True, database=None)


def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true", help="run the exhaustive tests too, and more examples of each law")


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: exhaustive, and slow; it runs with --thorough")
    ci, thorough = bool(os.environ.get("CI")), config.getoption("--thorough")
    settings.load_profile({(0, 0): "dev", (1, 0): "ci", (0, 1): "thorough", (1, 1): "ci thorough"}[ci, thorough])


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
