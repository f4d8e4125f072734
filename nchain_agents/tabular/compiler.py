"""Compiles the loop with an agent's rules by Numba."""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from nchain_agents.tabular import loop, pcg64
from nchain_agents.tabular.loop import Act, Due, Update


@cache
def compiled(act: Act, update: Update, due: Due) -> Callable[..., int]:
    """Return `run` with an agent's rules as machine code, kept on disk for later processes."""
    rules = {"act": act, "update": update, "due": due}
    machine_code: Callable[..., int] = compile_with_callees(loop.run, rules)[0]
    return machine_code


def compile_with_callees(function: Callable[..., Any], rules: dict[str, Any]) -> tuple[Any, str]:
    """Compile a function and all that it calls; return it with a digest of all their code.

    Numba reads called functions from the globals, so the function is copied with compiled ones
    there. The copy's name contains the digest, because the key of Numba's cache on disk depends on
    the function's file, but neither on its globals nor on the files of the functions that it calls.
    """
    import numba

    assert isinstance(function, FunctionType)
    names = {**function.__globals__, **rules}
    # inlining doubles the speed
    options = _options() | ({"cache": True} if rules else {"forceinline": True})
    about = [marshal.dumps(pcg64.register.__wrapped__.__code__), repr(options).encode()]
    digest = hashlib.sha256(marshal.dumps(function.__code__) + b"".join(about))
    for name in function.__code__.co_names:
        if isinstance(names.get(name), FunctionType):
            names[name], called = compile_with_callees(names[name], {})
            digest.update(called.encode())
    whole = digest.hexdigest()[:16]
    anew = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    anew.__qualname__ = f"{function.__name__}_{whole}"
    return numba.njit(**options)(anew), whole


def _options() -> dict[str, Any]:
    import numba.core.options

    # `learn_many` uses threads. The NumPy error model does not check divisors for zero.
    options = {"nogil": True, "error_model": "numpy"}
    # Without Numba's runtime, references to arrays are not counted, which took most of the time.
    # Nothing is allocated here, so the runtime is not needed. The option is private: a version of
    # Numba without it gives the same results, slower.
    if hasattr(getattr(numba.core.options, "DefaultOptions", None), "_nrt"):
        options["_nrt"] = False
    return options
