"""Images from arrays, files, folders and data sets, always as one :class:`ImageSet`, and what a field makes of them block by block."""

from separatrix.data._chosen_images import DOTS, ChosenImages
from separatrix.data._encoding import decode_all, encode_range
from separatrix.data._images import ImageSet, shape_words
from separatrix.data._load import ImageSource, load_images, tensor_of
from separatrix.data._picture_stream import PictureBlock, stream_pictures

__all__ = [
    "DOTS",
    "ChosenImages",
    "ImageSet",
    "ImageSource",
    "PictureBlock",
    "decode_all",
    "encode_range",
    "load_images",
    "shape_words",
    "stream_pictures",
    "tensor_of",
]
