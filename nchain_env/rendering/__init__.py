"""Texts and pictures of environments; imported only when something is drawn."""

from nchain_env.rendering.picture import as_picture
from nchain_env.rendering.renderer import Pictures, Renderer, Snapshot
from nchain_env.rendering.text import as_text

__all__ = ["TABLE", "Pictures", "Renderer", "Snapshot"]

# How any outcome table is drawn
TABLE = Pictures(as_text, as_picture)
