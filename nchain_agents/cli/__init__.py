"""The `nchain` command: one module a subcommand, which imports what it needs when it is run."""

from __future__ import annotations

import sys

import typer

from nchain_agents.cli.compare import compare
from nchain_agents.cli.reproduce import reproduce
from nchain_agents.cli.solve import solve

app = typer.Typer(
    name="nchain",
    help="NChain-v0: the chain's exact answer, and agents compared with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(solve)
app.command()(compare)
app.command()(reproduce)


def run() -> None:
    """Run the command line; bad input is one line and exit code 2."""
    try:
        app(standalone_mode=False)
    except typer.Abort:
        sys.exit("nchain: stopped")
    except (ValueError, OSError, typer.TyperException) as error:
        # only the formatted message of a parse error names the option
        said = error.format_message() if isinstance(error, typer.BadParameter) else error
        if str(said):  # empty where no command was given: the help has been printed
            print(f"nchain: {said}", file=sys.stderr)
        sys.exit(2)
