"""``separatrix train-decoder``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from separatrix.cli._exit_codes import ExitCode
from separatrix.cli._options import OUTPUT_PANEL, AllowCode, OverwriteFile, Scale, Seed, Set
from separatrix.cli._parsing import parsed_settings, usage_error
from separatrix.cli._place import reserved
from separatrix.cli._tables import heading, labelled, number
from separatrix.cli._terminal import Terminal

_TRAINING = "Training"


def train_decoder(
    ctx: typer.Context,
    encoder: Annotated[
        str,
        typer.Argument(metavar="ENCODER", show_default=False,
                       help="A folder or hf:org/name of DINOv2, SigLIP2, ViT, CLIP or a timm vision transformer."),
    ],
    data: Annotated[str, typer.Option("--data", metavar="SOURCE", help="Images: a folder of pictures, .npy, .npz, idx.")],
    held_out: Annotated[
        str | None,
        typer.Option("--held-out", metavar="SOURCE", help="Images to judge it by; else every tenth of the data."),
    ] = None,
    scale: Scale = None,
    settings: Set = None,
    limit: Annotated[int | None, typer.Option("--limit", min=10, metavar="N", help="At most so many images.")] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images.", rich_help_panel=_TRAINING)] = 30,
    width: Annotated[int, typer.Option("--width", min=1, help="Channels of the decoder.", rich_help_panel=_TRAINING)] = 64,
    image_size: Annotated[
        int | None,
        typer.Option("--image-size", min=1, metavar="PIXELS", rich_help_panel=_TRAINING,
                     help="Side of the decoder's images; that of the encoder's if not given."),
    ] = None,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", metavar="η", help="Adam's, at the start.", rich_help_panel=_TRAINING)
    ] = 1e-3,
    allow_code: AllowCode = False,
    seed: Seed = 0,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The file to write.", rich_help_panel=OUTPUT_PANEL)
    ] = Path("decoder.safetensors"),
    overwrite: OverwriteFile = False,
) -> ExitCode:  # fmt: skip
    """Train a decoder for an encoder that has none, so that encode(decode(z)) exists.

    The encoder stays as it is; its features of the images are computed once. The
    decoder is written with the fingerprint of its encoder and with how well it
    rebuilds images that it was not trained on.

    [bold]separatrix train-decoder dinov2/ --data photos/ --out decoder.safetensors[/bold]
    [bold]separatrix doctor dinov2/ --decoder decoder.safetensors[/bold]
    """
    terminal: Terminal = ctx.obj
    options = parsed_settings(ctx, settings)
    if out.exists() and not overwrite:
        raise usage_error(ctx, "--out", f"{out} exists; give another name, or --overwrite.")
    if out.suffix != ".safetensors":
        raise usage_error(ctx, "--out", f"{out.name!r} must end in .safetensors.")
    if learning_rate <= 0:
        raise usage_error(ctx, "--learning-rate", f"it must be positive, not {learning_rate:g}.")

    from separatrix.models import LoadRequest, load_backbone, save_decoder
    from separatrix.models import train_decoder as train
    from separatrix.models._backbones import BACKBONE
    from separatrix.storage import new_file

    place = reserved(ctx, out, kind=None, overwrite=overwrite, reads=(encoder, data, held_out))
    BACKBONE.require_options(options)
    backbone = load_backbone(LoadRequest(spec=encoder, options=options, allow_code=allow_code))
    decoder, report = train(
        backbone,
        data,
        held_out=held_out,
        image_size=image_size,
        width=width,
        epochs=epochs,
        learning_rate=learning_rate,
        limit=limit,
        scale=scale,
        seed=seed,
        progress=terminal.progress,
    )
    with new_file(place) as building:
        save_decoder(decoder, building, encoder=backbone.fingerprint(), report=report.to_dict())
    terminal.show(
        heading("How well does it reconstruct?"),
        labelled(
            [
                ("held-out images", f"{report.held_out} of them, {number(report.psnr, '.2f')} dB"),
                ("variance explained", f"{100 * report.r2:.1f} % of their pixels, against the mean training image"),
                ("training images", f"{report.images} of them, {number(report.train_psnr, '.2f')} dB"),
            ]
        ),
    )
    terminal.line(str(out))
    terminal.document({"decoder": str(out), "report": report.to_dict(), "exit_code": int(ExitCode.OK)})
    return ExitCode.OK
