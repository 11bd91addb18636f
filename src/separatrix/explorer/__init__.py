"""The living page: one HTML file in which anybody can click into a latent space and watch where the network takes it, with the model inside.

The same page can ask a model that stays in Python: behind a server of this machine (`serve`), or in a notebook (`widget`).
"""

from separatrix.explorer._page import explorer_page
from separatrix.explorer._scene import Scene, scene_of
from separatrix.explorer._serve import live_server, require_server, serve
from separatrix.explorer._training import Moment, training_scenes
from separatrix.explorer._widget import widget

__all__ = [
    "Moment", "Scene", "explorer_page", "live_server", "require_server", "scene_of", "serve", "training_scenes", "widget",
]  # fmt: skip
