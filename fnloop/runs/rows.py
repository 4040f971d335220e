"""The rows of a run file, one for each state: its counters, metrics and hashes."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fnloop.core.digest import Hashed, Hashes, hash_of
from fnloop.core.fields import children_of
from fnloop.runs.packing import check_size

FIELD_HASH_DIGITS = 16  # hexadecimal digits of the hash of a field


class Row(NamedTuple):
    """One state of a run, as its row in the run file describes it.

    Attributes:
        position: Index of the state in the recorded stream, from 0.
        epoch: Number of finished epochs.
        step: Number of batches folded since the start of training.
        seconds: Time the epoch took.
        stopped: Why training stopped with this state, or None.
        metrics: The metrics of the epoch; empty for a state that finished no epoch.
        fields: The first digits of the hash of each field of the state.
        digest: The digest of the state.
        chain: SHA-256 of this row and the chain of the row before.
    """

    position: int
    epoch: int
    step: int
    seconds: float
    stopped: str | None
    metrics: Mapping[str, float]
    fields: Mapping[str, str]
    digest: str
    chain: str = ""

    def columns(self) -> tuple[Any, ...]:
        """Return the row as the table `states` stores it, with mappings as JSON."""
        return (*self[:5], numbers_to_json(self.metrics), json.dumps(self.fields), self.digest, self.chain)

    def with_chain(self, previous: str) -> "Row":
        """Return the row with its chain, given the chain of the row before."""
        return self._replace(chain=chain_hash(previous, self.columns()))

    def check(self) -> "Row":
        """Return the row if each value has the right type.

        Raises:
            ValueError: If a value has another type, or a counter is negative.
        """
        counters = self[:3]
        texts = (self.digest, self.chain, *self.fields.values())
        if (
            not all(type(count) is int and count >= 0 for count in counters)
            or type(self.seconds) is not float
            or type(self.stopped) not in (str, type(None))
            or not all(type(text) is str for text in texts)
        ):
            raise ValueError(f"row {self.position} of the states is invalid: {self[:5]}")
        return self


def parse_row(columns: Sequence[Any]) -> Row:
    """Parse a row of the table `states`.

    Raises:
        ValueError: If a value has the wrong type, or a text is larger than any that is written.
        TypeError: If a value that must be text is not.
    """
    position, epoch, step, seconds, stopped, metrics_json, fields_json, digest, chain = columns
    metrics, fields = numbers_from_json(check_size(metrics_json)), dict(json.loads(check_size(fields_json)))
    return Row(position, epoch, step, seconds, stopped, metrics, fields, digest, chain).check()


def chain_hash(previous: str, columns: Sequence[Any]) -> str:
    """Return the chain of a row, from the chain of the row before and the columns of this one."""
    return sha256_of_json([previous, *columns[:-1]])


def root_hash(texts: Mapping[str, str]) -> str:
    """Return the chain before the first row: the hash of the manifest.

    Args:
        texts: The manifest as JSON texts by name.
    """
    return sha256_of_json(sorted(texts.items()))


def sha256_of_json(value: Any) -> str:
    """Return the SHA-256 of a value's JSON."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def make_row(position: int, state: Any, seconds: float, previous_epoch: int, hashes: Hashes) -> tuple[Row, Hashes]:
    """Return the row of a state, without its chain, and the hashes of the state's parts.

    Args:
        position: Index of the state in the stream.
        state: The state.
        seconds: Time the epoch took.
        previous_epoch: `epoch` of the state before; metrics carried over from it are not recorded twice.
        hashes: Known hashes by identity, those of the state before.
    """
    new_hashes: dict[int, Hashed] = {}
    digest = hash_of(state, hashes, new_hashes).hex()
    fields = {name: hash_of(part, new_hashes).hex()[:FIELD_HASH_DIGITS] for name, part in children_of(state) or ()}
    epoch, step, stopped = counters(state, position)
    metrics = metrics_of(state) if epoch > previous_epoch else {}
    return Row(position, epoch, step, float(seconds), stopped, metrics, fields, digest).check(), new_hashes


def counters(state: Any, position: int) -> tuple[int, int, str | None]:
    """Return a state's epoch, step and stop reason.

    A state of a custom step that has no epoch or step counts by its position.
    """
    return int(getattr(state, "epoch", position)), int(getattr(state, "step", position)), getattr(state, "stop_reason", None)


def metrics_of(state: Any) -> dict[str, float]:
    """Return a state's metrics; empty for a state without metrics."""
    metrics = getattr(state, "metrics", None)
    return {str(name): float(value) for name, value in metrics.items()} if isinstance(metrics, Mapping) else {}


def numbers_to_json(numbers: Mapping[str, float]) -> str:
    """Return numbers as JSON, with NaN and the infinities as text.

    Examples:
        >>> numbers_to_json({"loss": 0.5, "val_loss": math.nan})
        '{"loss": 0.5, "val_loss": "nan"}'
    """
    return json.dumps({name: value if math.isfinite(value) else repr(value) for name, value in numbers.items()})


def numbers_from_json(text: str) -> dict[str, float]:
    """Parse the JSON of `numbers_to_json`; the sign of a NaN is lost.

    Examples:
        >>> numbers_from_json('{"loss": 0.5, "val_loss": "nan"}')
        {'loss': 0.5, 'val_loss': nan}
    """
    return {name: float(value) for name, value in json.loads(text).items()}
