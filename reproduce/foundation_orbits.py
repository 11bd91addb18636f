"""Orbits of a foundation model's autoencoder, step by step: how large are the steps, how large are the latents?

    SEPARATRIX_DATA=... python reproduce/foundation_orbits.py [--starts 64] [--steps 300] [--size 32] [--device cpu]

The view of Figures 12 and 16 of Fumero et al. (arXiv:2505.22785), on TAEF2: from encoded ImageNet images and from N(0, I),
per step t the residual ‖f(z_t) − z_t‖ and the same as a share of ‖z_t‖, the embedding norm ‖z_t‖, and the output residual
√mean (D(z_{t+1}) − D(z_t))². At the end it asks what the orbits are near to: the Jacobian at a few end points (ρ, ‖J‖₂,
directions with |λ| > 1), a longer run of a few orbits, and whether two orbits that begin almost together stay together.
Writes foundation_orbits.json, .md and .png.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch
from devices import available
from torch import Tensor

import separatrix as sx
from separatrix.limitsets import spectrum_of

COLUMNS = ("residual", "relative_residual", "norm", "output_residual")
TITLES = ("‖f(z) − z‖", "‖f(z) − z‖ / ‖z‖", "‖z‖", "output residual (RMS)")
SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 299)
BATCH = 32
TWIN = 1e-4  # distance of a twin orbit, as a share of ‖z‖


def run(field: sx.LatentField, z: Tensor, steps: int) -> tuple[dict[str, Tensor], Tensor]:
    """The four columns, each ``(steps, n)``, and the end points. Cost: steps + 1 map evaluations per orbit."""
    rows: dict[str, list[Tensor]] = {name: [] for name in COLUMNS}
    with field.guest():
        x = decode(field, z)
        for _ in range(steps):
            image = torch.cat([field.encode(part) for part in x.split(BATCH)])
            after = decode(field, image)
            step, norm = (image - z).flatten(1).norm(dim=1), z.flatten(1).norm(dim=1)
            rows["residual"].append(step)
            rows["relative_residual"].append(step / norm)
            rows["norm"].append(norm)
            rows["output_residual"].append((after - x).flatten(1).square().mean(dim=1).sqrt())
            z, x = image, after
    return {name: torch.stack(column).cpu() for name, column in rows.items()}, z


def decode(field: sx.LatentField, z: Tensor) -> Tensor:
    return torch.cat([field.decode(part) for part in z.split(BATCH)])


def quantiles(column: Tensor) -> dict[str, list[float]]:
    """5 %, 50 % and 95 % over the orbits, per step."""
    levels = torch.tensor([0.05, 0.5, 0.95], dtype=column.dtype)
    low, middle, high = column.quantile(levels, dim=1)
    return {"p5": low.tolist(), "median": middle.tolist(), "p95": high.tolist()}


def spectra(field: sx.LatentField, points: Tensor) -> list[dict[str, float]]:
    """Dense Jacobians. They are not taken at fixed points, so ρ is a local stretching and no rate of convergence."""
    found = []
    for point in points:
        here = spectrum_of(field.jacobian(point.unsqueeze(0)))
        found.append(
            {
                "rho": float(here.radius[0]),
                "norm": float(here.norm[0]),
                "directions_above_1": int((here.eigenvalues[0].abs() > 1).sum()),
            }
        )
    return found


def twins(field: sx.LatentField, z: Tensor, steps: int) -> list[float]:
    """Median distance of twin orbits as a share of ‖z‖, per step."""
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(z.shape, generator=generator).to(z)
    size = z.flatten(1).norm(dim=1) / direction.flatten(1).norm(dim=1)
    other = z + TWIN * size.reshape(-1, *[1] * (z.dim() - 1)) * direction
    apart = []
    for _ in range(steps + 1):
        apart.append(float(((other - z).flatten(1).norm(dim=1) / z.flatten(1).norm(dim=1)).median()))
        z, other = field(z), field(other)
    return apart


def bands(groups: dict[str, Any], title: str, path: Path) -> None:
    """Draw the four columns of the orbits of two groups: medians and what 5 to 95 % of them do."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    for axes, name, title in zip(figure.subplots(2, 2).flat, COLUMNS, TITLES, strict=True):
        for (label, group), colour in zip(groups.items(), ("#3b4ba3", "#d9697a"), strict=True):
            band, steps = group[name], range(len(group[name]["median"]))
            axes.plot(steps, band["median"], color=colour, label=label)
            axes.fill_between(steps, band["p5"], band["p95"], color=colour, alpha=0.2, linewidth=0)
        axes.set_title(title, loc="left")
        axes.set_xlabel("step")
        if name != "norm":
            axes.set_yscale("log")
    figure.axes[0].legend(frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def table(record: dict[str, Any]) -> str:
    model = record["model"]
    lines = [
        "# Orbits of TAEF2",
        "",
        f"`{record['command']}`; {model['name']}, {model['parameters']:,} parameters, float32, torch {record['torch']} on "
        f"{record['device']}, {record['seconds']:.0f} s. {record['starts']} encoded ImageNet images and as many draws from "
        f"N(0, I), {record['steps']} steps. Medians over the orbits; the 5 and 95 % points are in foundation_orbits.json.",
        "",
        "![orbits](foundation_orbits.png)",
    ]
    for label, group in record["groups"].items():
        lines += ["", f"## From {label}", "", "| step | " + " | ".join(TITLES) + " |", "|---" * 5 + "|"]
        for t in [t for t in SHOWN if t < record["steps"]]:
            values = " | ".join(f"{group[name]['median'][t]:.4g}" for name in COLUMNS)
            lines.append(f"| {t} | {values} |")
    lines += ["", "## What they are near to", ""]
    for label, found in record["spectra"].items():
        words = "; ".join(
            f"ρ {one['rho']:.3f}, ‖J‖₂ {one['norm']:.2f}, {one['directions_above_1']} directions with |λ| > 1"
            for one in found
        )
        lines.append(f"* Jacobian at end points of orbits from {label}: {words}.")
    longer, apart = record["longer"], record["twins"]
    quiet = record["reached"]
    lines += [
        f"* {longer['orbits']} orbits followed to step {longer['last_step']}: relative residual at the end "
        f"{longer['least']:.2g} to {longer['largest']:.2g}.",
        f"* Twins at a relative distance of {TWIN:g} after step {record['steps']}: {apart[0]:.2g} at first, "
        f"{apart[len(apart) // 2]:.2g} after {len(apart) // 2} steps, {apart[-1]:.2g} after {len(apart) - 1}.",
        f"* Orbits whose relative residual fell below 1e-3 in {record['steps']} steps: "
        + ", ".join(f"{count} of {record['starts']} from {label}" for label, count in quiet.items())
        + ".",
        "",
        record["verdict"],
        "",
    ]
    return "\n".join(lines)


def verdict(record: dict[str, Any]) -> str:
    reached = sum(record["reached"].values())
    growth = record["twins"][-1] / record["twins"][0]
    early = record["twins"][: len(record["twins"]) // 2 + 1]
    exponent = math.log(early[-1] / early[0]) / (len(early) - 1)
    together = (
        f"twins separate (by a factor of about e^{exponent:.2f} per step at first, as on a chaotic set), so where an orbit goes depends on rounding: no claim about limit sets can rest on single orbits"
        if growth > 10
        else "twins draw together: the orbits contract towards each other slowly"
        if growth < 0.1
        else "twins neither separate nor merge clearly"
    )
    end = "No orbit reached a limit set" if reached == 0 else f"{reached} orbits came close to rest"
    return (
        f"**Said plainly.** {end} within {record['steps']} steps; the field stays large where the orbits are, and {together}. "
        "A count of attractors of this model at this budget would be a statement about the budget."
    )


def rounded(value: Any) -> Any:
    """The record with five significant digits, which is more than the medians are worth."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--longer", type=int, default=700, help="further steps for 8 orbits")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--device", type=available, default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    begin = time.perf_counter()
    field = sx.load("taef2", options={"height": options.size, "width": options.size}, device=options.device)
    source = Path(os.environ["SEPARATRIX_DATA"]) / "data/imagenet1000_64px.npz"
    images = sx.data.load_images(source, key="x", limit=options.starts, size=(options.size, options.size))
    starts = {
        "ImageNet images": sx.starts.encoded(images).block(field, 0, options.starts),
        "N(0, I)": sx.starts.gaussian(options.starts, seed=0).block(field, 0, options.starts),
    }
    record: dict[str, Any] = {
        "command": f"python reproduce/foundation_orbits.py --starts {options.starts} --steps {options.steps} "
        f"--longer {options.longer} --size {options.size} --device {options.device} --threads {options.threads}",
        "model": field.describe(),
        "starts": options.starts,
        "steps": options.steps,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if field.device.type == "cuda" else f"{options.threads} CPU threads",
        "groups": {},
        "spectra": {},
        "reached": {},
    }
    ends = {}
    for label, z in starts.items():
        columns, ends[label] = run(field, z, options.steps)
        record["groups"][label] = {name: quantiles(column) for name, column in columns.items()}
        record["reached"][label] = int((columns["relative_residual"].amin(dim=0) < 1e-3).sum())
        if field.latent_dim <= 512:
            record["spectra"][label] = spectra(field, ends[label][:2])
    few = torch.cat([end[:4] for end in ends.values()])
    columns, _ = run(field, few, options.longer)
    tail = columns["relative_residual"][-20:].median(dim=0).values
    record["longer"] = {
        "orbits": len(few),
        "last_step": options.steps + options.longer,
        "least": float(tail.min()),
        "largest": float(tail.max()),
    }
    record["twins"] = twins(field, few, 100)
    record["seconds"] = time.perf_counter() - begin
    record["verdict"] = verdict(record)
    options.out.mkdir(parents=True, exist_ok=True)
    record = rounded(record)  # the page shows what the file says
    (options.out / "foundation_orbits.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    (options.out / "foundation_orbits.md").write_text(table(record), encoding="utf-8")
    title = f"{record['model']['name']}: median and 5–95 % of {record['starts']} orbits each"
    bands(record["groups"], title, options.out / "foundation_orbits.png")
    print(table(record))


if __name__ == "__main__":
    main()
