"""Whether the type of a GGUF file's matrices is why an export is refused: the same weights are read in finer types."""

from collections.abc import Callable, Generator

from data.errors import UserError, first_line
from recipes.export import report
from recipes.export.proof import WEIGHTS, Proof

#: For each type that a comparison can refuse: what it keeps of a weight, and finer types, by llama.cpp's names.
FINER: dict[str, tuple[str, tuple[str, ...]]] = {
    "q8_0": ("8 bits a weight", ("f16", "f32")),
    "bf16": ("8 significant bits a weight", ("f16", "f32")),
    "f16": ("11 significant bits a weight", ("f32",)),
}


def rounding_cause(outtype: str, compared: Callable[[str], Proof]) -> Generator[str, None, str]:
    """Yield a line for each finer type that is compared, and return the cause.

    It is ``quantisation`` where a finer type is within the tolerance, since nothing but the type is then another one;
    else ``the weights differ``.

    Args:
        outtype: the type that was refused. ``compared(type)``: the comparison of the same weights in another type.
    """
    kept, finer = FINER[outtype]
    for other in finer:
        try:
            proof = compared(other)
        except UserError as error:
            yield f"Control {other}: {first_line(error)}"
            continue
        yield f"Control {other}: {report.line(proof).removeprefix(report.COMPARED)}"
        if not proof.cause:
            remedy = "f32 passes: take to=merged" if other == "f32" else f"outtype={other} passes"
            return f"quantisation (rounding to {outtype}, {kept}; {remedy})"
    return WEIGHTS
