"""PCG64, NumPy's default bit generator, in machine code.

Numba draws from a NumPy generator by a call of its C function for each number. Here compiled code
draws the same numbers in half the time from a copy of the generator's state, which is written back.

Source: O'Neill (2014), PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
for Random Number Generation, the member XSL RR 128/64.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_MULTIPLIER = 2549297995355413924 << 64 | 4865540595714422341


class Pcg64(NamedTuple):
    """What compiled code draws from: the state and the increment, 128 bits each, as (4,)."""

    words: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, generator: np.random.Generator) -> Pcg64:
        """Return a copy of the state of a generator on a PCG64."""
        state = generator.bit_generator.state["state"]
        words = b"".join(state[name].to_bytes(16, sys.byteorder) for name in ("state", "inc"))
        return cls(np.frombuffer(bytearray(words), dtype=np.uint64))

    def write_back(self, generator: np.random.Generator) -> None:
        """Let a generator go on from this state."""
        state: Any = generator.bit_generator.state
        state["state"]["state"] = int.from_bytes(self.words[:2].tobytes(), sys.byteorder)
        generator.bit_generator.state = state


# Functions that need more of their generators than `random`: a user's rules may.
_need_generators: set[Callable[..., Any]] = set()


def call(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    generators: Sequence[np.random.Generator],
) -> Any:
    """Call compiled code with generators, or where they are on PCG64 with copies of their states.

    Args:
        function: What Numba has compiled.
        arguments: Its first arguments.
        generators: Its last ones. When it returns they are where its draws have left them.
    """
    on_pcg64 = all(type(one.bit_generator) is np.random.PCG64 for one in generators)
    if not on_pcg64 or function in _need_generators:
        return function(*arguments, *generators)
    from numba.core.errors import TypingError

    register()
    # two names of one generator stay one generator
    copies = {id(one): Pcg64.of(one) for one in generators}
    try:
        return function(*arguments, *(copies[id(one)] for one in generators))
    except TypingError:
        _need_generators.add(function)
        return function(*arguments, *generators)
    finally:
        if function not in _need_generators:
            for one in generators:
                copies[id(one)].write_back(one)


@cache
def register() -> None:
    """Teach Numba the method `random` of a `Pcg64`."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic, overload_method
    from numba.np.arrayobj import make_array

    word, wide = ir.IntType(64), ir.IntType(128)

    @intrinsic  # type: ignore[untyped-decorator]
    def next64(typing_context: Any, words: Any) -> Any:
        """Advance the state by one step, and return 64 bits of it."""

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = make_array(signature.args[0])(context, builder, arguments[0])
            pointer = builder.bitcast(array.data, wide.as_pointer())
            increment = builder.load(builder.gep(pointer, [word(1)]), align=8)
            state = builder.load(pointer, align=8)
            state = builder.add(builder.mul(state, wide(_MULTIPLIER)), increment)
            builder.store(state, pointer, align=8)
            high = builder.trunc(builder.lshr(state, wide(64)), word)
            folded = builder.xor(high, builder.trunc(state, word))
            rotation = builder.trunc(builder.lshr(state, wide(122)), word)
            rotate = builder.module.declare_intrinsic(
                "llvm.fshr", [word], ir.FunctionType(word, [word] * 3)
            )
            return builder.call(rotate, [folded, folded, rotation])

        return types.uint64(words), code

    # Numba compares the names and the annotations of both functions.
    @overload_method(types.NamedUniTuple, "random", inline="always")
    def random(rng):  # type: ignore[no-untyped-def]
        if rng.instance_class is not Pcg64:
            return None
        # the upper 53 bits, as in NumPy
        return lambda rng: float(next64(rng.words) >> np.uint64(11)) * 2.0**-53
