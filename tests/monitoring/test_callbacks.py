"""The callbacks inside the real trainers: every step is seen, and the loss curve does not notice."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import separatrix as sx
from separatrix.errors import InputError, ModelWarning
from separatrix.models import DenseAutoencoder
from separatrix.protocol import Protocol

QUICK = Protocol(max_steps=200, probe_steps=200)


def images():
    return torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def autoencoder():
    torch.manual_seed(0)
    model = DenseAutoencoder((1, 4, 4), 2, hidden=(8,))
    model.encoder.insert(1, nn.Dropout(0.1))
    return model


class Unclosable:
    def log(self, record):
        raise AssertionError("there is no snapshot")

    def close(self):
        raise OSError("the tracker is gone")


def monitor_of(model, watch):
    if watch == "in vain":  # fails at every step, and at the end
        given = {}
        return sx.DynamicsMonitor(
            lambda: given[model], sx.starts.encoded(images()), 4, max_share=None, log=Unclosable()
        )
    return sx.DynamicsMonitor(model.field, sx.starts.encoded(images()), 4, max_share=None, log=None, protocol=QUICK)


def assert_the_same_training(curve):
    alone, unseen, untouched = curve(False)
    assert len(alone) == 9
    assert unseen.history == []
    losses, monitor, weights = curve("with success")
    assert [shot.step for shot in monitor.history] == [0, 4, 8]
    assert monitor.usage.failures == ()
    with pytest.warns(ModelWarning) as heard:
        beside, failing, same = curve("in vain")
    assert [(failure.where, failure.count) for failure in failing.usage.failures] == [
        ("the field factory", 3),
        ("Unclosable.close", 1),
    ]
    assert len([one for one in heard if issubclass(one.category, ModelWarning)]) == 2
    assert losses == beside == alone
    for name, tensor in untouched.items():
        assert torch.equal(tensor, weights[name])
        assert torch.equal(tensor, same[name])


def test_hugging_face_trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from separatrix.monitoring import TransformersCallback

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.autoencoder = autoencoder()

        def forward(self, pixels):
            return {"loss": nn.functional.mse_loss(self.autoencoder(pixels), pixels)}

    def curve(watch):
        model = Model()
        monitor = monitor_of(model.autoencoder, watch)
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), max_steps=9, per_device_train_batch_size=8, logging_steps=1, report_to=[],
            save_strategy="no", use_cpu=True, seed=1, disable_tqdm=True, gradient_accumulation_steps=2,
        )  # fmt: skip
        trainer = transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=[{"pixels": image} for image in images()],
            callbacks=[TransformersCallback(monitor)] if watch else [],
        )
        trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
        trainer.train()
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        return losses, monitor, model.state_dict()

    assert_the_same_training(curve)
    with pytest.raises(InputError, match="takes a DynamicsMonitor, not a Linear"):
        TransformersCallback(nn.Linear(2, 2))


def test_lightning_trainer(tmp_path):
    lightning = pytest.importorskip("pytorch_lightning")
    from separatrix.monitoring import LightningCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.autoencoder, self.losses = autoencoder(), []

        def training_step(self, batch, index):
            loss = nn.functional.mse_loss(self.autoencoder(batch[0]), batch[0])
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())

    def curve(watch):
        module = Module()
        monitor = monitor_of(module.autoencoder, watch)
        torch.manual_seed(5)
        trainer = lightning.Trainer(
            max_steps=9, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[LightningCallback(monitor)] if watch else [],
            default_root_dir=str(tmp_path),
        )  # fmt: skip
        trainer.fit(module, DataLoader(TensorDataset(images()), batch_size=8, shuffle=True))
        return module.losses, monitor, module.state_dict()

    assert_the_same_training(curve)
    with pytest.raises(InputError, match="takes a DynamicsMonitor, not a Linear"):
        LightningCallback(nn.Linear(2, 2))
