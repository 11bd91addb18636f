"""docs/ood.md, "What was measured", against the committed results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from bound import Bound, result, span

Row = dict[str, Any]
DETECTORS = ("typicality", "trajectory", "knn", "mahalanobis", "reconstruction", "residual")
NAMES = {"knn": "kNN", "mahalanobis": "Mahalanobis", "trajectory": "the paper's score"}
NATURAL = ("CIFAR-10", "ImageNet-64", "BSDS")


def models() -> list[Row]:
    return result("benchmarks/ood")["models"]


def unseen(ood: str) -> bool:
    return ood in result("benchmarks/ood")["unseen"]


def known(ood: str) -> bool:
    return not unseen(ood)


def rows(detector: str, keep: Callable[[str], bool], id_name: str = "", family: str = "") -> Iterator[Row]:
    for model in models():
        if id_name in ("", model["id"]) and family in ("", model["family"]):
            yield from (row for row in model["rows"] if row["detector"] == detector and keep(row["ood"]))


def mean(detector: str, keep: Callable[[str], bool], id_name: str = "") -> float:
    return fmean(row["auroc"] for row in rows(detector, keep, id_name))


def pairs() -> Sequence[Any]:
    return len(models()), *(len(list(rows("typicality", keep))) for keep in (known, unseen))


def means(keep: Callable[[str], bool]) -> list[float]:
    return [
        mean(kind, keep) for kind in ("typicality", "knn", "mahalanobis", "reconstruction", "residual", "trajectory")
    ]


def alone_best(keep: Callable[[str], bool]) -> list[int]:
    """Pairs on which typicality, reconstruction, Mahalanobis, another detector is alone best; ties."""
    found = {"typicality": 0, "reconstruction": 0, "mahalanobis": 0, "others": 0, "ties": 0}
    for model in models():
        for ood in {row["ood"] for row in model["rows"] if keep(row["ood"])}:
            areas = {
                row["detector"]: row["auroc"]
                for row in model["rows"]
                if row["ood"] == ood and row["detector"] in DETECTORS
            }
            (first, *more) = [kind for kind, area in areas.items() if area == max(areas.values())]
            found["ties" if more else first if first in found else "others"] += 1
    return list(found.values())


def best_other(keep: Callable[[str], bool], id_name: str = "") -> tuple[float, float, str]:
    """Typicality's mean, and the highest one of the other detectors, with its name."""
    best = max(DETECTORS[1:], key=lambda kind: mean(kind, keep, id_name))
    return mean("typicality", keep, id_name), mean(best, keep, id_name), NAMES[best]


def by_data_set() -> Sequence[Any]:
    return [part for name in ("MNIST", "FashionMNIST", "CIFAR-10") for part in best_other(unseen, name)]


def unscored(ood: str) -> bool:
    """The unseen kinds but the first five, on which a reader had scored the detector as it was before."""
    return ood in result("benchmarks/ood")["unseen"][5:]


def leaders() -> Sequence[Any]:
    """On how many networks each detector has the highest mean over the unseen kinds; all families are those that the text names."""
    found: dict[str, list[Row]] = {kind: [] for kind in DETECTORS}
    for model in models():
        areas = {
            kind: [r["auroc"] for r in model["rows"] if r["detector"] == kind and unseen(r["ood"])]
            for kind in DETECTORS
        }
        found[max((kind for kind in DETECTORS if areas[kind]), key=lambda kind: fmean(areas[kind]))].append(model)
    assert {model["family"] for model in found["reconstruction"]} == {"Burgess VAE"}
    assert {model["id"] for model in found["knn"] + found["residual"]} == {"FashionMNIST"}
    assert {model["family"] for model in found["mahalanobis"]} == {"ViT-MAE"}
    return (
        len(found["typicality"]),
        len(models()),
        *(len(found[k]) for k in ("reconstruction", "knn", "residual", "mahalanobis")),
    )


def ahead() -> Sequence[Any]:
    """Reconstruction, where its mean is above typicality's."""
    found = [mean("reconstruction", lambda each, ood=ood: each == ood) for ood in ("upside down", "mirrored")]
    assert all(
        area > mean("typicality", lambda each, ood=ood: each == ood)
        for area, ood in zip(found, ("upside down", "mirrored"), strict=True)
    )
    return found


def others_recommended() -> Sequence[Any]:
    """Networks on which the self-check recommends another detector than typicality: how many, that one's mean, typicality's."""
    chosen = [model for model in models() if model["check"]["recommended"] != "typicality"]
    assert {model["family"] for model in chosen} == {"Burgess VAE"}
    areas = [
        [
            r["auroc"]
            for model in chosen
            for r in model["rows"]
            if unseen(r["ood"]) and r["detector"] == (kind or model["check"]["recommended"])
        ]
        for kind in ("", "typicality")
    ]
    return len(chosen), *map(fmean, areas)


