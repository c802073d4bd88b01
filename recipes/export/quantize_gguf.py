"""Quantizes a GGUF file by llama.cpp's shared library, as its program llama-quantize does; runs alone.

``quantize_gguf.py LIBRARY SOURCE FILE TYPE``; with LIBRARY alone it only checks that the library has a quantizer.
"""

import ctypes
import sys

#: llama.cpp's numbers (``llama_ftype``) of the types that are offered.
TYPES = {"Q4_K_M": 15}


class Params(ctypes.Structure):
    """``llama_model_quantize_params``: its first two fields, and room for those that releases add or change."""

    _fields_ = [("nthread", ctypes.c_int32), ("ftype", ctypes.c_int32), ("rest", ctypes.c_byte * 1016)]


def main(library: str, *given: str) -> int:
    """Quantize; returns llama.cpp's status, 0 for success."""
    llama = ctypes.CDLL(library)
    llama.llama_model_quantize_default_params.restype = Params
    llama.llama_model_quantize.restype = ctypes.c_uint32
    if not given:
        return 0
    source, file, kind = given
    params = llama.llama_model_quantize_default_params()
    params.ftype = TYPES[kind]
    llama.llama_backend_init()
    return int(llama.llama_model_quantize(source.encode(), file.encode(), ctypes.byref(params)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
