"""Causal language models: the residual stream from after the embedding to the last hidden state, as a self-map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FileError, InputError, first_line
from separatrix.field import LatentField
from separatrix.models._adapter import ModelAdapter, adapter_of
from separatrix.models._folders import (
    ModelFolder,
    load_pretrained,
    optional,
    origin_details,
    refuse_code,
    silenced,
    telling_line,
)
from separatrix.models._registry import Family, LoadRequest

_LENGTH = 16  # tokens
_HEADS = r"^(score|v_head|classifier)\."  # of reward models and classifiers; the map ends before every head


class ResidualStream(ModelAdapter):
    """f: a sequence of T residual vectors ``(T, d)`` through all layers and the final normalisation, to ``(T, d)``.

    One latent is a whole token sequence. Positions are 0 … T − 1 in every iteration, every sequence has exactly T tokens
    (none is padding), and the mask is the causal one: the image of token t depends on tokens 0 … t, so J is block
    triangular and its spectral radius is the largest over the diagonal blocks. No cache is used.

    Args:
        model: a causal language model of transformers.
        length: T.
    """

    family = "language model"
    units = "the residual stream after the embedding; f ends after the final normalisation, before the head"

    def __init__(self, model: nn.Module, length: int = _LENGTH) -> None:
        super().__init__()
        self.model = model
        self.length = length
        config: Any = model.config
        self.latent_shape = (length, int(config.hidden_size))

    @property
    def model_class(self) -> str:
        """Name the class, such as ``"Qwen3ForCausalLM"``."""
        return type(self.model).__name__

    def encode(self, x: Tensor) -> Tensor:
        """The last hidden state of residual vectors ``(n, T, d)``."""
        positions = torch.arange(self.length, device=x.device).expand(len(x), -1)
        base: Any = self.model.base_model
        return base(inputs_embeds=x, position_ids=positions, use_cache=False).last_hidden_state

    def decode(self, z: Tensor) -> Tensor:
        """The identity: data space is the latent space."""
        return z

    @property
    def vocabulary(self) -> int:
        """Return how many tokens the model knows."""
        return int(self.model.get_input_embeddings().num_embeddings)  # type: ignore[operator]

    def embed(self, tokens: Tensor) -> Tensor:
        """Token numbers ``(n, T)`` as residual vectors ``(n, T, d)``."""
        embedding: Any = self.model.get_input_embeddings()  # type: ignore[operator]
        with torch.no_grad():
            return embedding(tokens)

    def describe(self) -> dict[str, Any]:
        """JSON-ready."""
        return super().describe() | {"tokens": self.length}


def embed_texts(field: LatentField, texts: Sequence[str], tokenizer: Callable[..., Any] | None = None) -> Tensor:
    """Return where orbits of texts begin: the first T tokens of each text after the embedding, ``(n, T, d)``.

    Args:
        field: a field of a language model.
        texts: those with fewer than T tokens are left out, since padding would be another input.
        tokenizer: by default that of the model's own folder.

    Raises:
        InputError: the field is no language model's, or no text is long enough.
        FileError: the folder's tokenizer is missing or damaged, or counts beyond the model's vocabulary.

    Cost: no map evaluation.
    """
    adapter = _stream(field)
    if tokenizer is None:
        with optional("transformers", "transformers"):
            import transformers
        folder = field.details["folder"]
        try:
            with silenced():
                tokenizer = transformers.AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
        # A stranger's folder can fail inside the library in any way; each of them means the same to the user.
        except Exception as error:
            raise FileError(
                f"{folder} has no tokenizer that can be loaded ({telling_line(error)}); copy or download the whole folder, "
                "or give tokenizer=."
            ) from error
    numbers = [tokenizer(text)["input_ids"][: adapter.length] for text in texts]
    whole = [tokens for tokens in numbers if len(tokens) == adapter.length]
    if not whole:
        raise InputError(
            f"None of the {len(texts)} texts has {adapter.length} tokens; give longer ones or a smaller option length."
        )
    if (largest := max(map(max, whole))) >= adapter.vocabulary:
        raise FileError(
            f"The tokenizer makes token {largest}, and {field.name} knows {adapter.vocabulary}; "
            "give the tokenizer of this model."
        )
    return adapter.embed(torch.tensor(whole, device=field.device))


def embed_tokens(field: LatentField, tokens: Tensor | Sequence[Sequence[int]]) -> Tensor:
    """Return the starts of sequences of token numbers: the first T of each after the embedding, ``(n, T, d)``.

    For models whose tokenizer is not at hand.

    Args:
        field: a field of a language model.
        tokens: ``(n, m)`` whole numbers, m at least T.

    Raises:
        InputError: the field is no language model's, or the tokens are not such numbers, too few, or unknown to the model.

    Cost: no map evaluation.
    """
    adapter = _stream(field)
    try:
        numbers = torch.as_tensor(tokens, device=field.device)
    except (TypeError, ValueError) as error:
        raise InputError(f"Tokens are whole numbers in rows of one length ({first_line(error)}).") from error
    if numbers.ndim != 2 or numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        raise InputError(
            f"Tokens are whole numbers in rows (n, m), not {numbers.dtype} of shape {tuple(numbers.shape)}; "
            "give token numbers, one sequence per row."
        )
    if numbers.shape[1] < adapter.length:
        raise InputError(
            f"The sequences have {numbers.shape[1]} tokens, and {field.name} takes {adapter.length}; "
            "give longer ones or a smaller option length."
        )
    numbers = numbers[:, : adapter.length].long()
    if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < adapter.vocabulary:
        raise InputError(
            f"Tokens from {int(numbers.min())} to {int(numbers.max())} were given, and {field.name} knows 0 to "
            f"{adapter.vocabulary - 1}; give the tokens of this model."
        )
    return adapter.embed(numbers)


def _stream(field: LatentField) -> ResidualStream:
    adapter = adapter_of(field)
    if not isinstance(adapter, ResidualStream):
        raise InputError(f"{field.name} is no language model; give a field of a causal language model.")
    return adapter


def _recognises(folder: ModelFolder) -> bool:
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in folder.architectures)


def _load(request: LoadRequest) -> LatentField:
    folder = request.folder
    assert folder is not None
    request.refuse_weights("has its own weights")
    refuse_code(folder, request.allow_code)
    with optional("transformers", "transformers"):
        import transformers
    length = request.number("length", _LENGTH if request.latent_shape is None else request.latent_shape[0])
    model = load_pretrained(
        transformers.AutoModelForCausalLM, folder, dropped=_HEADS, trust_remote_code=request.allow_code
    )
    adapter = ResidualStream(model, length)
    if request.latent_shape not in (None, adapter.latent_shape):
        raise InputError(
            f"{request.spec} has latents of shape (T, {adapter.latent_shape[1]}), not {request.latent_shape}; "
            "choose T by the option length."
        )
    return adapter.field(
        f"{adapter.model_class} {folder.origin}",
        **origin_details(folder),
        folder=str(folder.path),
        transformers=transformers.__version__,
    )


LANGUAGE_MODEL = Family(
    name="language model",
    form="hf:org/name or a folder of a causal language model",
    load=_load,
    recognises=_recognises,
    options={"length": f"tokens of one sequence ({_LENGTH})"},
    verified="published weights of TinyStories 260K (Llama); random weights of Qwen3, Llama and GPT-2 configurations",
)
