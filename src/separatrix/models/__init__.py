"""From a checkpoint or a module to a latent field: reference autoencoders, a trainer, and ``load(spec)``."""

from separatrix.models.autoencoders import ConvAutoencoder, DenseAutoencoder
from separatrix.models.base import ReferenceAutoencoder
from separatrix.models.burgess import BurgessVAE, load_burgess_vae
from separatrix.models.checkpoint import load_model, save_model
from separatrix.models.loading import load
from separatrix.models.registry import FAMILIES, Family, LoadRequest, Registry
from separatrix.models.training import TrainingHistory, train_autoencoder

__all__ = [
    "FAMILIES",
    "BurgessVAE",
    "ConvAutoencoder",
    "DenseAutoencoder",
    "Family",
    "LoadRequest",
    "ReferenceAutoencoder",
    "Registry",
    "TrainingHistory",
    "load",
    "load_burgess_vae",
    "load_model",
    "save_model",
    "train_autoencoder",
]
