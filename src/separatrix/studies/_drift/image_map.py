"""F = D∘E as a map of pictures to pictures, so that everything that is known of latent maps can be asked of it."""

from __future__ import annotations

from torch import Tensor

from separatrix.field import LatentField


def image_map(field: LatentField, shape: tuple[int, ...]) -> LatentField:
    """F(x) = D(E(x)) as a field on pictures of this shape; derivatives of it are those of D∘E.

    The latent map f = E∘D and F are semi-conjugate, E∘F = f∘E. Their nonzero eigenvalues are the same at fixed points, and elsewhere not.

    >>> import torch
    >>> halves = LatentField(lambda x: x.mean(dim=(2, 3)), lambda z: z[:, :, None, None].expand(-1, -1, 2, 2), latent_shape=1)
    >>> image_map(halves, (1, 2, 2)).jvp(torch.zeros(1, 1, 2, 2), torch.eye(4)[:1].reshape(1, 1, 2, 2)).flatten().tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def once(x: Tensor) -> Tensor:
        return field.decoder(field.encoder(x))

    image = LatentField.from_map(
        once, shape, dtype=field.dtype, device=field.device, name=f"D∘E of {field.name}", modules=field.modules
    )
    image.batches = field.batches
    vars(image)["differentiable"] = field.differentiable  # both halves are the same ones
    return image
