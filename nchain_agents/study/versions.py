"""The versions of the packages that take part in a study."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata

import nchain_env
from nchain_agents.study.plan import Study

# Every study uses these; those of its agents and environments come after them.
_PACKAGES = ("gymnasium", "numpy", "scipy", "numba", "matplotlib")
_REQUIRED_BY = {"stable_baselines3": "torch"}


def versions(study: Study) -> dict[str, str]:
    """Return the versions of Python, of this project and of all packages that take part."""
    return dict(_versions(study))


def _versions(study: Study) -> Iterator[tuple[str, str]]:
    yield "Python", platform.python_version()
    yield "nchain-env", nchain_env.__version__
    modules = [module for agent in study.agents for module in agent.requires]
    if study.keras_backend is not None:
        modules.append(study.keras_backend)
    modules += [agent.path for agent in study.agents]
    modules += [str(env.module or env.registration.entry_point) for env in study.envs]
    names = [re.split("[.:]", module)[0] for module in modules]
    names += [_REQUIRED_BY[name] for name in names if name in _REQUIRED_BY]
    for name in dict.fromkeys([*_PACKAGES, *names]):
        if name.startswith("nchain_"):
            continue
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:  # a module whose package has another name, or none
            continue