def lowest() -> Sequence[Any]:
    """Of known kinds: the three below 0.5 are these, and one is so with its whole interval; the best that any detector reaches there."""
    below = [
        (m, r)
        for m in models()
        for r in m["rows"]
        if r["detector"] == "typicality" and known(r["ood"]) and r["auroc"] < 0.5
    ]
    (surely,) = [(m, r) for m, r in below if r["high"] < 0.5]
    assert surely[1]["ood"] == "held-out classes"
    assert surely[0]["model"].endswith("5 epochs")
    assert surely[0]["id"] == "MNIST"
    assert (
        sorted((m["family"], m["id"], r["ood"]) for m, r in below if r is not surely[1])
        == [("reference", "CIFAR-10", "BSDS")] * 2
    )
    low = [
        m["id"]
        for m in models()
        for r in m["rows"]
        if r["detector"] == "typicality" and unseen(r["ood"]) and r["auroc"] < 0.5
    ]
    assert set(low) == {"CIFAR-10"}
    reached = max(
        r["auroc"] for r in surely[0]["rows"] if r["ood"] == "held-out classes" and r["detector"] in DETECTORS
    )
    return surely[1]["auroc"], reached


def recommended() -> Sequence[Any]:
    """The best detector on the unseen kinds, its mean, and that of the detector that the self-check recommends on each network."""
    followed = [
        row["auroc"]
        for model in models()
        for row in model["rows"]
        if unseen(row["ood"]) and row["detector"] == model["check"]["recommended"]
    ]
    best = max(DETECTORS, key=lambda kind: mean(kind, unseen))
    return best, mean(best, unseen), fmean(followed)


def alone() -> Sequence[Any]:
    return (
        mean("course alone", known),
        min(row["auroc"] for row in rows("course alone", known)),
        mean("course alone", unseen),
    )


def bar() -> Sequence[Any]:
    simple = result("benchmarks/ood")["simple"]
    fashion = [row["auroc"] for row in rows("typicality", lambda ood: ood == "FashionMNIST", family="bar")]
    plain = [row["auroc"] for row in rows("typicality", lambda ood: ood in simple, family="bar")]
    return *span(fashion), min(plain)


def below_half() -> Sequence[Any]:
    found = [row for row in rows("typicality", known) if row["auroc"] < 0.5]
    everywhere = [row for row in rows("typicality", unseen) if row["auroc"] < 0.5]
    return len(found), len(list(rows("typicality", known))), len(everywhere), len(list(rows("typicality", unseen)))


def natural() -> Sequence[Any]:
    """CIFAR-10 against natural images of other data sets: on two autoencoders, and on TAEF2."""
    found = [
        span(r["auroc"] for r in rows("typicality", lambda o: o in NATURAL, "CIFAR-10", f))
        for f in ("reference", "TAEF2")
    ]
    return *found[0], *found[1]


def held_out() -> Sequence[Any]:
    is_held_out: Callable[[str], bool] = lambda ood: ood == "held-out classes"  # noqa: E731
    own, *baselines = [
        mean(kind, is_held_out) for kind in ("typicality", "knn", "reconstruction", "mahalanobis", "residual")
    ]
    assert min(baselines) > own
    return own, *baselines


def worst_unseen() -> Sequence[Any]:
    areas = {ood: mean("typicality", lambda each, ood=ood: each == ood) for ood in result("benchmarks/ood")["unseen"]}
    return [part for ood in sorted(areas, key=lambda ood: areas[ood])[:3] for part in (ood, areas[ood])]


def decisions() -> Sequence[Any]:
    splits = [split for model in models() for split in model["splits"]]
    cells = [s[rate] for s in splits if s["order"] == "shuffled" for rate in ("0.01", "0.05", "0.1")]
    (file,) = [s["0.05"] for s in splits if s["order"] != "shuffled" and s["detector"] == "trajectory"]
    return sum(cell["low"] <= cell["observed"] <= cell["high"] for cell in cells), len(cells), file["observed"]


def check() -> Sequence[Any]:
    simple, found = result("benchmarks/ood")["simple"], {"inverted": [], "upright": [], "open": []}
    for model in models():
        paper = [row for row in model["rows"] if row["detector"] == "trajectory" and row["ood"] in simple]
        if not paper:
            continue
        truth = (
            "inverted"
            if any(r["high"] < 0.5 for r in paper)
            else "upright"
            if all(r["low"] > 0.5 for r in paper)
            else "open"
        )
        found[truth].append(not model["check"]["ok"])
    return [part for flags in found.values() for part in (sum(flags), len(flags))]


def speed() -> Sequence[Any]:
    (found,) = [model["throughput"] for model in models() if model["throughput"]]
    return 100 * found["typicality"], 100 * min(found["trajectory"], 1)


def choice(group: str) -> list[float]:
    networks = result("benchmarks/ood_choice")["networks"]
    return [
        fmean(area for network in networks for area in network["auroc"][variant][group].values())
        for variant in list(networks[0]["auroc"])[:3]
    ]


