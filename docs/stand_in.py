# What this page takes for granted: your model, your images, and files of them. Here are small stand-ins, random weights among
# them; put yours in their place. Needs: pip install separatrix
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

import separatrix as sx

digits = torch.from_numpy(load_digits().images / 16).float()[:, None]
Path("my_model.py").write_text(
    """import torch
import separatrix as sx


def build(seed=1):
    torch.manual_seed(seed)
    return sx.models.DenseAutoencoder((1, 8, 8), 32, hidden=(16,)).eval()
"""
)
for number, folder in enumerate(("images", "train", "test", "photos", "others")):
    Path(folder).mkdir(exist_ok=True)
    for row in range(40 * number, 40 * number + 40):
        Image.fromarray(np.uint8(255 * digits[row, 0])).save(f"{folder}/{row:04d}.png")
np.save("images.npy", digits[:40])
np.save("test.npy", digits[40:80])
Path("checkpoints").mkdir(exist_ok=True)
for name in ("before", "after", "checkpoints/epoch-1", "checkpoints/epoch-2"):
    sx.models.save_model(sx.models.DenseAutoencoder((1, 8, 8), 2, hidden=(16,)), f"{name}.safetensors")

model = sx.models.DenseAutoencoder((1, 8, 8), 32, hidden=(16,)).eval()
field = model.field()
fields, epochs = [sx.load("before.safetensors"), sx.load("after.safetensors")], [1, 2]
images = train = digits[:60]
held_out, new_images = digits[200:260], digits[300:340]
loader, train_on = images.split(20), model
