"""The watch for closed curves: which orbits of a search are recorded, and when their records are looked at.

An orbit that still moves after many steps may be on its way round a curve. Some of the oldest are recorded while they run; a record is
examined when its orbit is due (`Protocol.probe_steps`, or its budget is used up), and again when it has made twice as many steps.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from separatrix.cost import Cost
from separatrix.field import LatentField
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._curves import CurveSearch
from separatrix.limitsets._ledger import MOVING, Ledger
from separatrix.limitsets._records import Records
from separatrix.orbits._pool import Rows
from separatrix.protocol import Protocol


class CurveWatch:
    """Records orbits, which it does as an observer (``records``), and has ``curves`` examine what they show."""

    def __init__(self, field: LatentField, catalogue: Catalogue, protocol: Protocol) -> None:
        self.records = Records(field.latent_dim, field.device, field.dtype, protocol.curves)
        self.curves = CurveSearch(field, catalogue)
        self._protocol, self._rules = protocol, protocol.curves
        self._wanted = (
            protocol.max_steps >= self._rules.least_budget
        )  # else a record would be longer than orbits may be

    @property
    def cost(self) -> Cost:
        """Evaluations spent on tests of curves."""
        return self.curves.cost

    def found(self, ledger: Ledger, rows: Rows, ended: Tensor, spent: float) -> Iterator[tuple[int, int]]:
        """Orbits whose records show a closed curve, with its number. ``rows`` are under way, ``ended`` have ended in this round, and the
        search has cost ``spent`` evaluations so far.

        Afterwards the oldest orbits without a record get one, where there is room.
        """
        if not self._wanted:
            return
        budget_used = ledger.among(ended[ledger.set[ended] < 0], *MOVING)
        due = torch.cat([rows.orbit[rows.t >= self._protocol.probe_steps], budget_used]).tolist()
        steps = dict(zip(rows.orbit.tolist(), rows.t.tolist(), strict=True))
        begun = self.cost.total
        for orbit, path in self.records.long_enough(self._rules.recorded):
            made = steps.get(orbit, self._protocol.max_steps)
            # Of a young orbit the last stretch alone is looked at, which is the least transient.
            length = self._rules.longest_record if made >= self._rules.longest_record else self._rules.recorded
            if orbit not in due or (len(path) < length and orbit in steps):
                continue
            latents = path[-length:].reshape(-1, *self.curves.field.latent_shape)
            number = self.curves.examine(latents, spent + self.cost.total - begun)
            ledger.looked[orbit] = made
            self.records.release(torch.tensor([orbit], device=rows.orbit.device))
            if number >= 0:
                yield orbit, number
        self.records.release(ended)

    def watch(self, ledger: Ledger, rows: Rows) -> None:
        """Record the oldest orbits that are not recorded. Those that no record has room for do not hold up the others."""
        if not self._wanted:
            return
        old = (rows.t >= self._rules.transient) & (rows.t >= self._rules.look_again * ledger.looked[rows.orbit])
        old &= ~torch.isin(rows.orbit, self.records.orbit)
        self.records.watch(rows.orbit[old], rows.z[old])
        waited = rows.orbit[(rows.t >= 2 * self._protocol.probe_steps) & (ledger.looked[rows.orbit] == 0)]
        ledger.looked[waited] = 1
