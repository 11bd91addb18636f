"""The trainer: it learns, it is a function of its seed, and it leaves nothing behind."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from separatrix.errors import InputError
from separatrix.models import ConvAutoencoder, DenseAutoencoder, train_autoencoder


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return torch.from_numpy(load_digits().images).float().div(16).unsqueeze(1)[:300]


def made(seed: int = 0, **options: Any) -> DenseAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DenseAutoencoder((1, 8, 8), 4, hidden=(32,), **options)


def fingerprint(model: DenseAutoencoder) -> str | None:
    return model.field().fingerprint


def test_it_learns_real_digits(digits: Tensor) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConvAutoencoder((1, 8, 8), 8)
    history = train_autoencoder(
        model, digits[:250], epochs=20, batch_size=32, learning_rate=2e-3, held_out=digits[250:]
    )
    variance = (digits - digits.mean(0)).square().mean().item()
    assert history.train_loss[0] > variance / 2 > history.train_loss[-1]
    assert history.held_out_loss[-1] < 0.7 * variance
    assert history.epochs == len(history.held_out_loss) == len(history.seconds) == 20
    assert min(history.seconds) > 0
    assert not history.interrupted
    measured = (model(digits[250:]) - digits[250:]).square().mean().item()
    assert history.held_out_loss[-1] == pytest.approx(measured, rel=1e-5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        history.interrupted = True  # type: ignore[misc]


def test_same_seed_same_weights(digits: Tensor) -> None:
    first, second, other, watched = made(), made(), made(), made()
    for model, seed, held_out in (
        (first, 3, None),
        (second, 3, None),
        (other, 4, None),
        (watched, 3, digits[:9]),
    ):
        train_autoencoder(model, digits, epochs=2, seed=seed, noise_std=0.1, held_out=held_out)
        torch.rand(5)  # the global state is elsewhere each time
    assert fingerprint(first) == fingerprint(second) == fingerprint(watched) != fingerprint(other)


def test_dropout_is_drawn_from_the_seed(digits: Tensor) -> None:
    def trained() -> list[Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)))
        train_autoencoder(model, digits, epochs=1, seed=5)
        torch.rand(3)
        return list(model.parameters())

    assert all(torch.equal(a, b) for a, b in zip(trained(), trained(), strict=True))


def test_nothing_is_left_behind(digits: Tensor) -> None:
    model = made().eval()
    model.encoder.train()
    modes = [part.training for part in model.modules()]
    random_state = torch.get_rng_state()
    train_autoencoder(model, digits, epochs=1, held_out=digits[:5], noise_std=0.1)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [part.training for part in model.modules()] == modes
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_it_works_where_gradients_are_off(digits: Tensor) -> None:
    model = made()
    before = fingerprint(model)
    with torch.no_grad():
        train_autoencoder(model, digits, epochs=1)
        assert not torch.is_grad_enabled()
    assert fingerprint(model) != before


def test_frozen_parameters_stay(digits: Tensor) -> None:
    model = made()
    model.encoder.requires_grad_(False)
    encoder, decoder = copy.deepcopy(model.encoder.state_dict()), copy.deepcopy(model.decoder.state_dict())
    train_autoencoder(model, digits, epochs=1)
    assert all(torch.equal(tensor, encoder[name]) for name, tensor in model.encoder.state_dict().items())
    assert not any(torch.equal(tensor, decoder[name]) for name, tensor in model.decoder.state_dict().items())
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no parameters to train"):
        train_autoencoder(model, digits, epochs=1)


def test_step_schedule_halves_the_learning_rate(digits: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []
    step = torch.optim.Adam.step

    def recorded(self: torch.optim.Adam, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    train_autoencoder(made(), digits, epochs=6, batch_size=300, learning_rate=8e-3)
    assert rates == pytest.approx([8e-3, 8e-3, 4e-3, 4e-3, 2e-3, 2e-3])
    rates.clear()
    train_autoencoder(
        made(), digits, epochs=3, batch_size=300, learning_rate=8e-3, schedule_step=1, schedule_factor=0.1
    )
    assert rates == pytest.approx([8e-3, 8e-4, 8e-5])


def test_denoising_targets_are_clean() -> None:
    seen: list[Tensor] = []

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.level = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                seen.append(x.detach())
            return self.level.expand_as(x)

    flat = torch.full((500, 1, 8, 8), 0.5)
    history = train_autoencoder(Constant(), flat, epochs=1, batch_size=500, noise_std=0.2)
    # The model returns 0 at first: against the clean target its loss is exactly 0.25, whatever the noise.
    assert history.train_loss == (pytest.approx(0.25, abs=1e-7),)
    assert seen[0].std().item() == pytest.approx(0.2, rel=0.05)
    assert seen[0].mean().item() == pytest.approx(0.5, abs=0.01)


def interrupting(model: nn.Module, calls: int) -> Callable[[], None]:
    """Presses Ctrl-C in the forward pass of the given number; returns what takes the hook off again."""
    count = 0

    def hook(module: nn.Module, _: Any) -> None:
        nonlocal count
        count += module.training
        if count == calls:
            raise KeyboardInterrupt

    return model.register_forward_pre_hook(hook).remove


def test_ctrl_c_returns_the_history_so_far(digits: Tensor) -> None:
    model = made().eval()
    release = interrupting(model, calls=8)  # three batches an epoch: in the middle of the third
    random_state = torch.get_rng_state()
    history = train_autoencoder(model, digits, epochs=50, held_out=digits[:10])
    release()
    assert history.interrupted
    assert history.epochs == len(history.held_out_loss) == 2
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.field()(torch.zeros(1, 4)).isfinite().all()

    release = interrupting(model, calls=1)
    assert train_autoencoder(model, digits, epochs=2).train_loss == ()
    release()


def test_a_lost_loss_stops_with_the_last_good_weights(digits: Tensor) -> None:
    model = made(final="identity").double()
    with pytest.raises(InputError, match=r"NaN or infinite in epoch \d+; lower learning_rate \(now 1e\+200\)"):
        train_autoencoder(model, digits, epochs=5, learning_rate=1e200)
    assert all(p.isfinite().all() for p in model.parameters())
    assert not math.isnan(model(digits.double()).sum().item())


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda x: x[:0], "holds no images"),
        (lambda x: x[:, 0], r"must have the shape \(n, 1, 8, 8\) of this model, not \(300, 8, 8\)"),
        (lambda x: torch.where(x > 0.9, torch.nan, x), "holds NaN or infinite values"),
        (lambda x: (x * 255).to(torch.uint8), "images / 255"),
        (lambda x: x * 255, "range from 0 to 255, but this model can only return values from 0 to 1"),
        (lambda x: x.tolist(), "must be a tensor or an array"),
    ],
)
def test_bad_images_are_one_sentence(digits: Tensor, spoil: Callable[[Tensor], Any], sentence: str) -> None:
    model = made(final="sigmoid")
    before = fingerprint(model)
    with pytest.raises(InputError, match=sentence):
        train_autoencoder(model, spoil(digits), epochs=1)
    with pytest.raises(InputError, match=sentence.replace("images / 255", "held_out / 255")):
        train_autoencoder(model, digits, epochs=1, held_out=spoil(digits))
    assert fingerprint(model) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "epochs must be a whole number, at least 1"),
        ({"epochs": 1, "batch_size": 0}, "batch_size"),
        ({"epochs": 1, "learning_rate": 0.0}, "learning_rate must be a positive number"),
        ({"epochs": 1, "weight_decay": -1.0}, "weight_decay"),
        ({"epochs": 1, "noise_std": math.nan}, "noise_std"),
        ({"epochs": 1, "schedule_step": 0}, "schedule_step"),
        ({"epochs": 1, "schedule_factor": 2.0}, "schedule_factor"),
        ({"epochs": 1, "seed": -1}, "seed"),
    ],
)
def test_bad_options_are_one_sentence(digits: Tensor, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        train_autoencoder(made(), digits, **options)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 64)), r"returns shape \(64,\)"),
        (nn.Linear(3, 3), "cannot take images"),
        (nn.GRU(8, 8), "cannot take images|returns a tuple"),
    ],
)
def test_models_that_do_not_close_are_one_sentence(digits: Tensor, model: nn.Module, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        train_autoencoder(model, digits, epochs=1)


def test_arrays_and_other_precisions(digits: Tensor) -> None:
    single, double = made(), made().double()
    a = train_autoencoder(single, digits.numpy(), epochs=1)
    b = train_autoencoder(double, digits, epochs=1)
    assert a.train_loss[0] == pytest.approx(b.train_loss[0], rel=1e-4)
    assert next(double.parameters()).dtype == torch.float64


def test_progress_is_silent_unless_asked(digits: Tensor, capfd: pytest.CaptureFixture[str]) -> None:
    train_autoencoder(made(), digits, epochs=1)
    assert capfd.readouterr() == ("", "")
    train_autoencoder(made(), digits, epochs=1, progress=True)
    assert "training" in capfd.readouterr().err
