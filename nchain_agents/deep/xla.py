"""XLA's flags, for TensorFlow and JAX: small loops as one kernel each.

On CPUs XLA runs a loop as a list of calls, which cost more than the arithmetic of a small network.
Loops that touch little memory become one kernel instead, without the calls. XLA draws the line at
1 KiB; the training loop of the tutorial's network needs more, and gets 64 KiB. JAX reads the flags
once, so that they must be set before a process computes something with it; else nothing changes but
the speed.
"""

from __future__ import annotations

_OPTION = "xla_backend_extra_options"
_SMALL_LOOPS = f"--{_OPTION}=xla_cpu_small_while_loop_byte_threshold={64 * 1024}"


def with_small_loops(flags: str) -> str:
    """Return XLA's flags with the one for small loops, unless they set such options themselves."""
    # what does not begin with a dash is the name of a file with flags
    if _OPTION in flags or not (flags == "" or flags.startswith("-")):
        return flags
    return f"{_SMALL_LOOPS} {flags}".rstrip()