def one_network() -> Sequence[Any]:
    found = {(row["detector"], row["ood"]): row["auroc"] for row in result("reproduce/ood")["rows"]}
    paper = span(area for (kind, _), area in found.items() if kind == "trajectory")
    mnist = [found[kind, "MNIST"] for kind in ("typicality", "reconstruction", "mahalanobis", "residual", "knn")]
    return *paper, min(area for (kind, _), area in found.items() if kind == "typicality"), *mnist


MEANS = "typicality {:.3f}, kNN {:.3f}, Mahalanobis {:.3f}, reconstruction {:.3f}, residual {:.3f}, the paper's score {:.3f}"
BEST = (
    "Alone best are typicality on {}, reconstruction on {}, Mahalanobis on {} and the others on {} pairs; {} are ties"
)
OOD = [
    Bound("{} networks (", lambda: pairs()[:1]),
    Bound("{} pairs of network and known kind of OOD input, {} of network and *unseen* kind", lambda: pairs()[1:]),
    Bound(f"**Known kinds**, mean AUROC: {MEANS}. {BEST}", lambda: [*means(known), *alone_best(known)]),
    Bound(f"**Unseen kinds**, mean AUROC: {MEANS}. {BEST}", lambda: [*means(unseen), *alone_best(unseen)]),
    Bound("the mean is {:.3f}, of the best other one {:.3f} ({})", lambda: best_other(unscored)),
    Bound("On the {} networks on which it recommends another one, all of them VAEs, that one has {:.3f} and typicality {:.3f}", others_recommended),
    Bound("By ID set, typicality and the best other one: MNIST {:.3f} and {:.3f} ({}), FashionMNIST {:.3f} and {:.3f} ({}), CIFAR-10 {:.3f} and "
          "{:.3f} ({})", by_data_set),
    Bound("on FashionMNIST and the six kinds, {:.3f} and {:.3f} ({})", lambda: best_other(unscored, "FashionMNIST")),
    Bound("it has the highest mean on {} of {}, reconstruction on {} (VAEs), kNN on {} and the residual on {} (of FashionMNIST), Mahalanobis on {} "
          "(ViT-MAE)", leaders),
    Bound("upside down and mirrored reconstruction is ahead ({:.3f} and {:.3f})", ahead),
    Bound("({:.3f}, the only one with its whole interval below; no detector is above {:.3f})", lowest),
    Bound("Its lowest means: {} ({:.3f}), {} ({:.3f}), {} ({:.3f})", worst_unseen),
    Bound("the best mean on the unseen kinds is that of {} ({:.3f}); the detector that the self-check recommends, network by network, has {:.3f}",
          recommended),
    Bound("{:.3f} on the known kinds (lowest {:.3f}) and {:.3f} on the unseen ones", alone),
    Bound("{:.3f} to {:.3f} on FashionMNIST, at least {:.3f} on every simple input", bar),
    Bound("It is below 0.5 on {} of {} pairs with known kinds and on {} of {} with unseen ones", below_half),
    Bound("CIFAR-10 against BSDS and ImageNet-64 ({:.3f} to {:.3f} on two autoencoders, {:.3f} to {:.3f} on TAEF2)", natural),
    Bound("held-out classes (mean {:.3f}; kNN {:.3f}, reconstruction {:.3f}, Mahalanobis {:.3f}, residual {:.3f})", held_out),
    Bound("{} of {} (detector, α) lie within", lambda: decisions()[:2]),
    Bound("called {:.3f} at 0.05", lambda: decisions()[2:]),
    Bound("It warns on {} of the {} networks on which the paper's score is inverted on a simple input, and on {} of the {} on which it is not; "
          "on {} of {} on which test data cannot tell", check),
    Bound("{:.0f} % of the bare network's at as many evaluations (typicality), {:.0f} % (trajectory)", speed),
    Bound("(AUROC {:.3f} to {:.3f}), and the self-check says so. Typicality is at least {:.3f} on every set, and against MNIST {:.3f}, where "
          "reconstruction has {:.3f}, Mahalanobis {:.3f}, the residual {:.3f} and kNN {:.3f}", one_network),
    Bound("from {:.3f} to {:.3f} and {:.3f} on altered kinds", lambda: choice("altered")),
    Bound("({:.3f}, {:.3f} and {:.3f} on the known ones)", lambda: choice("known")),
    Bound("k = 16, 32, 128;", reason="settings"),
    Bound("no pair of a known kind should be below 0.5", reason="the bar"),
    Bound("had seen 5000 images five times", reason="a setting"),
    Bound("Three networks with k = 32", reason="a setting"),
    Bound("over 20 splits, α = 0.01, 0.05, 0.1", reason="settings"),
    Bound("the 95 % interval", reason="a level"),
    Bound("FPR95", reason="a name"),
    Bound("ImageNet-64", reason="a name"),
    Bound("CIFAR-10", reason="a name"),
]  # fmt: skip
