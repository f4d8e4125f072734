"""Settings with which XLA runs small networks fast on a CPU, for TensorFlow and JAX.

XLA runs a loop on a CPU as a list of calls, which cost more than the arithmetic of a small network.
A loop that accesses little memory is compiled to one kernel instead, without the calls. The limit
is 1 KiB by default; the training loop of the tutorial's network needs more, and gets 64 KiB. JAX
runs calls ahead in a thread by default, which costs time where each call waits for the last one.
Nothing but the speed depends on these settings.
"""

from __future__ import annotations

import os

_OPTION = "xla_backend_extra_options"
_SMALL_LOOPS = f"--{_OPTION}=xla_cpu_small_while_loop_byte_threshold={64 * 1024}"


def fast_cpu() -> None:
    """Let XLA run small networks fast on the CPU of this process.

    It adds a flag to the environment variable `XLA_FLAGS`, unless that sets
    `xla_backend_extra_options` already, and where JAX is Keras's backend it switches off JAX's
    asynchronous dispatch on CPUs. Call it before the process computes anything with TensorFlow or
    JAX.

    Raises:
        ModuleNotFoundError: Keras or its backend is not installed.
    """
    os.environ["XLA_FLAGS"] = with_small_loops(os.environ.get("XLA_FLAGS", ""))
    import keras

    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def with_small_loops(flags: str) -> str:
    """Return XLA's flags with the one for small loops, unless they set such options themselves."""
    # what does not begin with a dash is the name of a file with flags
    if _OPTION in flags or not (flags == "" or flags.startswith("-")):
        return flags
    return f"{_SMALL_LOOPS} {flags}".rstrip()
