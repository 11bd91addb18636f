"""The living page: one HTML file in which anybody can click into a latent space and watch where the network takes it, with the model inside."""

from separatrix.explorer._page import explorer_page
from separatrix.explorer._scene import Scene, scene_of

__all__ = ["Scene", "explorer_page", "scene_of"]
