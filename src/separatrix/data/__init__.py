"""Images from arrays, files, folders and data sets, always as one :class:`ImageSet`."""

from separatrix.data._images import ImageSet
from separatrix.data._load import load_images

__all__ = ["ImageSet", "load_images"]
