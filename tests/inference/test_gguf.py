"""A GGUF file becomes a Transformers folder of the same model, and one that can't be read is one line."""

import pytest
import torch

from data.errors import UserError
from inference import gguf, loading
from tests.fixtures.gguf_files import write


def test_a_gguf_file_becomes_a_folder_of_the_same_model_with_tokenizer_and_template(
    gguf_file, llama, tokenizer, tmp_path
):
    gguf.convert(gguf_file, tmp_path / "out")
    model, read = loading.load(tmp_path / "out")
    ids = torch.tensor([tokenizer("Ahoy, where be the ship?")["input_ids"]])
    assert torch.allclose(model(ids).logits, llama(len(tokenizer))(ids).logits, atol=1e-5)
    assert read("Ahoy, where be the ship?")["input_ids"] == ids[0].tolist()
    assert read.eos_token == tokenizer.eos_token and "m['role']" in read.chat_template


def test_the_stored_type_is_that_of_most_weights(gguf_file):
    assert gguf.stored_type(gguf_file) == "F32"


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (0, "is no GGUF file"),
        (3, "is no GGUF file"),
        (4, "cut off or damaged"),
        (300, "cut off or damaged"),
        (-2000, "can't be read"),
    ],
)
def test_a_file_that_is_cut_off_is_one_line(gguf_file, tmp_path, keep, said):
    gguf_file.write_bytes(gguf_file.read_bytes()[:keep])
    with pytest.raises(UserError, match=said) as caught:
        gguf.convert(gguf_file, tmp_path / "out")
    assert "\n" not in str(caught.value) and str(gguf_file) in str(caught.value)


def test_a_file_that_lacks_a_tensor_is_refused_rather_than_filled_at_random(llama, tokenizer, tmp_path):
    model = llama(len(tokenizer))
    kept = {name: tensor for name, tensor in model.state_dict().items() if "layers.1.mlp.up_proj" not in name}
    model.state_dict = lambda: kept
    write(tmp_path / "part.gguf", model, tokenizer)
    with pytest.raises(UserError, match=r"lacks 1 tensors of the model \(model.layers.1.mlp.up_proj.weight\)"):
        gguf.convert(tmp_path / "part.gguf", tmp_path / "out")


def test_an_architecture_that_transformers_does_not_read_is_named(gguf_file, tmp_path):
    raw = gguf_file.read_bytes().replace(b"llama", b"lambd")
    gguf_file.write_bytes(raw)
    with pytest.raises(UserError, match="can't be read: .*lambd"):
        gguf.convert(gguf_file, tmp_path / "out")


def test_writing_the_test_file_twice_gives_the_same_bytes(gguf_file, llama, tokenizer, tmp_path):
    write(tmp_path / "again.gguf", llama(len(tokenizer)), tokenizer)
    assert (tmp_path / "again.gguf").read_bytes() == gguf_file.read_bytes()
