"""The library's remedies in the words of the command line: ``latent_shape=(4, 8, 8)`` is ``--latent-shape 4,8,8``."""

from __future__ import annotations

import re

# Every pattern stands for a sentence of the library; tests/cli/test_remedies.py provokes each of them.
_TRANSLATIONS = (
    (r"give latent_shape=\(…\)", "give --latent-shape, such as --latent-shape 4,8,8"),
    (r"latent_shape=\((\d+(?:, \d+)*),?\)", lambda found: f"--latent-shape {found[1].replace(', ', ',')}"),
    (r"leave latent_shape out", "leave --latent-shape out"),
    (r"give the latent_shape that", "give the --latent-shape that"),
    (r"resize them with load_images\(data, size=\((\d+), (\d+)\)\)", r"add --size \1,\2"),
    (r"weights='([^']*)'", r"--weights \1"),
    (r"so weights= does not apply", "so --weights does not apply"),
    (r"so decoder= does not apply", "so --decoder does not apply"),
    (r" \(decoder=\"[^\"]*\"\)", ""),
    (r" \(allow_code=True\)", ""),
    (r"give their place with weights=,", "give their place with --weights,"),
    (
        r"sx\.load\(\"package\.module:factory\", weights=\"([^\"]*)\"\)",
        r"separatrix attractors package.module:factory --weights \1",
    ),
    (r"\braise max_steps\b", "raise --max-steps"),
    (r"Protocol\.tolerance", "--tolerance"),
    (r"pass resize=True", "add --resize"),
    (r"\(scale=255 does so\)", "(--scale 255 does so)"),
    (r"pass scale=(\d[^ ]*)", r"add --scale \1"),
    (r"above scale=(\d[^ ;]*)", r"above --scale \1"),
    (r"scale must be the stored value", "--scale must be the stored value"),
    (r"choose another name, or pass overwrite=True", "choose another --out, or add --overwrite"),
    (r"\bby field\.check\(\)", "with separatrix doctor"),
    (
        r"choose another folder, or remove it first",
        "choose another --out, or add --overwrite to replace an earlier run",
    ),
)


def in_command_line_words(sentence: str) -> str:
    """The sentence with Python arguments named as options.

    >>> in_command_line_words("resize them with load_images(data, size=(32, 32)).")
    'add --size 32,32.'
    """
    for pattern, replacement in _TRANSLATIONS:
        sentence = re.sub(pattern, replacement, sentence)
    return sentence
