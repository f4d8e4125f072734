"""Draw the animation of the README: `python docs/make_gif.py`.

With equal versions of all packages, the bytes are equal.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from PIL import Image

import nchain_env  # noqa: F401  (registers NChain-v0)
from nchain_env.problems.chain import FORWARD

CHAIN_GIF = Path(__file__).parent / "_static" / "chain.gif"
# With this seed the agent slips in the middle and at the end of the chain.
SEED, STEPS = 4, 22
MILLISECONDS, LAST = 320, 1600


def episode(seed: int, steps: int) -> list[npt.NDArray[np.uint8]]:
    """Return the pictures, each (H, W, 3), of an agent that always goes forward."""
    env = gym.make("NChain-v0", render_mode="rgb_array")
    env.reset(seed=seed)
    frames = [np.asarray(env.render())]
    for _ in range(steps):
        env.step(FORWARD)
        frames.append(np.asarray(env.render()))
    env.close()
    return frames


def write_gif(path: Path, frames: list[npt.NDArray[np.uint8]]) -> None:
    """Write the pictures as a GIF that repeats and shows the last picture longer.

    All pictures share one palette, the 256 most frequent colours; otherwise they would flicker.
    """
    packed = np.stack(frames) @ np.array([2**16, 2**8, 1])
    found, index, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=-1)
    palette = colours[np.argsort(-counts, kind="stable")[:256]]
    nearest = np.square(colours[:, None] - palette).sum(axis=-1).argmin(axis=-1)
    pictures = [Image.fromarray(picture) for picture in nearest.astype(np.uint8)[index]]
    for picture in pictures:
        picture.putpalette(palette.astype(np.uint8).tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures[0].save(
        path,
        save_all=True,
        append_images=pictures[1:],
        duration=[MILLISECONDS] * (len(frames) - 1) + [LAST],
        loop=0,
        optimize=False,  # keeps the palette in one piece
    )


if __name__ == "__main__":
    write_gif(Path(sys.argv[1]) if sys.argv[1:] else CHAIN_GIF, episode(SEED, STEPS))
