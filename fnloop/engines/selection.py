"""Selection of an engine by its name."""

from fnloop.core.errors import EngineError
from fnloop.core.formatting import short
from fnloop.engines.base import Engine
from fnloop.engines.numpy.engine import NumpyEngine


def get_engine(name: str) -> Engine:
    """Return an engine by its name: `"numpy"`, or `"jax"`, optionally with a device, as in `"jax:gpu"` or `"jax:cpu:0"`.

    Raises:
        ValueError: If no engine has that name.
        EngineError: If JAX is not installed, or does not have the device.

    Examples:
        >>> get_engine("numpy")
        NumpyEngine()
    """
    if name == "numpy":
        return NumpyEngine()
    if not isinstance(name, str) or name.partition(":")[0] != "jax":
        raise ValueError(
            f"engine must be 'numpy', 'jax', or 'jax' with a device, such as 'jax:gpu' or 'jax:cpu:0', got {short(name)}"
        )
    try:
        from fnloop.engines.jax.engine import JaxEngine, find_device
    except ModuleNotFoundError as error:
        raise EngineError(f"engine {short(name)} needs JAX: python -m pip install 'fnloop[jax]' ({error})") from None
    return JaxEngine(find_device(name))
