"""The `nchain` command: one module a subcommand, which imports what it needs when it is run."""

from __future__ import annotations

import os
import sys

import typer

from nchain_agents.cli.compare import compare
from nchain_agents.cli.evaluate import evaluate
from nchain_agents.cli.reproduce import reproduce
from nchain_agents.cli.solve import solve
from nchain_agents.cli.train import train

app = typer.Typer(
    name="nchain",
    help="NChain-v0: the chain's exact answer, and agents compared with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(solve)
app.command()(train)
app.command()(evaluate)
# the values of --sweep, which are several words
app.command(context_settings={"allow_extra_args": True})(compare)
app.command()(reproduce)

# What typer returns when the keyboard interrupts a command.
_INTERRUPTED = 130


def run() -> None:
    """Run the command line; bad input is one line and exit code 2."""
    # so that a user's own module is found where the command is run, as with `python -m`
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code or 0)
    except (ValueError, OSError, ModuleNotFoundError, typer.TyperException) as error:
        # only the formatted message of a parse error names the option, or those like it
        said = error.format_message() if isinstance(error, typer.TyperException) else error
        if str(said):  # empty where no command was given: the help has been printed
            print(f"nchain: {said}", file=sys.stderr)
        sys.exit(2)
