"""The record of benchmarks/engine.py as Markdown: a line per bar, then a table per model."""

from __future__ import annotations

import math
from typing import Any

OURS, CAPPED = "separatrix.find_attractors", "separatrix.find_attractors, cap 3000"
WHOLE, ACTIVE, ACTIVE32 = (
    "loop, whole batch, step < 1e-10, cap 3000",
    "loop, active set, step < 1e-10, cap 3000",
    "loop, active set, step < 3e-6, cap 3000",
)
FIVE = ("conv2", "conv8", "conv32", "conv128", "fc")
MEAN, BOOKKEEPING = 8.0, 0.2
AGAINST_ACTIVE = {"conv2": 0.55, "conv8": 1.02, "conv32": 0.15, "conv128": 0.60, "fc": 0.45}

Model = dict[str, Any]


def row_of(model: Model, method: str) -> Model:
    """The row of one method."""
    return next(row for row in model["rows"] if row["method"] == method)


def ratio(model: Model, method: str, column: str, ours: str = OURS) -> float:
    """A method's number over ours."""
    return row_of(model, method)[column] / row_of(model, ours)[column]


def _verdict(met: bool, missed: str) -> str:
    return "**met**" if met else f"**missed**: {missed}"


def bars(models: dict[str, Model]) -> list[str]:
    """One line per bar, judged on the models measured so far."""
    five = [models[name] for name in FIVE if name in models]
    if not five:
        return []
    missing = f" ({', '.join(name for name in FIVE if name not in models)} not measured)" if len(five) < 5 else ""
    lines = []
    low = {m["model"]: row_of(m, OURS)["fidelity"] for m in models.values() if row_of(m, OURS)["fidelity"] < 0.999}
    below = ", ".join(f"{name} {share:.2%}" for name, share in low.items())
    lines.append(f"Fidelity ≥ 99.9 % per model, starts with plain float64 ends on file: {_verdict(not low, below)}.")
    agreeing = {m["model"]: m["agrees_with_float64_loop"] for m in models.values()}
    below = ", ".join(
        f"{name} {good / all_:.2%} of {all_}" for name, (good, all_) in agreeing.items() if good < 0.999 * all_
    )
    lines.append(f"The same against the float64 loop's ends, all starts: {_verdict(not below, below)}.")
    unstable = sum(m["unstable_reported_stable"] for m in models.values())
    lines.append(f"No unstable point reported as an attractor: {_verdict(not unstable, str(unstable))}.")
    gains = {m["model"]: ratio(m, WHOLE, "evaluations_per_start", CAPPED) for m in five}
    mean = math.exp(sum(math.log(gain) for gain in gains.values()) / len(gains))
    each = ", ".join(f"{name} {gain:.1f} ×" for name, gain in gains.items())
    lines.append(
        f"Geometric mean ≥ {MEAN:g} × (aim: 10) fewer evaluations than the whole-batch loop to a step of 1e-10, both with cap 3000: {mean:.1f} × "
        f"({each}){missing}: {_verdict(mean >= MEAN, f'{mean:.1f} instead of {MEAN:g}')}."
    )
    for m in five:
        name, bar, active = m["model"], AGAINST_ACTIVE[m["model"]], row_of(m, ACTIVE)
        share = 1 / ratio(m, ACTIVE, "evaluations_per_start", CAPPED)
        long = row_of(m, OURS)["evaluations_per_start"] / active["evaluations_to_long_cap"]
        lines.append(
            f"Against active-set iteration to 1e-10, {name}: {share:.3f} of its evaluations, both with cap 3000 "
            f"({row_of(m, CAPPED)['ended']:.1%} and {active['ended']:.1%} of the orbits ended), {long:.3f} with cap 20,000; bar {bar:.2f}: "
            f"{_verdict(share <= bar, f'{share / bar:.2f} × the bar')}."
        )
    for text, method, bar, lenient in (
        ("all with cap 3000, ≥ 3 × faster than one big batch of 3000 (float64, step 1e-10)", WHOLE, 3.0, {}),
        ("never slower than active-set iteration to 1e-10 (float64)", ACTIVE, 1.0, {}),
        (
            "never slower than active-set iteration in float32 to 3e-6, which is not as accurate (conv8: by 1.3 at most)",
            ACTIVE32,
            1.0,
            {"conv8": 1 / 1.3},
        ),
    ):
        speed = {m["model"]: ratio(m, method, "processor", CAPPED) for m in five}
        slow = {name: f"{gain:.2f}" for name, gain in speed.items() if gain < lenient.get(name, bar)}
        each = ", ".join(f"{name} {gain:.1f} ×" for name, gain in speed.items())
        lines.append(f"Time, {text}: {each}{missing}: {_verdict(not slow, str(slow))}.")
    share_of = {m["model"]: 1 - m["network_share"] for m in five}
    over = {name: f"{share:.1%}" for name, share in share_of.items() if share > BOOKKEEPING}
    each = ", ".join(f"{name} {share:.1%}" for name, share in share_of.items())
    lines.append(f"Bookkeeping ≤ {BOOKKEEPING:.0%} of the run: {each}{missing}: {_verdict(not over, str(over))}.")
    counted = {m["model"]: m["counts_by_tolerance"] for m in five if m["counts_by_tolerance"]}
    if counted:
        moving = {name: counts for name, counts in counted.items() if len(set(counts.values())) > 1}
        each = ", ".join(f"{name} {'/'.join(map(str, counts.values()))}" for name, counts in counted.items())
        lines.append(f"Same count for stop tolerances 1e-6 … 1e-10: {each}: {_verdict(not moving, str(moving))}.")
    return lines


