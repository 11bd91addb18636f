"""This room leads from a checkpoint or a module to a latent field: reference autoencoders, a trainer, foundation models, and ``load(spec)``."""

from separatrix.models._adapter import ModelAdapter
from separatrix.models._autoencoders import ConvAutoencoder, DenseAutoencoder
from separatrix.models._backbones import load_backbone
from separatrix.models._base import ReferenceAutoencoder
from separatrix.models._burgess import BurgessVAE, load_burgess_vae
from separatrix.models._checkpoint import load_model, save_model
from separatrix.models._decoder_training import DecoderReport, train_decoder
from separatrix.models._language_models import embed_texts, embed_tokens
from separatrix.models._loading import load
from separatrix.models._preprocessing import Preprocessing
from separatrix.models._registry import FAMILIES, Family, LoadRequest, Registry
from separatrix.models._surrogate import save_decoder
from separatrix.models._training import TrainingHistory, train_autoencoder
from separatrix.models._untrained import untrained_copy

__all__ = [
    "FAMILIES",
    "BurgessVAE",
    "ConvAutoencoder",
    "DecoderReport",
    "DenseAutoencoder",
    "Family",
    "LoadRequest",
    "ModelAdapter",
    "Preprocessing",
    "ReferenceAutoencoder",
    "Registry",
    "TrainingHistory",
    "embed_texts",
    "embed_tokens",
    "load",
    "load_backbone",
    "load_burgess_vae",
    "load_model",
    "save_decoder",
    "save_model",
    "train_autoencoder",
    "train_decoder",
    "untrained_copy",
]
