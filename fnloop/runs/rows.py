"""The rows of a run file, one for each state: its counters, metrics and hashes."""

import json
import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import Any, NamedTuple

from fnloop.core.encoding import Encoder, sha256_of
from fnloop.runs.packing import check_size

FIELD_BYTES = 4  # of the checksum of a field


class Row(NamedTuple):
    """One state of a run, as its row in the run file describes it.

    Attributes:
        position: Index of the state in the recorded stream, from 0.
        epoch: Number of finished epochs.
        step: Number of batches folded since the start of training.
        seconds: Time the epoch took, to the microsecond.
        stopped: Why training stopped with this state, or None.
        metrics: The metrics of the epoch; empty for a state that finished no epoch.
        environment: The environment from this state on as JSON; None if it is that of the state before.
        fields: A checksum of each field of the state that is not at its default, in order.
        digest: The digest of the state.
    """

    position: int
    epoch: int
    step: int
    seconds: float
    stopped: str | None
    metrics: Mapping[str, float]
    environment: str | None
    fields: bytes
    digest: str

    def columns(self) -> tuple[Any, ...]:
        """Return the row as the table `states` stores it, with the metrics as JSON."""
        return (*self[:5], numbers_to_json(self.metrics), *self[6:])

    def check(self) -> "Row":
        """Return the row if each value has the right type.

        Raises:
            ValueError: If a value has another type, or a counter is negative.
        """
        types = tuple(map(type, self))
        if types not in _TYPES or min(self[:3]) < 0:
            raise ValueError(f"row {self.position} of the states is invalid: {self[:5]}")
        return self


METRICS = Row._fields.index("metrics")  # the column
_TYPES = {
    (int, int, int, float, stopped, dict, environment, bytes, str)
    for stopped in (str, type(None))
    for environment in (str, type(None))
}


def parse_row(columns: Sequence[Any]) -> Row:
    """Parse a row of the table `states`.

    Raises:
        ValueError: If a value has the wrong type, or a text is larger than any that is written.
        TypeError: If a value that must be text is not.
    """
    position, epoch, step, seconds, stopped, metrics, environment, fields, digest = columns
    numbers = numbers_from_json(check_size(metrics))
    return Row(position, epoch, step, seconds, stopped, numbers, environment, fields, digest).check()


def hashed_line(columns: Sequence[Any]) -> bytes:
    """Return the line of a row that its block hashes: its columns, as the table `states` has them.

    Texts of JSON have no line breaks, so different columns give different lines.
    """
    position, epoch, step, seconds, stopped, metrics, environment, fields, digest = columns
    reason = "" if stopped is None else quote(stopped)
    return f"{position} {epoch} {step} {seconds!r} {digest} {fields.hex()} {reason}\n{metrics}\n{environment or ''}\n".encode()


def root_hash(texts: Mapping[str, str]) -> str:
    """Return the chain before the first block: the hash of the manifest.

    Args:
        texts: The manifest as JSON texts by name.
    """
    return sha256_of(json.dumps(sorted(texts.items())))


def make_row(
    position: int, state: Any, seconds: float, previous_epoch: int, encoder: Encoder, environment: str | None = None
) -> tuple[Row, str]:
    """Return the row of a state, and the text of the state.

    Args:
        position: Index of the state in the stream.
        state: The state.
        seconds: Time the epoch took.
        previous_epoch: `epoch` of the state before; metrics carried over from it are not recorded twice.
        encoder: The encoder; it then has the arrays of the state.
        environment: As in `Row`.
    """
    encoder.advance()
    text, fields = encoder.split(state)
    encoder.forget()
    epoch, step, stopped = counters(state, position)
    metrics = metrics_of(state) if epoch > previous_epoch else {}
    seconds = round(float(seconds), 6)
    row = Row(position, epoch, step, seconds, stopped, metrics, environment, checksums(fields.values()), sha256_of(text))
    return row.check(), text


def checksums(texts: Iterable[str]) -> bytes:
    """Return the checksums of the texts of fields."""
    sums = [zlib.crc32(text.encode()) for text in texts]
    return struct.pack(f">{len(sums)}I", *sums)


def differing_fields(fields: Mapping[str, str], recorded: bytes) -> tuple[str, ...]:
    """Return the names of the fields whose checksums are not the recorded ones.

    Args:
        fields: The texts of a state's fields by name.
        recorded: The checksums of the recorded state.
    """
    sums = checksums(fields.values())
    if len(sums) != len(recorded):
        return ("its fields",)
    return tuple(
        name
        for i, name in enumerate(fields)
        if sums[i * FIELD_BYTES : (i + 1) * FIELD_BYTES] != recorded[i * FIELD_BYTES : (i + 1) * FIELD_BYTES]
    )


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
    """Return numbers as JSON that SQLite reads too: NaN is null, and the infinities are too large for a float.

    Examples:
        >>> numbers_to_json({"loss": 0.5, "val_loss": math.nan, "r2": -math.inf})
        '{"loss":0.5,"val_loss":null,"r2":-9e999}'
    """
    return f"{{{','.join([f'{quote(name)}:{_number_to_json(value)}' for name, value in numbers.items()])}}}"


def _number_to_json(value: float) -> str:
    if math.isfinite(value):
        return float.__repr__(value)
    return "null" if value != value else "9e999" if value > 0 else "-9e999"


def numbers_from_json(text: str) -> dict[str, float]:
    """Parse the JSON of `numbers_to_json`; the sign and the payload of a NaN are lost.

    Examples:
        >>> numbers_from_json('{"loss":0.5,"val_loss":null,"r2":-9e999}')
        {'loss': 0.5, 'val_loss': nan, 'r2': -inf}
    """
    return {name: math.nan if value is None else float(value) for name, value in json.loads(text).items()}
