"""llama.cpp's quantizer: which one is taken, what is said where there is none, and what it makes of a real file."""

import stat

import pytest

from data.errors import UserError
from inference.gguf import stored_type
from recipes.export import quantizer


@pytest.fixture
def without(monkeypatch, tmp_path):
    """A machine that has no quantizer."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(quantizer.LIBRARY, raising=False)
    monkeypatch.setattr(quantizer, "PACKAGES", {})
    monkeypatch.setattr(quantizer, "find_library", lambda name: None)


def test_where_there_is_no_quantizer_one_line_says_what_would_do(without):
    with pytest.raises(UserError, match="llama-quantize on PATH, or its library") as caught:
        quantizer.require()
    assert "\n" not in str(caught.value)


def test_a_library_that_can_not_be_loaded_is_named(without, monkeypatch, tmp_path):
    broken = tmp_path / "libllama.so"
    broken.write_text("no library")
    monkeypatch.setenv(quantizer.LIBRARY, str(broken))
    with pytest.raises(UserError, match=f"LLAMA_CPP_LIB={broken} can't be used: ") as caught:
        quantizer.require()
    assert "\n" not in str(caught.value)


def test_the_program_on_the_path_is_called_with_source_file_and_type(without, tmp_path):
    program = tmp_path / quantizer.PROGRAM
    program.write_text('#!/bin/sh\necho "$@" > "$2"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    file = tmp_path / "small.gguf"
    quantizer.quantize(tmp_path / "whole.gguf", file, "q4_k_m")
    assert file.read_text() == f"{tmp_path / 'whole.gguf'} {file} Q4_K_M\n"


def test_a_real_file_is_quantized_where_a_quantizer_is_at_hand(gguf_file, tmp_path):
    try:
        quantizer.require()
    except UserError as missing:
        pytest.skip(str(missing))
    small = tmp_path / "small.gguf"
    quantizer.quantize(gguf_file, small, "q4_k_m")
    assert stored_type(gguf_file) == "F32" != stored_type(small)
    assert small.stat().st_size < gguf_file.stat().st_size
    gguf_file.write_bytes(b"GGUF and no more")
    with pytest.raises(UserError, match="quantizer failed"):
        quantizer.quantize(gguf_file, small, "q4_k_m")