def markdown(record: dict[str, Any]) -> str:
    """The page as it is committed."""
    found = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    lines = [
        f"Measured by `python benchmarks/engine.py` at commit {record['commit']}: {record['machine']}, {record['threads']} thread(s), "
        f"{found}. Set-up (polishing, Jacobians, audit) is included in ours.",
        "",
        "* Evaluations of derivative products count as 2 (vjp) and 4 (jvp). Orbits that do not end are charged the cap.",
        "* Fidelity: share of the starts with a settled plain float64 end (step 1e-12, on file) that end in its basin: for ours the "
        "set it names, for the others within 1e-3 of the spread; an orbit that has not ended within the cap is in no basin. Accurate: within 1e-8 of the spread of an attractor.",
        "* On unstable: called an end by the method, and Newton's method finds a fixed point with ρ ≥ 1 there.",
        "* Whole-batch counts are exact (n × the largest number of steps of one active-set run); their seconds are those of "
        "3 steps of one batch of 3000, times the number of steps; their ends are taken where the active set's last stop rule held. Orbits on a closed curve, which never end, are dropped from "
        "the measured loops after 1000 steps and charged up to the cap at the measured pace.",
        "* Seconds are processor time of one thread per 1000 starts (the clock in brackets: the machine had other work). "
        "Memory: peak above what was resident before; chunked methods share what the allocator kept, so 0 means no more than before.",
        "",
        "## Bars",
        "",
        *[f"* {line}" for line in bars(record["models"])],
    ]
    for model in record["models"].values():
        agreeing, compared = model["agrees_with_float64_loop"]
        lines += [
            "",
            f"## {model['model']} (k = {model['latent']}, {model['starts']} starts)",
            "",
            f"{model['sets']}. {model['audit']} Labels agree with the float64 loop's ends for {agreeing} of {compared} starts that "
            f"end on points. Plain float64 ends lie within {model['largest_distance_of_plain_ends']:.1e} spreads of our sets. "
            f"Network: {model['network_share']:.1%} of the run, the rest is bookkeeping. Load average {model['load']:.1f}, {model['when']}.",
            *[f"\n{note}" for note in model.get("notes", [])],
            "",
            "| method | precision | starts | evaluations per start | × ours | fidelity | on unstable | accurate | ended | "
            "seconds per 1000 starts | × ours | memory |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['method']} | {row['precision']} | {row['starts']} | {row['evaluations_per_start']:.1f} | "
            f"{ratio(model, row['method'], 'evaluations_per_start'):.2f} | {row['fidelity']:.2%} of {row['compared']} | "
            f"{row['unstable']:.1%} | {row['accurate']:.1%} | {row['ended']:.1%} | {row['processor']:.1f} ({row['wall']:.1f}) | "
            f"{ratio(model, row['method'], 'processor'):.2f} | {max(row['memory_mib'], 0.0):.0f} MiB |"
            for row in model["rows"]
        ]
    return "\n".join(lines) + "\n"
