"""What comes back from the threads of a pool."""

from __future__ import annotations

import queue
from typing import Any

# The place of a call and its result; an exception that is none of a call's ends the pool.
Answers = queue.SimpleQueue[tuple[int, Any] | BaseException]


def next_answer(answers: Answers) -> tuple[int, Any]:
    """Return the next answer when it is there.

    Raises:
        BaseException: What came instead of it.
    """
    while True:
        try:
            answer = answers.get(timeout=1)  # Windows interrupts no wait without an end
        except queue.Empty:
            continue
        if isinstance(answer, BaseException):
            raise answer
        return answer
