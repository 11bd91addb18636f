"""The arguments that several commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

STARTS = 1000
"""Starts of a search, where nobody says how many."""

_MODEL, _STARTS, _OUTPUT = "The model", "Where orbits begin", "Output"

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="path/to/file.py:factory or package.module:factory (a function without arguments that returns a module with "
        "encode and decode, a pair of functions, or a LatentField); a model.safetensors written by separatrix; "
        "hf:org/name@revision#subfolder or a folder of diffusers, ViTMAE, a vision encoder, a language model or a sparse "
        "autoencoder; encoder.onnx; taef2; vaelight; burgess/NAME, such as burgess/VAE_mnist.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", metavar="FILE", help="Weights for the factory's module: .safetensors, or .pt with tensors only.",
                 rich_help_panel=_MODEL),
]  # fmt: skip
LatentShape = Annotated[
    str | None,
    typer.Option("--latent-shape", metavar="4,8,8", help="Shape of one latent, where the model does not say.",
                 rich_help_panel=_MODEL),
]  # fmt: skip
Decoder = Annotated[
    str | None,
    typer.Option("--decoder", metavar="SOURCE", rich_help_panel=_MODEL,
                 help="The other half: a file of train-decoder, path/to/file.py:factory, or decoder.onnx."),
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", rich_help_panel=_MODEL,
                 help="A choice of the model's family, such as latent=mean; a wrong name lists them."),
]  # fmt: skip
AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", rich_help_panel=_MODEL,
                 help="Run code that comes with the model's files (pickles, TorchScript, .pt2). Only for authors you trust."),
]  # fmt: skip
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="Compute there, such as cuda; by default where the weights are.",
                 rich_help_panel=_MODEL),
]  # fmt: skip
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="SOURCE", rich_help_panel=_STARTS,
                 help="Start from encoded images: a folder of pictures, .npy, .npz (file.npz#name picks an array), idx."),
]  # fmt: skip
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="H,W", help="Resize all images to this.", rich_help_panel=_STARTS),
]
Scale = Annotated[
    float | None,
    typer.Option("--scale", metavar="WHITE", rich_help_panel=_STARTS,
                 help="The stored value that is white in all images, where it is not that of their format (255 in bytes)."),
]  # fmt: skip
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        metavar="N",
        help="Most latents, or images, in one network pass; chosen from the size of the model if not given.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of everything random; the same seed gives the same numbers.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.", rich_help_panel=_OUTPUT)
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No tables, no progress, no warnings: the last line only.",
                 rich_help_panel=_OUTPUT),
]  # fmt: skip
Traceback = Annotated[
    bool, typer.Option("--traceback", help="After an error, also show where it happened.", rich_help_panel=_OUTPUT)
]
RunFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", rich_help_panel=_OUTPUT,
                 help="The folder to write; by default a new one in runs/, with a number."),
]  # fmt: skip
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace an earlier run in that folder, and nothing else.", rich_help_panel=_OUTPUT
    ),
]
NoFigures = Annotated[
    bool,
    typer.Option(
        "--no-figures", help="Draw no figures: the numbers come sooner, and say the same.", rich_help_panel=_OUTPUT
    ),
]
NoExplorer = Annotated[
    bool,
    typer.Option(
        "--no-explorer",
        help="Put no living page, and so not the model itself, into the report.",
        rich_help_panel=_OUTPUT,
    ),
]
OverwriteFile = Annotated[
    bool, typer.Option("--overwrite", help="Replace the file if it is there.", rich_help_panel=_OUTPUT)
]
STARTS_PANEL, OUTPUT_PANEL = _STARTS, _OUTPUT
