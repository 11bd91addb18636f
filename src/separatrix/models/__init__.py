"""From a checkpoint or a module to a latent field: reference autoencoders, a trainer, foundation models, and ``load(spec)``."""

from separatrix.models.adapter import ModelAdapter
from separatrix.models.autoencoders import ConvAutoencoder, DenseAutoencoder
from separatrix.models.base import ReferenceAutoencoder
from separatrix.models.burgess import BurgessVAE, load_burgess_vae
from separatrix.models.checkpoint import load_model, save_model
from separatrix.models.decoder_training import DecoderReport, train_decoder
from separatrix.models.language_models import embed_texts
from separatrix.models.loading import load
from separatrix.models.preprocessing import Preprocessing
from separatrix.models.registry import FAMILIES, Family, LoadRequest, Registry
from separatrix.models.training import TrainingHistory, train_autoencoder

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
    "load",
    "load_burgess_vae",
    "load_model",
    "save_model",
    "train_autoencoder",
    "train_decoder",
]
