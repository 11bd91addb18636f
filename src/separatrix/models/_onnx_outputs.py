"""This file tells which outputs of an ONNX file make its result, and how: declared by the user, because a file says no more than their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import FieldError, InputError
from separatrix.models._pyramid import of_one_size, summed

UPSAMPLING = ("bilinear", "nearest")


@dataclass(frozen=True)
class TakenOutputs:
    """One output, several that are summed, or several that are stacked along their channels.

    Maps of fewer pixels are upsampled to the size of the largest first.

    Attributes:
        names: in the order of the declaration.
        stacked: stacked and not summed.
        upsampling: how the smaller maps are made larger.
    """

    names: tuple[str, ...]
    stacked: bool = False
    upsampling: str = "bilinear"

    @classmethod
    def declared(cls, text: str, known: Sequence[str], option: str, file: str, upsampling: str) -> TakenOutputs:
        """Return what ``"mean"``, ``"a+b+c"`` (summed) or ``"a,b"`` (stacked) says of a file with the outputs ``known``.

        Raises:
            InputError: it names no output or one that is not there, one twice, or mixes + and commas.

        >>> TakenOutputs.declared("full+half", ["half", "full"], "decoded", "d.onnx", "nearest").names
        ('full', 'half')
        """
        stacked = "," in text
        names = (text,) if text in known else tuple(name.strip() for name in text.split("," if stacked else "+"))
        if stacked and any("+" in name and name not in known for name in names):
            raise InputError(f"The option {option}={text} mixes + (summed) with commas (stacked); write one of them.")
        for name in names:
            if name not in known:
                raise InputError(
                    f"{file} has no output {name!r}, which the option {option}={text} names; it has {', '.join(known)}."
                )
        if len(set(names)) < len(names):
            raise InputError(f"The option {option}={text} names an output twice; name each once.")
        return cls(names, stacked, upsampling)

    def combine(self, outputs: Sequence[Tensor]) -> Tensor:
        """The result of the outputs, given in the order of ``names``.

        Raises:
            FieldError: their shapes do not allow it.
        """
        if len(outputs) == 1:
            return outputs[0]
        if not self.stacked:
            return summed(outputs, self.upsampling)
        try:
            return torch.cat(of_one_size(outputs, self.upsampling), dim=1)
        except (RuntimeError, IndexError):
            words = ", ".join(str(tuple(part.shape)) for part in outputs)
            raise FieldError(
                f"Outputs of the shapes {words} cannot be stacked; name outputs that differ in their channels alone."
            ) from None

    def __str__(self) -> str:
        """Say it as a note does: ``"the sum of a, b, each upsampled (bilinear) to the largest"``."""
        if len(self.names) == 1:
            return self.names[0]
        what = "the channels" if self.stacked else "the sum"
        return f"{what} of {', '.join(self.names)}, each upsampled ({self.upsampling}) to the largest"
