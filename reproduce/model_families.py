"""Published architectures with random weights, run end to end: written by their library, loaded, diagnosed, iterated.

    SEPARATRIX_DATA=... python reproduce/model_families.py [--scale small|full] [--device cpu]

ViTMAE-base, Stable Diffusion's AutoencoderKL, DINOv2-small with a surrogate decoder trained on real images, a Qwen3-style and a
Llama-style language model. ``small`` keeps the architecture and takes fewer layers, channels or pixels; ``full`` is the
published size. The weights are random, so the table shows that the path works and what it costs, and nothing about trained
models. Writes model_families.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from devices import available

import separatrix as sx
from separatrix.errors import ConvergenceWarning, ModelWarning
from separatrix.models import LoadRequest, load_backbone, save_decoder, train_decoder
from separatrix.studies import diagnose

IMAGES = 200  # for the surrogate decoder


def vit_mae(folder: Path, small: bool) -> dict[str, Any]:
    options = {"image_size": 64, "num_hidden_layers": 4, "decoder_num_hidden_layers": 2} if small else {}
    transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**options)).save_pretrained(folder)
    return {"spec": str(folder)}


def stable_diffusion(folder: Path, small: bool) -> dict[str, Any]:
    channels = (32, 64, 128, 128) if small else (128, 256, 512, 512)
    diffusers.AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1 if small else 2,
        latent_channels=4,
        norm_num_groups=32,
        sample_size=512,
        scaling_factor=0.18215,
    ).save_pretrained(folder)
    side = 64 if small else 256
    return {"spec": str(folder), "options": {"height": side, "width": side}}


def dino(folder: Path, small: bool) -> dict[str, Any]:
    config = transformers.Dinov2Config(
        hidden_size=384,
        num_hidden_layers=4 if small else 12,
        num_attention_heads=6,
        patch_size=14,
        image_size=518,
    )
    transformers.Dinov2Model(config).save_pretrained(folder / "encoder")
    settings = {"size": 56 if small else 224}
    request = LoadRequest(spec=str(folder / "encoder"), options={name: str(value) for name, value in settings.items()})
    backbone = load_backbone(request)
    data = Path(os.environ["SEPARATRIX_DATA"]) / "data/imagenet1000_64px.npz"
    decoder, report = train_decoder(backbone, f"{data}#x", limit=IMAGES, image_size=56, width=32, epochs=10)
    path = folder / "decoder.safetensors"
    save_decoder(decoder, path, encoder=backbone.fingerprint(), report=report.to_dict())
    return {"spec": str(folder / "encoder"), "decoder": str(path), "options": settings}


def language(kind: str) -> Callable[[Path, bool], dict[str, Any]]:
    def write(folder: Path, small: bool) -> dict[str, Any]:
        config = getattr(transformers, f"{kind}Config")(
            hidden_size=256 if small else 1024,
            intermediate_size=768 if small else 3072,
            num_hidden_layers=4 if small else 28,
            num_attention_heads=4 if small else 16,
            num_key_value_heads=2 if small else 8,
            head_dim=64 if small else 128,
            vocab_size=2000,
        )
        getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(folder)
        return {"spec": str(folder), "options": {"length": 8 if small else 16}}

    return write


MODELS: dict[str, Callable[[Path, bool], dict[str, Any]]] = {
    "ViTMAE-base": vit_mae,
    "AutoencoderKL, SD configuration": stable_diffusion,
    "DINOv2-small + surrogate decoder": dino,
    "Qwen3-style": language("Qwen3"),
    "Llama-style": language("Llama"),
}


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    begin = time.perf_counter()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        field = sx.load(**MODELS[name](Path(place) / "model", options.scale == "small"), device=options.device)
        rules = replace(sx.Protocol.paper_foundation(), max_steps=options.steps)
        found = diagnose(field, orbits=8, seconds=options.seconds)
        found.checked.require()
        orbits = sx.iterate(field, sx.starts.gaussian(8, seed=1), rules, batch_size=8)
    assert found.throughput is not None
    return {
        "model": name,
        "class": field.details["class"],
        "parameters": sum(p.numel() for module in field.modules for p in module.parameters()),
        "latent_shape": list(field.latent_shape),
        "ratio": found.scales[0].ratio,
        "radius": found.spectra[-1].radius,
        "norm": found.spectra[-1].norm,
        "rough": found.spectra[-1].rough,
        "per_second": found.throughput.per_second,
        "memory": found.memory,
        "statuses": {status.name: count for status, count in orbits.counts.items()},
        "steps_median": float(orbits.steps.double().quantile(0.5)),
        "decoder": {k: field.details["decoder"][k] for k in ("r2", "psnr")} if "decoder" in field.details else None,
        "seconds": time.perf_counter() - begin,
    }


def table(record: dict[str, Any]) -> str:
    lines = [
        "# Published architectures with random weights, end to end",
        "",
        f"`{record['command']}`; torch {record['torch']}, transformers {record['transformers']}, diffusers "
        f"{record['diffusers']}, {record['device']}, {record['seconds']:.0f} s. Scale {record['scale']}. 8 orbits from N(0, I) under "
        f"the protocol paper_foundation with at most {record['steps']} steps; ρ and ‖J‖₂ where a pilot orbit ended (≈ and ≥: from a short power iteration).",
        "",
        "| model | parameters | latent | σ_out/σ_in | ρ | ‖J‖₂ | orbits ended | steps, median | f per second |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        about, least = ("≈ ", "≥ ") if row["rough"] else ("", "")
        ended = ", ".join(f"{count} {status.lower()}" for status, count in row["statuses"].items())
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {'×'.join(map(str, row['latent_shape']))} | {row['ratio']:.3f} | "
            f"{about}{row['radius']:.3g} | {least}{row['norm']:.3g} | {ended} | {row['steps_median']:.0f} | {row['per_second']:.0f} |"
        )
    for row in record["rows"]:
        if row["decoder"]:
            lines += [
                "",
                f"The surrogate decoder of {row['model']} explains {row['decoder']['r2']:.0%} of the variance of held-out pixels "
                f"({row['decoder']['psnr']:.1f} dB); its encoder is random.",
            ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=("small", "full"), default="small")
    parser.add_argument("--device", type=available, default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="for the diagnosis of each")
    parser.add_argument("--steps", type=int, default=500, help="budget of an orbit; the paper's is 500")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    begin, rows = time.perf_counter(), []
    for name in MODELS:
        rows.append(measure(name, options))
        print(rows[-1], flush=True)
    record = {
        "command": f"python reproduce/model_families.py --scale {options.scale} --device {options.device} "
        f"--threads {options.threads} --seconds {options.seconds:g} --steps {options.steps}",
        "scale": options.scale,
        "steps": options.steps,
        "device": torch.cuda.get_device_name() if options.device.type == "cuda" else f"{options.threads} CPU threads",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "diffusers": diffusers.__version__,
        "rows": rows,
        "seconds": time.perf_counter() - begin,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "model_families.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "model_families.md").write_text(table(record), encoding="utf-8")
    print(table(record))


if __name__ == "__main__":
    main()
