"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

N = Annotated[int, typer.Option(help="Number of states, at least 1.")]
Slip = Annotated[float, typer.Option(help="Probability that the opposite action is executed.")]
Small = Annotated[float, typer.Option(help="Reward for going back to the first state.")]
Large = Annotated[float, typer.Option(help="Reward for going forward at the last state.")]
