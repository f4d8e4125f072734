"""What comes back from the threads of a pool."""

from __future__ import annotations

import queue
from typing import Any

# The index of a call and its result, or an exception of the pool itself, which ends it.
Answers = queue.SimpleQueue[tuple[int, Any] | BaseException]


def next_answer(answers: Answers) -> tuple[int, Any]:
    """Wait for the next answer and return it.

    Raises:
        BaseException: The pool itself failed.
    """
    while True:
        try:
            answer = answers.get(timeout=1)  # Windows interrupts no wait without an end
        except queue.Empty:
            continue
        if isinstance(answer, BaseException):
            raise answer
        return answer
