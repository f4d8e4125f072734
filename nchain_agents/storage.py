"""Saved agents: one file of plain arrays and one JSON text, written and read without pickle.

A file is an archive as `numpy.savez` writes it, uncompressed. Its array `header` holds a JSON
object, the others what was learned. A file is not trusted: what it declares is compared with what
it holds before anything is built from it, so that reading one takes no more than its own size. What
is missing, or not what the caller says it must be, raises a ValueError that names it.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt

from nchain_agents.files import whole_file
from nchain_env.checks import integer

Arrays = dict[str, npt.NDArray[Any]]

FORMAT = 3
# No count in a file is larger, so that sums of two still fit in 64 bits.
LARGEST = 2**62

# How deep lists and objects may be nested in a header: what reads them is recursive.
_DEPTH = 64
# PCG64's state: two numbers of 128 bits, and half a number that may be left over
_GENERATORS = ("PCG64", "PCG64DXSM")


def write(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Any]
) -> None:
    """Write a file, which appears whole or not at all, in a folder that is made if need be.

    Args:
        path: The file.
        header: What JSON can say; NumPy's numbers and arrays are written as Python's.
        arrays: Numbers only.

    Raises:
        OSError: The file cannot be written.
        TypeError: The header or an array holds something else.
    """
    text = json.dumps({"format": FORMAT, **header}, default=_plain)
    for name, array in arrays.items():
        if np.asarray(array).dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold numbers to be saved, got {np.asarray(array).dtype}")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as partial, partial.open("wb") as file:
        np.savez(file, header=np.array(text), **arrays)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} cannot be saved without pickle")


class Saved:
    """The content of a file; each part is checked when it is taken.

    Args:
        path: The file.
        header: Its JSON object.
        arrays: Its arrays.
    """

    def __init__(
        self, path: str | os.PathLike[str], header: dict[str, Any], arrays: Arrays
    ) -> None:
        self.path, self._header, self._arrays = path, header, arrays

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    @property
    def size(self) -> int:
        """How many bytes the arrays take that are not taken out yet."""
        return sum(array.nbytes for array in self._arrays.values())

    def field(self, name: str, *kinds: type) -> Any:
        """Return a field of the header, of one of these types."""
        if name not in self._header:
            raise ValueError(f"{name} is missing")
        return typed(name, self._header[name], *kinds)

    def count(self, name: str, low: int = 0, high: int = LARGEST) -> int:
        """Return an integer of the header, at least `low` and below `high`."""
        return integer(name, self.field(name, int), low, high)

    def shapes(self, prefix: str) -> list[tuple[int, ...]]:
        """Return the shapes of the arrays `prefix_0`, `prefix_1` and so on."""
        shapes: list[tuple[int, ...]] = []
        while (name := f"{prefix}_{len(shapes)}") in self._arrays:
            shapes.append(self._arrays[name].shape)
        return shapes

    def array(
        self,
        name: str,
        dtype: npt.DTypeLike,
        shape: Sequence[int | None],
        low: float = -math.inf,
        high: float = math.inf,
    ) -> npt.NDArray[Any]:
        """Take an array out.

        Args:
            name: Its name.
            dtype: Its type; an array of the same kind that holds the same numbers is converted.
            shape: Its shape; None stands for any length.
            low: The lowest number that is allowed; with it, or `high`, NaN is not.
            high: The highest.

        Raises:
            ValueError: It is missing, or not such an array.
        """
        if name not in self._arrays:
            raise ValueError(f"{name} is missing")
        found, wanted = self._arrays[name], np.dtype(dtype)
        fits = len(found.shape) == len(shape) and all(
            length in (None, own) for own, length in zip(found.shape, shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"env must have arrays like the saved agent's: {name} has shape "
                f"{tuple(shape)} here and {found.shape} there"
            )
        if found.dtype.kind != wanted.kind:
            raise ValueError(f"{name} must hold {wanted} numbers, got {found.dtype}")
        if found.dtype != wanted:
            with np.errstate(over="ignore"):
                converted = found.astype(wanted)
            if wanted.kind in "iu" and not (converted == found).all():
                raise ValueError(f"{name} holds numbers that {wanted} cannot hold")
            found = converted
        if (low > -math.inf or high < math.inf) and not ((found >= low) & (found <= high)).all():
            raise ValueError(f"{name} must hold numbers in [{low:g}, {high:g}], got others")
        del self._arrays[name]
        return found

    def number(self, name: str, low: int, high: int = LARGEST) -> int:
        """Take an array out that is one integer, at least `low` and below `high`."""
        return integer(name, int(self.array(name, np.int64, ())), low, high)

    def nothing_left(self) -> None:
        """Check that all arrays were taken out."""
        if self._arrays:
            raise ValueError(f"there are arrays of unknown names: {', '.join(self._arrays)}")

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Let errors that the content causes name the file."""
        try:
            yield
        except (ValueError, TypeError, ArithmeticError, LookupError, MemoryError) as error:
            raise ValueError(
                f"{self.path} cannot be loaded: {str(error) or repr(error)}"
            ) from error


