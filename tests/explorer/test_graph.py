"""What `torch.export` sees becomes a list of operations that gives the model's answers, or one sentence that says why not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import separatrix as sx
from separatrix.explorer._evaluate import evaluated
from separatrix.explorer._graph import _exported, exported_halves
from separatrix.explorer._lowering import NotExportable
from separatrix.models import ConvAutoencoder, DenseAutoencoder


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Shapes(nn.Module):
    """Everything that only moves numbers."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.permute(0, 2, 3, 1).split(2, dim=3)
        rolled = torch.roll(a, 1, dims=1).flip(2)[:, 1:, ::2]
        padded = nn.functional.pad(b, (0, 0, 1, 2), value=0.5)[:, :3, :3]
        return torch.cat([rolled.reshape(1, -1), padded.mean(dim=(1, 2)), x.amax(dim=1).flatten(1)], dim=1)


class Arithmetic(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.where(x > 0, x**2, 1 - x / 3) + torch.maximum(x, x.transpose(2, 3) * 0.5)
        return (y - y.mean(dim=-1, keepdim=True)).clamp(-1, 2) * torch.tensor([1.0, 2.0, 3.0, 4.0])


IMAGE = (1, 4, 4, 4)
NETWORKS = {
    "resampling and norms": (
        nn.Sequential(nn.Upsample(scale_factor=2), nn.GroupNorm(2, 4), nn.SiLU(), nn.BatchNorm2d(4), nn.GELU(),
                      nn.Upsample(scale_factor=2, mode="bilinear"), nn.AvgPool2d(2), nn.MaxPool2d(3, 2, 1)), IMAGE),
    "activations": (
        nn.Sequential(nn.LeakyReLU(0.2), nn.ELU(), nn.Softplus(), nn.Hardtanh(), nn.LayerNorm(4), nn.Tanh(), nn.GELU(approximate="tanh"),
                      nn.Flatten(1), nn.Linear(64, 3), nn.Softmax(-1)), IMAGE),
    "convolutions": (
        nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.ReLU(), nn.Conv2d(6, 8, 1), nn.Conv2d(8, 8, 3, padding=2, dilation=2),
                      nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, groups=2), nn.Sigmoid()), IMAGE),
    "one dimension": (nn.Sequential(nn.Conv1d(4, 6, 3, padding=1), nn.ReLU(), nn.ConvTranspose1d(6, 2, 2, stride=2)), (1, 4, 8)),
    "attention": (Attention(), (1, 6, 16)),
    "shapes": (Shapes(), IMAGE),
    "arithmetic": (Arithmetic(), IMAGE),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_list_gives_the_network_s_answer(name):
    network, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = network.eval()
    graph = _exported(network, [network], torch.zeros(shape), "x")
    for _ in range(3):
        x = torch.randn(shape)
        assert torch.allclose(evaluated(graph, x[0]), network(x)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model", [ConvAutoencoder((3, 16, 12), 5, base_channels=4), DenseAutoencoder((1, 8, 8), 3, hidden=(16,))]
)
def test_both_halves_of_a_field(model):
    field = model.train().field()
    decode, encode = exported_halves(field)
    z = torch.randn(4, field.latent_dim)
    rows = torch.stack([evaluated(encode, evaluated(decode, row)) for row in z])
    assert torch.allclose(rows, field(z), rtol=1e-4, atol=1e-6)
    assert model.training  # the model is a guest


def test_functions_over_a_module_are_followed_too():
    layer = nn.Linear(2, 8)
    field = sx.LatentField(lambda x: x[:, :2] * 0.5, lambda z: torch.tanh(layer(z)), latent_shape=(2,))
    decode, encode = exported_halves(field)
    z = torch.tensor([[0.3, -2.0]])
    assert torch.allclose(evaluated(encode, evaluated(decode, z[0])), field(z)[0])


def test_what_cannot_be_followed_is_one_sentence():
    def through_numpy(z: Tensor) -> Tensor:
        return torch.from_numpy(z.detach().numpy() * 0.5)

    with pytest.raises(NotExportable, match=r"^The model cannot be put into a page \(.*\); the page shows"):
        exported_halves(sx.LatentField.from_map(through_numpy, latent_shape=(2,)))
    with pytest.raises(NotExportable, match="A page knows no operation cumsum"):
        exported_halves(sx.LatentField.from_map(lambda z: z.cumsum(1) / 4, latent_shape=(2,)))
