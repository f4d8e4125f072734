import inspect
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def toy_text() -> Callable[..., Any]:
    """Return what makes an environment, or skips where an older Gymnasium lacks an option."""

    def make(env_class: Callable[..., Any], **options: Any) -> Any:
        for name in options.keys() - inspect.signature(env_class).parameters.keys():
            pytest.skip(f"{env_class.__name__} has no `{name}` in this version of Gymnasium")
        return env_class(**options)

    return make
