"""Language models: where the map begins and ends, token numbers, and a real one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import LM, MODELS, seeded, write_sae

import separatrix as sx
from separatrix.errors import InputError
from separatrix.models import embed_texts, embed_tokens, load
from separatrix.models._adapter import adapter_of


def test_a_language_model_starts_after_the_embedding_and_ends_before_the_head(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    given = MODELS["Qwen3"].write(tmp_path / "lm")
    field = load(**given)
    model = transformers.Qwen3ForCausalLM.from_pretrained(tmp_path / "lm", dtype=torch.float32).eval()
    tokens = torch.tensor([[3, 14, 15], [9, 26, 5]])
    adapter = adapter_of(field)
    assert adapter is not None
    z = adapter.embed(tokens)  # type: ignore[operator]
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
        assert torch.allclose(model.lm_head(field(z)), logits, atol=1e-5)
    later = z.clone()
    later[:, 2] += 1
    assert torch.equal(field(later)[:, :2], field(z)[:, :2])  # causal: the past does not see the future
    assert float((field(later)[:, 2] - field(z)[:, 2]).abs().max()) > 1e-3

    def tokenizer(text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) % 50 for letter in text]}

    starts = embed_texts(field, ["abcdef", "ab", "xyz"], tokenizer)
    assert starts.shape == (2, 3, 16)  # the text of two tokens is left out
    assert torch.equal(starts[0], adapter.embed(torch.tensor([[ord(c) % 50 for c in "abc"]]))[0])  # type: ignore[operator]
    with pytest.raises(InputError, match="None of the 1 texts has 3 tokens"):
        embed_texts(field, ["a"], tokenizer)
    assert load(given["spec"], latent_shape=(5, 16)).latent_shape == (5, 16)
    with pytest.raises(InputError, match=r"latents of shape \(T, 16\)"):
        load(given["spec"], latent_shape=(5, 17))


def test_token_numbers_are_starts_without_a_tokenizer(tmp_path: Path) -> None:
    field = load(**MODELS["Llama"].write(tmp_path / "lm"))
    spelt = embed_texts(field, ["abc", "xyzzy"], lambda text: {"input_ids": [ord(letter) % 50 for letter in text]})
    numbers = [[ord(letter) % 50 for letter in text] for text in ("abcab", "xyzzy")]  # cut after three
    assert torch.equal(embed_tokens(field, numbers), spelt)
    assert torch.equal(embed_tokens(field, torch.tensor(numbers, dtype=torch.int16)), spelt)
    for tokens, sentence in (
        ([[1, 2]], "have 2 tokens, and .* takes 3; give longer ones"),
        ([[1, 2, 50]], "Tokens from 1 to 50 were given, and .* knows 0 to 49"),
        ([[1, -2, 3]], "Tokens from -2 to 3 were given"),
        ([[1.0, 2.0, 3.0]], r"whole numbers in rows \(n, m\), not torch.float32 of shape \(1, 3\)"),
        ([1, 2, 3], r"not torch.int64 of shape \(3,\)"),
        ([[1, 2, 3], [4]], "whole numbers in rows of one length"),
        (["abc"], "whole numbers in rows of one length"),
    ):
        with pytest.raises(InputError, match=sentence):
            embed_tokens(field, tokens)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is no language model"):
        embed_tokens(load(**write_sae(tmp_path / "sae")), [[1, 2, 3]])


@pytest.mark.real
def test_stories260k_predicts_what_it_wrote_and_ends_in_two_attractors(real_data: Path) -> None:
    """Log-probability −2.78 of its own sentences; of all 512 tokens alone, every one goes to one of two fixed points."""
    pytest.importorskip("transformers")
    tokens = torch.from_numpy(np.load(real_data / "data/stories260k_tokens.npz")["tokens"]).long()
    whole = load(real_data / "weights/stories260k", options={"length": 64})
    with torch.no_grad():
        hidden = whole(embed_tokens(whole, tokens))
        scores = whole.modules[0].model.lm_head(hidden)[:, :-1].log_softmax(dim=2)  # type: ignore[union-attr,operator]
    assert float(scores.gather(2, tokens[:, 1:, None]).mean()) == pytest.approx(-2.78, abs=0.005)
    single = load(real_data / "weights/stories260k", options={"length": 1})
    found = sx.find_attractors(single, embed_tokens(single, torch.arange(512)[:, None]))
    assert found.labels.unique().tolist() == [0, 1]
    assert found.attractors.spectral_radius.tolist() == pytest.approx([0.8212, 0.7271], abs=1e-4)


def test_half_precision_files_are_computed_in_float32(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = seeded(lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LM))).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "lm")
    field = load(tmp_path / "lm")
    assert field.dtype == torch.float32
    assert load(tmp_path / "lm", dtype=torch.bfloat16).dtype == torch.bfloat16
