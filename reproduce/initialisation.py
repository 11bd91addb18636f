"""Are randomly initialised networks contractions? σ_out/σ_in of twelve vision backbones, ten seeds each.

    python reproduce/initialisation.py [--size 224] [--samples 1000] [--seeds 10] [--scale full] [--device cpu]

The experiment of Figure 6 of Fumero et al. (arXiv:2505.22785): N(0, I) images through a backbone as its library initialises
it; σ is the standard deviation over all coordinates and samples, of the input and of the last hidden state. Reported
beside it: the same without the final normalisation layer, where there is one, because a LayerNorm sets σ_out to about 1
whatever comes in, and the ratio then says nothing about the layers before it.

``--scale small`` keeps the architecture and its initialisation and takes fewer layers and channels, for a CPU. The paper
names its twelve models only in part; these are twelve families of transformers' vision models. Writes initialisation.json
and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from devices import available
from torch import Tensor, nn

BATCH = 25
_VIT = {"hidden_size": 96, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 384}
# class: (config class, settings of the small scale, attribute of the final normalisation or None)
BACKBONES: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "ViTModel": ("ViTConfig", _VIT, "layernorm"),
    "DeiTModel": ("DeiTConfig", _VIT, "layernorm"),
    "BeitModel": ("BeitConfig", _VIT, None),
    "Dinov2Model": ("Dinov2Config", {k: v for k, v in _VIT.items() if k != "intermediate_size"}, "layernorm"),
    "Dinov2WithRegistersModel": (
        "Dinov2WithRegistersConfig",
        {k: v for k, v in _VIT.items() if k != "intermediate_size"},
        "layernorm",
    ),
    "CLIPVisionModel": ("CLIPVisionConfig", _VIT, None),
    "SiglipVisionModel": ("SiglipVisionConfig", _VIT, "post_layernorm"),
    "ViTMAEModel": ("ViTMAEConfig", {**_VIT, "mask_ratio": 0.0}, "layernorm"),
    "SwinModel": (
        "SwinConfig",
        {"embed_dim": 24, "depths": [2, 2, 2], "num_heads": [2, 4, 8], "window_size": 4},
        "layernorm",
    ),
    "ConvNextModel": ("ConvNextConfig", {"hidden_sizes": [24, 48, 96, 192], "depths": [2, 2, 2, 2]}, None),
    "ConvNextV2Model": ("ConvNextV2Config", {"hidden_sizes": [24, 48, 96, 192], "depths": [2, 2, 2, 2]}, None),
    "ResNetModel": ("ResNetConfig", {"hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]}, None),
}


def build(name: str, size: int, small: bool, seed: int) -> nn.Module:
    """A backbone as its library initialises it, in evaluation mode."""
    config_name, reduced, _ = BACKBONES[name]
    kind = getattr(transformers, config_name)
    options = dict(reduced) if small else ({"mask_ratio": 0.0} if name == "ViTMAEModel" else {})
    if "image_size" in kind().to_dict():
        options["image_size"] = size
    if small and "patch_size" in kind().to_dict() and name != "SwinModel" and "ConvNext" not in name:
        options["patch_size"] = 8
    torch.manual_seed(seed)
    model = getattr(transformers, name)(kind(**options)).eval()
    if name == "ViTMAEModel" and not model.embeddings.position_embeddings.any():
        # transformers 5.23 takes the projection for initialised and returns before it sets the positions: they stay zero.
        parts = (model.embeddings.patch_embeddings.projection, model.embeddings.position_embeddings)
        for part in parts:
            part._is_hf_initialized = False
        with torch.no_grad():
            model.embeddings.initialize_weights()
    return model


@contextmanager
def without(model: nn.Module, attribute: str | None) -> Iterator[bool]:
    """The model with its final normalisation taken out, if it has one under this name."""
    owner = next(
        (part for part in (model, getattr(model, "vision_model", None)) if hasattr(part, attribute or "")), None
    )
    if attribute is None or owner is None:
        yield False
        return
    kept = getattr(owner, attribute)
    setattr(owner, attribute, nn.Identity())
    try:
        yield True
    finally:
        setattr(owner, attribute, kept)


@torch.no_grad()
def deviation(model: nn.Module, samples: int, size: int, seed: int, device: torch.device) -> tuple[float, float]:
    """σ of N(0, I) images and σ of the last hidden state, over all coordinates and samples."""
    generator = torch.Generator().manual_seed(seed)
    seen, found = [0.0, 0.0, 0], [0.0, 0.0, 0]
    for first in range(0, samples, BATCH):
        x = torch.randn(min(BATCH, samples - first), 3, size, size, generator=generator).to(device)
        y: Tensor = model(x).last_hidden_state
        for sums, values in ((seen, x), (found, y)):
            sums[0] += float(values.double().sum())
            sums[1] += float(values.double().square().sum())
            sums[2] += values.numel()
    return tuple((square / n - (total / n) ** 2) ** 0.5 for total, square, n in (seen, found))  # type: ignore[return-value]


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for name, (_, _, last) in BACKBONES.items():
        begin, ratios, bare = time.perf_counter(), [], []
        for seed in range(options.seeds):
            model = build(name, options.size, options.scale == "small", seed).to(options.device)
            before, after = deviation(model, options.samples, options.size, seed, options.device)
            ratios.append(after / before)
            with without(model, last) as found:
                if found:
                    before, after = deviation(model, options.samples, options.size, seed, options.device)
                    bare.append(after / before)
        rows.append(
            {
                "model": name,
                "parameters": sum(p.numel() for p in model.parameters()),
                "ratios": ratios,
                "median": statistics.median(ratios),
                "least": min(ratios),
                "largest": max(ratios),
                "without_final_norm": bare,
                "median_without_final_norm": statistics.median(bare) if bare else None,
                "seconds": time.perf_counter() - begin,
            }
        )
        print(
            f"{name:28s} {rows[-1]['median']:.4f}  {rows[-1]['median_without_final_norm']}  {rows[-1]['seconds']:.0f} s",
            flush=True,
        )
    return rows


def table(record: dict[str, Any]) -> str:
    below = sum(row["largest"] < 1 for row in record["rows"])
    unnormed = [
        row["median_without_final_norm"] for row in record["rows"] if row["median_without_final_norm"] is not None
    ]
    lines = [
        "# σ_out/σ_in at initialisation",
        "",
        f"`{record['command']}`; transformers {record['transformers']}, torch {record['torch']}, {record['device']}, "
        f"{record['seconds']:.0f} s. {record['samples']} samples of N(0, I) as {record['size']}×{record['size']} images, "
        f"{record['seeds']} seeds, scale {record['scale']}"
        + (" (fewer layers and channels than the published models)." if record["scale"] == "small" else "."),
        "",
        "| backbone | parameters | σ_out/σ_in, median of seeds | least | largest | without the final normalisation |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        bare = row["median_without_final_norm"]
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {row['median']:.4f} | {row['least']:.4f} | {row['largest']:.4f} | "
            f"{'has none that can be taken out' if bare is None else f'{bare:.4f}'} |"
        )
    lines += [
        "",
        f"Below 1 for every seed: {below} of {len(record['rows'])} backbones. A final LayerNorm sets σ_out near 1 by itself; "
        f"without it {sum(value < 1 for value in unnormed)} of {len(unnormed)} have a median below 1.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--device", type=available, default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    begin = time.perf_counter()
    rows = measure(options)
    record = {
        "command": f"python reproduce/initialisation.py --size {options.size} --samples {options.samples} --seeds "
        f"{options.seeds} --scale {options.scale} --device {options.device} --threads {options.threads}",
        "size": options.size,
        "samples": options.samples,
        "seeds": options.seeds,
        "scale": options.scale,
        "device": torch.cuda.get_device_name() if options.device.type == "cuda" else f"{options.threads} CPU threads",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "rows": rows,
        "seconds": time.perf_counter() - begin,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "initialisation.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "initialisation.md").write_text(table(record), encoding="utf-8")
    print(table(record))


if __name__ == "__main__":
    main()
