"""docs/probing.md, "When it works, and when not", against the committed results."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from bound import Bound, result, span
from readings.probing import dictionaries, verdicts
from scipy.stats import spearmanr

ITERATED, ONCE, BASIS = "iterated noise", "f applied once", "random orthonormal basis"


def rows() -> dict[str, Any]:
    return result("reproduce/probing")["rows"]


def counted(space: str, dictionary: str, control: str) -> list[int]:
    found = list(verdicts(space, dictionary, control).values())
    return [found.count(verdict) for verdict in ("better", "level", "worse")]


def against_the_basis() -> Sequence[Any]:
    latent, image = (counted(space, ITERATED, BASIS) for space in ("latent", "image"))
    return latent[0], len(rows()), *latent[1:], *image


def against_one_step() -> Sequence[Any]:
    step = [counted(space, ONCE, BASIS)[0] for space in ("latent", "image")]
    return *step, *counted("latent", ITERATED, ONCE), *counted("image", ITERATED, ONCE)


def of_the_wins() -> Sequence[Any]:
    latent, image = (dictionaries().numbers[space] for space in ("latent", "image"))
    wins, worse, level, better = (latent[key] for key in ("wins", "once_better", "once_level", "once_worse"))
    images, after, as_good = (image[key] for key in ("wins", "once_better", "once_level"))
    return wins, worse, level, better, images, after, as_good


def share(pair: str, dictionary: str, control: str, space: str = "latent") -> float:
    wanted = (dictionary, control, space)
    return next(
        one["share"][0]
        for one in rows()[pair]["comparisons"]
        if (one["dictionary"], one["control"], one["space"]) == wanted
    )


def on_imagenet() -> Sequence[Any]:
    assert verdicts("image", ITERATED, BASIS)["taef2 ImageNet"] == "level"
    return 100 * share("taef2 ImageNet", ONCE, BASIS), -100 * share("taef2 ImageNet", ITERATED, ONCE)


def real_rank(pair: str) -> float:
    row = rows()[pair]
    known = next(one for one in row["dictionaries"] if one["role"] == "real")
    return row["effective_rank"].get(known["name"], known["geometry"]["effective_rank"])


def ranks() -> Sequence[Any]:
    one = rows()["taef2 ImageNet"]
    rank = one["effective_rank"]
    return one["dimension"], rank["raw noise"], rank[ONCE], real_rank("taef2 ImageNet")


def few_directions() -> Sequence[Any]:
    pairs = ("fc FashionMNIST", "conv128 FashionMNIST", "betaB_mnist MNIST", "betaB_dsprites sprites")
    found = [(real_rank(pair), rows()[pair]["dimension"]) for pair in pairs]
    return *(part for pair in found[:3] for part in pair), found[3][0]


def full_latents() -> Sequence[Any]:
    own = [f"{model}_{images}" for model in ("VAE", "betaH", "factor") for images in ("mnist", "dsprites")]
    pairs = [f"{model} {'MNIST' if model.endswith('_mnist') else 'sprites'}" for model in own]
    assert all(verdicts("latent", ONCE, BASIS)[pair] != "better" for pair in pairs)
    (dimension,) = {rows()[pair]["dimension"] for pair in pairs}
    return *span(real_rank(pair) for pair in pairs), dimension


def rank_correlation() -> Sequence[Any]:
    filled = [real_rank(pair) / row["dimension"] for pair, row in rows().items()]
    found = []
    for space in ("latent", "image"):
        gains = [share(pair, ONCE, BASIS, space) for pair in rows()]
        found.append(-float(spearmanr([-inf if gain is None else gain for gain in gains], filled).statistic))
    return found


def iterated_ranks() -> Sequence[Any]:
    rank = rows()["taef2 ImageNet"]["effective_rank"]
    return rank[ONCE], rank[ITERATED]


def attractors() -> Sequence[Any]:
    counts = {pair: [draw["attractors"] for draw in row.get("draws", ())] for pair, row in rows().items()}
    assert all(set(counts[f"{name} MNIST"]) == {1} for name in ("conv2", "conv8", "betaB_dsprites"))
    found = [(*span(counts[f"{name} MNIST"]), rows()[f"{name} MNIST"]["dimension"]) for name in ("conv128", "conv32")]
    return *found[0], *found[1]


def scales() -> Sequence[Any]:
    return span(row["power"] ** 0.5 for pair, row in rows().items() if pair.startswith("conv"))


def exceptions() -> Sequence[Any]:
    pairs = ("taef2 MNIST", "betaH_dsprites MNIST", "factor_dsprites MNIST")
    assert sorted(pairs) == sorted(p for p, v in verdicts("latent", ITERATED, ONCE).items() if v == "better")
    return (100 * share("taef2 MNIST", ITERATED, ONCE),)


def draws() -> Sequence[Any]:
    found = [
        rows()[f"{name}_dsprites MNIST"]["shares_by_draw"]["latent against f applied once"]
        for name in ("betaH", "factor")
    ]
    return len(rows()), *(sum(gain > 0 for gain in gains) for gains in found), len(found[0])


def untrained() -> Sequence[Any]:
    assert all(row["effective_rank"]["untrained copy, iterated"] == 1 for row in rows().values())
    left = [sum(counted(space, ITERATED, "untrained copy, iterated")[1:]) for space in ("latent", "image")]
    return left[0], len(rows()), left[1]


PROBING = [
    Bound("random basis in {} of {} pairs, is level in {} and worse in {}; after decoding better in {}, level in {}, worse in {}",
          against_the_basis),
    Bound("alone beats the random basis in {} pairs ({} after decoding). Against it, iterating is better in {} pairs, level in {} and worse in "
          "{}; after decoding in {}, {} and {}", against_one_step),
    Bound("Of the {} pairs in which iterated noise beats the basis, one step leaves less error still in {} and as much in {}; in {} iterating "
          "leaves less. (Of the {} after decoding: less in {}, as much in {}.)", of_the_wins),
    Bound("one step leaves {:.0f} % less latent error than the basis; a hundred steps leave {:.0f} % *more* than one step", on_imagenet),
    Bound("Of TAEF2's {}, the effective rank of noise is {:.0f}, after one step {:.0f}, and that of real ImageNet latents {:.0f}", ranks),
    Bound("fc (real latents {:.1f} of {}), conv128 ({:.1f} of {}), betaB_mnist ({:.1f} of {}), betaB_dsprites ({:.1f})", few_directions),
    Bound("(effective rank {:.0f} to {:.0f} of {})", full_latents),
    Bound("is −{:.2f} (−{:.2f} after decoding)", rank_correlation),
    Bound("effective rank falls from {:.0f} to {:.0f} in a hundred steps", iterated_ranks),
    Bound("conv128 has {} to {} attractors for {} starts, conv32 {} or {} for {}", attractors),
    Bound("conv2 to conv128 has an rms of {:.0f} to {:.0f}", scales),
    Bound("TAEF2 on MNIST ({:.0f} % less error than one step", exceptions),
    Bound("Nothing is corrected for {} pairs, and for the last two the gain is there in {} and in {} of {} draws", draws),
    Bound("{} pairs of {} are level with it or worse, {} after decoding", untrained),
    Bound("Measured on sixteen real models and {} pairs", lambda: [len(rows())]),
    Bound("about N(0, I) already", reason="a symbol"),
    Bound("And N(0, I) is the wrong noise", reason="a symbol"),
]  # fmt: skip
