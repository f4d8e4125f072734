"""Shows snapshots of an environment in a render mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled

from nchain_env.extras import install_command

if TYPE_CHECKING:
    import pygame


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is drawn of an environment after a reset or a step.

    Args:
        num_states: The number of states.
        state: The current state.
        previous: The state before the last step.
        action: The action of the last step, None after a reset.
        reward: The reward of the last step.
        terminated: Whether the last step terminated the episode.
        info: The info of the last step.
        steps: The number of steps since the reset.
        total: The return so far: the sum of the rewards since the reset.
        action_names: The names of the actions; empty if they have none.
    """

    num_states: int
    state: int
    previous: int | None = None
    action: int | None = None
    reward: float = 0.0
    terminated: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    total: float = 0.0
    action_names: tuple[str, ...] = ()

    @property
    def action_name(self) -> str:
        """The name of the action, its number if it has none, and nothing after a reset."""
        if self.action is None:
            return ""
        return self.action_names[self.action] if self.action_names else str(self.action)


class Pictures(NamedTuple):
    """How snapshots are drawn."""

    as_text: Callable[[Snapshot], str]
    as_picture: Callable[[Snapshot], pygame.Surface]


class Renderer:
    """Draws snapshots in one render mode.

    Args:
        pictures: How they are drawn. The size of a picture must depend on `num_states` alone.
        render_mode: "ansi", "rgb_array" or "human".
        render_fps: The largest number of pictures per second in the mode "human".
        caption: The title of the window.
    """

    def __init__(
        self, pictures: Pictures, render_mode: str, render_fps: int, caption: str = ""
    ) -> None:
        self.pictures = pictures
        self.render_mode = render_mode
        self.render_fps = render_fps
        self.caption = caption
        self._window: pygame.Surface | None = None
        self._clock: pygame.time.Clock | None = None

    def draw(self, snapshot: Snapshot) -> str | npt.NDArray[np.uint8] | None:
        """Return a text ("ansi") or an (H, W, 3) image ("rgb_array"), or show it ("human").

        Height and width of the image are even.

        Raises:
            DependencyNotInstalled: pygame is not installed, and the mode is not "ansi".
        """
        if self.render_mode == "ansi":
            return self.pictures.as_text(snapshot)
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled(
                f"pygame is not installed, run `{install_command('render')}`"
            ) from error
        picture = self.pictures.as_picture(snapshot)
        if self.render_mode == "human":
            self._show(picture)
            return None
        return np.ascontiguousarray(pygame.surfarray.array3d(picture).swapaxes(0, 1))

    def _show(self, picture: pygame.Surface) -> None:
        import pygame

        # pygame has one window, which another environment or a wrapper may have closed or resized.
        pygame.display.init()
        self._window = pygame.display.get_surface()
        if self._window is None or self._window.get_size() != picture.get_size():
            self._window = pygame.display.set_mode(picture.get_size())
            pygame.display.set_caption(self.caption)
        if self._clock is None:
            self._clock = pygame.time.Clock()
        self._window.blit(picture, (0, 0))
        pygame.event.pump()
        self._clock.tick(self.render_fps)
        pygame.display.flip()

    def close(self) -> None:
        """Close the window, if this renderer has one. A second call does nothing."""
        if self._window is not None:
            import pygame

            if pygame.display.get_surface() is self._window:
                pygame.display.quit()
            self._window = None
