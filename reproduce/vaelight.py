"""VAElight's field at 32 px: where orbits go, whether anything attracts, and what noise that was iterated is worth as a dictionary.

    SEPARATRIX_DATA=... python reproduce/vaelight.py [--starts 16] [--steps 300]

What foundation_orbits.py and probing.py do with TAEF2, for the second real autoencoder of a latent diffusion model (Stable Diffusion 1.x),
whose latents at 32×32 pixels have 64 coordinates. Four stages, each kept in --work: orbits of encoded ImageNet images and of N(0, I); a search
for limit sets from the same noise, and the motion of what found none; spectra at ends of orbits; probes with all controls on six
data sets. Writes vaelight.json, .md and .png.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from foundation_orbits import COLUMNS, SHOWN, TITLES, bands, quantiles, rounded, run, spectra, twins
from probing_inputs import LARGE, data

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.models import untrained_copy
from separatrix.studies import Role, data_free_dictionaries
from separatrix.words import jsonable

SIDE = 32
PROBE_STEPS = 100
REFERENCE = 400  # real images beside those that are coded
GROUPS = {"ImageNet images": "images", "N(0, I)": "noise"}


def orbits(field: sx.LatentField, starts: dict[str, sx.starts.Starts], options: argparse.Namespace) -> dict[str, Any]:
    """The four columns per step, and what lies at the ends."""
    found: dict[str, Any] = {}
    for label, start in starts.items():
        columns, ends = run(field, start.block(field, 0, options.starts), options.steps)
        found[label] = {
            **{name: quantiles(column) for name, column in columns.items()},
            "largest": float(ends.abs().max()),
            "at_rest": int((columns["relative_residual"][-1] < 1e-3).sum()),
            "spectra": spectra(field, ends[:3]),
            "twins": twins(field, ends[:8], 100),
        }
    return found


def search(field: sx.LatentField, starts: dict[str, sx.starts.Starts], options: argparse.Namespace) -> dict[str, Any]:
    """Limit sets from noise, and the motion of up to four orbits that reached none."""
    protocol = sx.Protocol(max_steps=options.search_steps)
    found = sx.find_attractors(field, starts["N(0, I)"], protocol)
    moving = found.orbits.points[found.labels < 0][:4]
    return {
        "starts": len(found.labels),
        "max_steps": options.search_steps,
        "words": found.fates.words,
        "kinds": found.to_dict()["rows"],
        "motion": sx.motion(field, moving).to_dict()["rows"] if len(moving) else [],
    }


def probes(field: sx.LatentField, _starts: dict[str, sx.starts.Starts], options: argparse.Namespace) -> dict[str, Any]:
    """Six data sets coded with what noise became after 100 steps, beside every control."""
    noise = sx.starts.gaussian(field.latent_dim, seed=0)
    protocol = sx.Protocol(max_steps=PROBE_STEPS)
    trained, fresh = (sx.iterate(each, noise, protocol) for each in (field, untrained_copy(field, 0)))
    base = data_free_dictionaries(field, trained, starts=noise, untrained=fresh)
    found = {}
    for name, source in LARGE.items():
        pair = source(options.coded, REFERENCE)
        probe = sx.probe(field, base, pair.coded, reference=pair.reference, name=name)
        gains = {
            space: {
                str(control): [
                    getattr(probe.against(control, space), key) for key in ("share", "share_low", "share_high")
                ]
                for control in (Role.ORTHONORMAL, Role.ONCE, Role.NOISE, Role.UNTRAINED)
            }
            for space in ("latent", "image")
        }
        found[name] = {"statement": str(probe.statement), "gains": gains}
    ranks = {known.name: known.geometry.effective_rank for known in base.dictionaries}
    return {"sets": found, "effective_rank": ranks, "atoms": field.latent_dim}


STAGES: dict[str, Callable[..., dict[str, Any]]] = {"orbits": orbits, "search": search, "probes": probes}


def table(record: dict[str, Any]) -> str:
    """The page."""
    found, probed = record["search"], record["probes"]
    lines = [
        "# VAElight at 32 px: orbits, attractors, probes",
        "",
        f"`{record['command']}`; {record['name']}, {record['parameters']:,} parameters, {record['units']}; float32, torch {record['torch']}, one CPU thread, "
        f"{sum(record[stage]['cpu_seconds'] for stage in STAGES) / 60:.0f} minutes of it. {record['starts']} encoded ImageNet images and as many draws from N(0, I), {record['steps']} steps; medians over orbits.",
        "",
        "![orbits](vaelight.png)",
    ]
    for label in GROUPS:
        group = record["orbits"][label]
        lines += ["", f"## From {label}", "", "| step | " + " | ".join(TITLES) + " |", "|---" * 5 + "|"]
        for t in [t for t in SHOWN if t < record["steps"]]:
            lines.append(f"| {t} | " + " | ".join(f"{group[name]['median'][t]:.4g}" for name in COLUMNS) + " |")
        ends = "; ".join(
            f"ρ {one['rho']:.3f}, ‖J‖₂ {one['norm']:.2f}, {one['directions_above_1']} directions with |λ| > 1"
            for one in group["spectra"]
        )
        lines += [
            "",
            f"At rest after {record['steps']} steps (residual below 1e-3 of ‖z‖): {group['at_rest']} of {record['starts']}. Largest coordinate {group['largest']:.3g}. "
            f"Twins {group['twins'][0]:.1g} apart, relative to ‖z‖, are {group['twins'][-1]:.2g} apart 100 steps later. Jacobian at three ends: {ends}.",
        ]
    lines += [
        "",
        "## Limit sets",
        "",
        f"`find_attractors` from {found['starts']} draws of N(0, I), at most {found['max_steps']} steps: {found['words']}.",
        "",
        "| kind | period | ρ | ‖J‖₂ | starts |",
        "|---|---|---|---|---|",
        *(
            f"| {row['kind'].replace('_', ' ')} | {row['period']} | {_number(row['spectral_radius'])} | {_number(row['spectral_norm'])} | {row['hits']} |"
            for row in found["kinds"]
        ),
    ]
    if found["motion"]:
        lines += [
            "",
            f"{len(found['motion'])} orbits that reached none, followed for 256 steps: "
            + "; ".join(
                f"{row['words']} (Lyapunov exponent {row['exponent']:+.3f} ± {row['standard_error']:.3f})"
                for row in found["motion"]
            )
            + ".",
        ]
    ranks = ", ".join(f"{name} {rank:.1f}" for name, rank in probed["effective_rank"].items())
    lines += [
        "",
        "## Probes",
        "",
        f"{probed['atoms']} draws of N(0, I) after {PROBE_STEPS} steps are the atoms; {record['coded']} images of each set are coded. A percentage is by how much less error they leave than the control (area under the "
        f"curve over ln k; in brackets 95 % bootstrap intervals over images). Effective rank: {ranks}.",
        "",
        "| images | space | against random basis | f once | raw noise | untrained copy |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in probed["sets"].items():
        for space, gains in one["gains"].items():
            lines.append(
                f"| {name if space == 'latent' else ''} | {space} | "
                + " | ".join(_gain(v) for v in gains.values())
                + " |"
            )
    lines += ["", *(f"* **{name}** {one['statement']}" for name, one in probed["sets"].items()), ""]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _gain(values: list[float]) -> str:
    share, low, high = (100 * value for value in values)
    return f"{share:+.0f} % ({low:+.0f} to {high:+.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=16)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--search-steps", type=int, default=600)
    parser.add_argument("--coded", type=int, default=60)
    parser.add_argument("--work", type=Path, default=Path("runs/vaelight"), help="what is done so far")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    field = sx.load("vaelight", options={"height": SIDE, "width": SIDE})
    images = sx.data.load_images(
        data() / "data/imagenet1000_64px.npz", key="x", limit=options.starts, size=(SIDE, SIDE)
    )
    starts = {"ImageNet images": sx.starts.encoded(images), "N(0, I)": sx.starts.gaussian(options.starts, seed=0)}
    record: dict[str, Any] = {
        "command": f"python reproduce/vaelight.py --starts {options.starts} --steps {options.steps} --search-steps {options.search_steps} --coded {options.coded}",
        "name": field.name,
        "units": field.units,
        "parameters": sum(p.numel() for module in field.modules for p in module.parameters()),
        "starts": options.starts,
        "steps": options.steps,
        "coded": options.coded,
        "torch": torch.__version__,
    }
    for stage, compute in STAGES.items():
        place = options.work / f"{stage}.json"
        if not place.exists():
            begin = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                found = compute(field, starts, options)
            place.write_text(
                json.dumps(rounded(jsonable({**found, "cpu_seconds": time.process_time() - begin}))), encoding="utf-8"
            )
        record[stage] = json.loads(place.read_text(encoding="utf-8"))
        print(f"{stage}: {record[stage]['cpu_seconds']:.0f} s", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "vaelight.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    (options.out / "vaelight.md").write_text(table(record), encoding="utf-8")
    groups = {label: record["orbits"][label] for label in GROUPS}
    bands(
        groups, f"{record['name']}: median and 5–95 % of {record['starts']} orbits each", options.out / "vaelight.png"
    )
    print(table(record))


if __name__ == "__main__":
    main()
