"""This file tells how an orbit ended. Each member carries the sentence that explains it and the remedy."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The outcome of one orbit. ``Status.SLOW.sentence`` and ``Status.SLOW.remedy`` are its documentation.

    The integer value is what result tensors hold.

    >>> Status.CONVERGED.reached_limit_set, Status.BUDGET.reached_limit_set
    (True, False)
    >>> Status(int(Status.SLOW)).name
    'SLOW'
    """

    sentence: str
    remedy: str

    def __new__(cls, value: int, sentence: str, remedy: str) -> Status:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        member.remedy = remedy
        return member

    RUNNING = (0, "the orbit has not been finished yet", "let the iteration end")
    CONVERGED = (
        1,
        "the orbit came to rest at a fixed point within its estimated error, be it an attractor or a saddle",
        "",
    )
    CAPTURED = (2, "the steps of the orbit show that it goes to a known limit set, and it was not followed farther", "")
    PERIODIC = (3, "the orbit repeats itself with a period above 1", "")
    QUASIPERIODIC = (4, "the orbit moves on a closed curve for ever", "")
    SLOW = (
        5,
        "the steps shrink, but more slowly than any geometric rate within the budget: a neutral direction or a slow manifold",
        "raise max_steps, and read the end point as a place on a slow manifold, not as an attractor",
    )
    WANDERING = (
        6,
        "the orbit stays bounded and keeps moving: a closed curve not yet recognised, (transient) chaos or a very long transient",
        "raise max_steps tenfold, and report the share that still wanders (find_attractors recognises closed curves, iterate does not)",
    )
    BUDGET = (
        7,
        "the orbit was still contracting towards something when its step budget ran out",
        "raise max_steps",
    )
    DIVERGED = (
        8,
        "the orbit left every bounded region",
        "start nearer to encoded data, or check the value range between decoder and encoder",
    )
    NONFINITE = (
        9,
        "the map returned NaN or infinity",
        "check the weights and the value range of the starts; float32 may fix overflow in half precision",
    )
    SAMPLED = (
        10,
        "earlier orbits beside this one went to a known attractor, and it was not followed farther; the audit says how many such labels may be wrong",
        "set Protocol.max_wrong to 0 to follow every orbit",
    )

    @property
    def reached_limit_set(self) -> bool:
        """True if the orbit ended on a limit set that can be named, stable or not (see `Fates`)."""
        return self in _REACHED


_REACHED = frozenset({Status.CONVERGED, Status.CAPTURED, Status.PERIODIC, Status.QUASIPERIODIC, Status.SAMPLED})
