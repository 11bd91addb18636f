"""Attractors of noise as a dictionary of real latents, and what they decode to."""

from __future__ import annotations

from readings._record import Reading, Share, all_some_none, result


def verdicts(space: str, dictionary: str, control: str) -> dict[str, str]:
    """Pair of model and images → better, level or worse."""
    return {
        pair: next(
            one["verdict"]
            for one in row["comparisons"]
            if (one["dictionary"], one["control"], one["space"]) == (dictionary, control, space)
        )
        for pair, row in result("reproduce/probing")["rows"].items()
    }


def dictionaries() -> Reading:
    found = {}
    for space in ("latent", "image"):
        basis = verdicts(space, "iterated noise", "random orthonormal basis")
        wins = [pair for pair, verdict in basis.items() if verdict == "better"]
        once = [verdicts(space, "iterated noise", "f applied once")[pair] for pair in wins]
        found[space] = {
            "wins": len(wins),
            "pairs": len(basis),
            "share": Share(len(wins), len(basis)),
            **{f"once_{name}": once.count(verdict) for name, verdict in ONCE.items()},
        }
    assert found["image"]["once_worse"] == 0  # the sentence names the other two
    holds = [verdict == "better" for verdict in verdicts("latent", *PUBLISHED).values()]
    untrained = [verdict == "better" for verdict in verdicts("latent", "iterated noise", "f applied once").values()]
    return Reading(all_some_none(holds), {**found, "once": Share(sum(untrained), len(untrained))})


PUBLISHED = ("iterated noise", "random orthonormal basis")
ONCE = {"better": "worse", "level": "level", "worse": "better"}  # what one step is, where iterating is so


def decoded() -> Reading:
    models = result("reproduce/probing")["appearance"].values()
    like = [round(one["share"] * one["count"]) for one in models]
    starts = [one["start_share"] for one in models]
    numbers = {
        "like": Share(sum(like), sum(one["count"] for one in models)),
        "models": len(like),
        "all": sum(one["share"] == 1 for one in models),
        "null": 100 * sum(starts) / len(starts),
        "less": sum(one["structure"] < one["start_structure"] for one in models),
    }
    return Reading(all_some_none([one["share"] >= 0.95 for one in models]), numbers)
