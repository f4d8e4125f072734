"""The `nchain` command. Each subcommand is a module that imports its dependencies when it runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from nchain_agents.cli.agents import agents
from nchain_agents.cli.check import check
from nchain_agents.cli.compare import compare
from nchain_agents.cli.evaluate import evaluate
from nchain_agents.cli.plain_text import write_plain_text
from nchain_agents.cli.reproduce import reproduce
from nchain_agents.cli.solve import solve
from nchain_agents.cli.train import train
from nchain_agents.cli.tune import tune

app = typer.Typer(
    name="nchain",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from nchain_env import __version__

        print(f"nchain {__version__}")
        raise typer.Exit


@app.callback()
def nchain(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """The exact solution of NChain-v0, and agents that are compared with it."""


app.command()(solve)
app.command()(train)
app.command()(evaluate)
app.command()(tune)
# --sweep takes several words, of which the option itself takes the first only
app.command(context_settings={"allow_extra_args": True})(compare)
app.command()(agents)
app.command()(check)
app.command()(reproduce)

# The exit code that typer returns after Ctrl-C.
_INTERRUPTED = 130


def run() -> None:
    """Run the command line. Invalid input is reported in one line, with exit code 2."""
    write_plain_text()
    # Modules in the current folder can be imported, as with `python -m`.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code or 0)
    except (ValueError, OSError, ModuleNotFoundError, typer.TyperException) as error:
        # The formatted message of a parse error names the option and suggests similar ones.
        message = error.format_message() if isinstance(error, typer.TyperException) else error
        if str(message):  # empty without a command, when the help is printed
            print(f"nchain: {message}", file=sys.stderr)
        sys.exit(2)
