"""The same pictures are sent on as many trips, edited in other ways, to see what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from separatrix.arguments import checked, whole
from separatrix.data import ImageSource, load_images
from separatrix.errors import InputError
from separatrix.field import LatentField
from separatrix.numerics._duplicates import without_equals
from separatrix.storage import storable
from separatrix.studies._drift.edits import JPEG, Edit, KeepLatent, LatentNoise, PasteBack, Rounding, Shift
from separatrix.studies._drift.headline import Rot
from separatrix.studies._drift.measure import as_bytes, drift
from separatrix.studies._drift.ranking import difference, same_bytes
from separatrix.studies._drift.result import Drift
from separatrix.studies._drift.trips import as_edits, edited_share
from separatrix.words import Statement, Tabular, Tone, counted
from separatrix.work import Progress

KEPT, PASTED = "keep the latent", "paste back"
WAYS: Mapping[str, tuple[Edit, ...]] = {
    KEPT: (KeepLatent(), Rounding()),
    "keep the latent, noise of 0.05 per edit": (KeepLatent(), LatentNoise(0.05), Rounding()),
    PASTED: (PasteBack(), Rounding()),
    "shift by 3 px between trips": (Shift(3), Rounding()),
    "JPEG of quality 90": (JPEG(90),),
    "noise of 0.05 on the latent": (LatentNoise(0.05), Rounding()),
}
"""Ways to edit that are measured beside the usual one, in which the picture is stored with 8 bits."""

_SAME = 0.05  # dB that nobody tells apart
_HELPS = 1.0  # dB that a way must bring, at the low end of its interval, to be called a remedy


@storable
class Remedy(StrEnum):
    """These keep pictures from rotting."""

    KEEP_LATENT = "keep the latent"
    PASTE_BACK = "paste back"
    OTHER = "another way to edit"
    NONE = "nothing that was tried"
    NOT_NEEDED = "nothing needs to be done"


@storable
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Remedies(Tabular):
    """The usual way to edit beside others, on the same pictures.

    Attributes:
        usual: the drift with the usual edits.
        ways: by name, the same pictures edited in other ways.
        edited: by name, the share of the picture that was not pasted back; 1 where nothing was.
    """

    _facts: ClassVar[tuple[str, ...]] = ()

    usual: Drift
    ways: Mapping[str, Drift]
    edited: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.ways)

    @property
    def table(self) -> Mapping[str, Sequence[Any]]:
        """One row per way: PSNR after the last trip, what that is more than usual, and as how many usual trips it counts."""
        last = self.usual.trips
        gains = [difference(one, self.usual, last) for one in self.ways.values()]
        return {
            "way": list(self.ways),
            "psnr": [float(one.psnr[:, -1].mean()) for one in self.ways.values()],
            "gain": [gain.mean for gain in gains],
            "gain_low": [gain.low for gain in gains],
            "gain_high": [gain.high for gain in gains],
            "counts_as": [self.counts_as(name) for name in self.ways],
            "safe_trips": [one.safe.trips for one in self.ways.values()],
            "psnr_inside": [self.inside(name) for name in self.ways],
        }

    def counts_as(self, name: str) -> int:
        """Say as how many trips of the usual kind all trips in this way count; one more than there were where they cost more than all."""
        reached = float(self.ways[name].psnr[:, -1].mean())
        usual = self.usual.psnr.mean(dim=0)
        worse = (usual <= reached + _SAME).nonzero().flatten()
        return int(worse[0]) + 1 if len(worse) else self.usual.trips + 1

    def inside(self, name: str) -> float:
        """PSNR after the last trip of the part that was not pasted back."""
        one, share = self.ways[name], self.edited[name]
        white = (one.values[1] - one.values[0]) ** 2
        error = one.squared_error[:, -1] / share
        return float((10 * (white / error.clamp(min=1e-10 * white)).log10()).mean()) if share else float("nan")

    @property
    def statement(self) -> Statement:
        """Say what to do, in one sentence, with its evidence."""
        last, usual = self.usual.trips, float(self.usual.psnr[:, -1].mean())
        gains = {name: difference(one, self.usual, last) for name, one in self.ways.items()}
        helping = [name for name, gain in gains.items() if (gain.low if gain.low == gain.low else gain.mean) >= _HELPS]
        if self.usual.statement.code is Rot.ONCE:
            return Statement(
                "Nothing needs to be done",
                "after the first trip pictures stay as they are.",
                Remedy.NOT_NEEDED,
                Tone.CALM,
            )
        if not helping:
            best = max(gains, key=lambda name: gains[name].mean)
            return Statement(
                "Edit as seldom as you can",
                f"nothing that was tried helps; the best is to {best}, {gains[best].words}.",
                Remedy.NONE,
            )
        best = KEPT if KEPT in helping else max(helping, key=lambda name: gains[name].mean)
        trips = counted(last, "trip")
        cost = self.counts_as(best)
        costs = f"{trips} then cost what {cost} cost{'s' if cost == 1 else ''}"
        reached = float(self.ways[best].psnr[:, -1].mean())
        evidence = f"{reached:.1f} dB instead of {usual:.1f} after {trips}, {gains[best].words}."
        code = {KEPT: Remedy.KEEP_LATENT, PASTED: Remedy.PASTE_BACK}.get(best, Remedy.OTHER)
        lead = "Keep the latent between edits" if best == KEPT else f"{best[0].upper()}{best[1:]}"
        return Statement(f"{lead}: {costs}.", evidence, code, Tone.CALM).followed_by(*self._besides(best))

    def _besides(self, best: str) -> list[str]:
        """Say what else helps: the mask, where there is no latent to be kept."""
        said = []
        if best == KEPT:
            said.append(
                "That is so by construction, as long as the editor works in the latent and decodes only to show or to save."
            )
        if PASTED in self.ways and best != PASTED:
            said.append(
                "Where there is no latent to keep, paste everything outside the mask back from the original: the loss stays inside "
                f"({self.inside(PASTED):.1f} dB there, and none outside)."
            )
        return said

    def __repr__(self) -> str:
        return f"Remedies({self.usual.model}, {len(self)} ways; {self.statement})"


@checked
def drift_remedies(
    field: LatentField,
    images: ImageSource,
    usual: Drift,
    *,
    ways: Mapping[str, Sequence[Edit]] = WAYS,
    limit: int = 8,
    seed: int = 0,
    progress: bool | Progress = False,
) -> Remedies:
    """Send the first few pictures through the model in other ways, as often as in the usual one.

    Args:
        field: the latent field.
        images: those of ``usual``.
        usual: the drift of these pictures.
        ways: edits by name.
        limit: at most so many pictures.
        seed: of latent noise.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError: the images are not those of the drift, or as `separatrix.drift`.

    Cost: that of one drift of so many pictures per way.
    """
    known = load_images(images)
    known = known[without_equals(known.pixels)]
    kept = min(len(known), len(usual.pictures))
    alike = not kept or same_bytes(as_bytes(known.pixels[:kept], usual.values), usual.pictures[:kept, 0])
    if known.names != usual.names or not alike:
        raise InputError("Remedies are measured on the pictures of the drift; pass the same images.")
    base = usual.first(whole("limit", limit, 1))
    with Progress.of(progress).stage("remedies", len(ways)) as line:
        measured = {
            name: drift(
                field,
                known[: len(base)],
                trips=usual.trips,
                edits=edits,
                bar=usual.bar,
                name=usual.model,
                values=usual.values,
                shown=1,
                frames=(0, usual.trips),
                seed=seed,
                progress=line,
            )
            for name, edits in ways.items()
        }
    shape = (int(usual.where.shape[1]), int(usual.where.shape[2]))
    return Remedies(
        usual=base,
        ways=measured,
        edited={name: edited_share(as_edits(edits), shape) for name, edits in ways.items()},
    )