def read(path: str | os.PathLike[str]) -> Saved:
    """Read a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not one that `write` wrote, or of another format.
    """
    content = Path(path).read_bytes()
    try:
        members = _members(content)
        header = json.loads(_array(members.pop("header"), "U").item())
        _check_depth(header, _DEPTH)
        form = integer("format", typed("header", header, dict).get("format"), 0)
        arrays = {name: _array(member) for name, member in members.items() if form == FORMAT}
    except Exception as error:  # whatever a damaged archive sets off in zipfile, json and NumPy
        raise ValueError(f"{path} is not a saved agent, or is damaged: {error!r}") from error
    if form != FORMAT:
        raise ValueError(f"{path} has format {form}; this version reads format {FORMAT}")
    return Saved(path, header, arrays)


def _check_depth(value: Any, allowed: int) -> None:
    if isinstance(value, dict | list):
        if allowed == 0:
            raise ValueError(f"the header is nested more than {_DEPTH} deep")
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, allowed - 1)


def typed(name: str, value: Any, *kinds: type) -> Any:
    """Return a value that JSON gave if it is of one of these types; True and False are no int."""
    if type(value) not in kinds:
        known = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{name} must be of type {known}, got {str(value)[:80]}")
    return value


def bounded(name: str, value: Any) -> Any:
    """Return a value that JSON gave if no integer in it is beyond 64 bits."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            bounded(name, part)
    elif isinstance(value, int) and abs(value) >= LARGEST:
        raise ValueError(f"{name} must be below {LARGEST}, got {value}")
    return value


def generator_state(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """Return the state of a generator of NumPy's `default_rng`, ready for JSON."""
    state: Any = rng.bit_generator.state
    if state["bit_generator"] not in _GENERATORS:
        raise ValueError(
            f"{name} must be one of {', '.join(_GENERATORS)} to be saved, "
            f"got {state['bit_generator']}"
        )
    return dict(state)


def set_generator(name: str, rng: np.random.Generator, state: Any) -> None:
    """Set the state of a generator to what `generator_state` returned."""
    own = generator_state(name, rng)
    with suppress(Exception):  # whatever NumPy raises for a damaged state
        rng.bit_generator.state = state
    if rng.bit_generator.state != state or state["has_uint32"] not in (0, 1):
        rng.bit_generator.state = own
        raise ValueError(f"{name} must be the state of a {own['bit_generator']}")


def _members(content: bytes) -> dict[str, bytes]:
    """Return what an archive holds by its names, `.npy` left off."""
    members: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        if sum(info.file_size for info in infos) > len(content):
            raise ValueError("its members are larger than the file")
        for info in infos:
            name = info.filename.removesuffix(".npy")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise ValueError(f"{info.filename} is compressed")
            if not name.isidentifier() or name == info.filename or name in members:
                raise ValueError(
                    f"{info.filename} is no member of a saved agent, or is there twice"
                )
            members[name] = archive.read(info)
    return members


def _array(member: bytes, kinds: str = "biuf") -> npt.NDArray[Any]:
    """Return the array of a `.npy` member, which must be of one of these kinds."""
    file = io.BytesIO(member)
    if npy.read_magic(file) != (1, 0):
        raise ValueError("an array has another version of the format")
    shape, by_columns, dtype = npy.read_array_header_1_0(file)
    data = file.read()
    if dtype.kind not in kinds or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array is not as large as it declares, or holds something else")
    array = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    if dtype.kind == "b":  # other bytes than 0 and 1 are no truth values
        array = np.frombuffer(data, np.uint8) != 0
    return array.reshape(shape, order="F" if by_columns else "C")
