"""What a check finds, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        name: A few words.
        says: What the agent does, in one sentence, with the figures of this agent.
        look_for: Where that usually comes from in code.
        source: Where it is described.
        mistake: Whether it is a mistake; else it is a remark, which does not fail a check.
        traceback: That of the exception, where one was raised.
    """

    name: str
    says: str
    look_for: str = ""
    source: str = ""
    mistake: bool = True
    traceback: str | None = None
