"""A small ViT-MAE, trained here: what transformers' ViTMAEForPreTraining is, with fewer and narrower layers.

    python benchmarks/vit_mae.py FOLDER

says what the network that ood.py keeps in the folder (trained if it is not there) has learnt: its errors on test images.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn

import separatrix as sx
from separatrix.models import Preprocessing, train_autoencoder

MASKED = 0.75  # share of the patches that training hides, as He et al. (2022) do
PATCH, WIDTH, HEADS = 4, 48, 4
ENCODER_LAYERS, DECODER_LAYERS = 3, 1
_NORMALISATION = "preprocessor_config.json"


class Errors(NamedTuple):
    """Mean squared errors per pixel, and those of the mean image on the same pixels.

    Attributes:
        hidden: of the hidden patches, the rest being seen.
        hidden_mean: of the mean image there.
        seen: of the whole image with no patch hidden: D(E(x)) of the latent field.
        seen_mean: of the mean image.
    """

    hidden: float
    hidden_mean: float
    seen: float
    seen_mean: float


class Hiding(nn.Module):
    """x ↦ the image that the decoder makes of a random quarter of its patches, ``(n, c, h, w)`` in [0, 1] both."""

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model, self.preprocessing = model, preprocessing

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden(x)[0]

    def hidden(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The image, and 1 on the pixels that were hidden, 0 on those that were seen."""
        model: Any = self.model
        out = model(self.preprocessing.to_encoder(x))
        hidden = out.mask.unsqueeze(-1).expand_as(out.logits)
        return self.preprocessing.to_image(model.unpatchify(out.logits)), model.unpatchify(hidden)


def vit_mae(folder: Path, images: Tensor, *, epochs: int, seed: int = 0) -> sx.LatentField:
    """The field of the network in the folder, of its patch tokens, unmasked; trained there on the images if it is not there.

    The loss is the mean squared error of all patches, hidden or not. He et al. leave out those that are seen; but the field
    hides nothing, so a decoder without them would never have been trained on what it is used for.
    """
    if not (folder / _NORMALISATION).exists():  # it is written last
        _train(folder, images, epochs, seed)
    return sx.load(str(folder))


def errors(folder: Path, images: Tensor, mean: Tensor) -> Errors:
    """On images ``(n, c, h, w)`` that the network was not trained on; ``mean`` is the mean ``(c, h, w)`` of its own."""
    normalisation = json.loads((folder / _NORMALISATION).read_text(encoding="utf-8"))
    model = transformers.ViTMAEForPreTraining.from_pretrained(folder).eval()
    both_sides = Preprocessing.same_on_both_sides(normalisation["image_mean"], normalisation["image_std"])
    field = sx.load(str(folder))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # which patches are hidden
        guess, hidden = Hiding(model, both_sides).hidden(images)
        of_guess, of_mean = ((other - images).square() for other in (guess, mean))
        whole = (field.decode(field.encode(images)) - images).square()
    share = hidden.sum()
    return Errors(
        float((of_guess * hidden).sum() / share),
        float((of_mean * hidden).sum() / share),
        float(whole.mean()),
        float(of_mean.mean()),
    )


def positions(side: int, width: int) -> Tensor:
    """Sines and cosines of column and row, ``(1, side² + 1, width)``; zeros for the class token, which comes first.

    >>> positions(7, 48).shape
    torch.Size([1, 50, 48])
    """
    frequency = 10_000.0 ** -torch.linspace(0, 1, width // 4 + 1)[:-1]
    angle = torch.outer(torch.arange(side), frequency)
    along = torch.cat([angle.sin(), angle.cos()], dim=1)
    column, row = along.expand(side, -1, -1), along.unsqueeze(1).expand(-1, side, -1)
    return torch.cat([torch.zeros(1, width), torch.cat([column, row], dim=2).flatten(0, 1)]).unsqueeze(0)


def _train(folder: Path, images: Tensor, epochs: int, seed: int) -> None:
    channels, side = images.shape[1], images.shape[2]
    torch.manual_seed(seed)
    model: Any = transformers.ViTMAEForPreTraining(
        transformers.ViTMAEConfig(
            image_size=side,
            patch_size=PATCH,
            num_channels=channels,
            hidden_size=WIDTH,
            num_hidden_layers=ENCODER_LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            decoder_hidden_size=WIDTH,
            decoder_num_hidden_layers=DECODER_LAYERS,
            decoder_num_attention_heads=HEADS,
            decoder_intermediate_size=4 * WIDTH,
            mask_ratio=MASKED,
            initializer_range=0.02 * (768 / WIDTH) ** 0.5,  # 0.02 is for the published width
        )
    )
    # Not left to transformers: its 5.23 fills both with zeros, and a network that knows no positions learns nothing.
    for place in (model.vit.embeddings.position_embeddings, model.decoder.decoder_pos_embed):
        place.data.copy_(positions(side // PATCH, WIDTH))
    mean, std = (of(dim=(0, 2, 3)).tolist() for of in (images.mean, images.std))
    hiding = Hiding(model, Preprocessing.same_on_both_sides(mean, std))
    train_autoencoder(hiding, images, epochs=epochs, learning_rate=1e-3, weight_decay=0.0, seed=seed)
    model.save_pretrained(folder)
    text = json.dumps({"image_mean": mean, "image_std": std})
    (folder / _NORMALISATION).write_text(text, encoding="utf-8")


def main() -> None:
    from ood_data import MAE_FOLDER, cases, id_images, masked_images  # which imports this module

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    kept = parser.parse_args().folder
    torch.set_num_threads(1)
    case = next(case for case in cases(kept) if case.family == "ViT-MAE")
    case.make()
    found = errors(kept / MAE_FOLDER, id_images(case)[2], masked_images().mean(dim=0))
    print(f"hidden patches {found.hidden:.4f}, the mean image there {found.hidden_mean:.4f}")
    print(f"nothing hidden {found.seen:.4f}, the mean image {found.seen_mean:.4f}")


if __name__ == "__main__":
    main()
