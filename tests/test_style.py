"""Measured limits of the product's code: lengths of functions and files, annotations, docstrings of what is public.

``python -m tests.test_style [PACKAGE ...]`` lists what is over a limit.
"""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.code import PACKAGES, ROOT, Function, files, functions, length, parsed

FUNCTION_LINES, MEDIAN_LINES, FILE_LINES, DESCRIBED = 60, 12, 320, 0.95
TABLES = {"data/synthetic/small_talk.py"}
"""Files of rows, which may be of any length."""

PACKAGEWISE = pytest.mark.parametrize("package", PACKAGES)


def long_functions(package: str) -> list[str]:
    """Functions over ``FUNCTION_LINES``, as ``file:line name, n lines``."""
    return [
        f"{at(path, function)} {function.name}, {length(function)} lines"
        for path in files(package)
        for function in functions(path)
        if length(function) > FUNCTION_LINES
    ]


def long_files(package: str) -> list[str]:
    """Files over ``FILE_LINES``, tables left out, as ``file, n lines``."""
    counts = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in files(package)}
    return [f"{name}, {lines} lines" for name, lines in counts.items() if lines > FILE_LINES and name not in TABLES]


UNTYPED = {"registry/chat_model.py predict", "registry/tfidf_model.py predict"}
"""Functions that must have no annotations: with them MLflow drops a model's params."""


def unannotated(package: str) -> list[str]:
    """Parameters and returns without a type, as ``file:line function(name)``; ``self`` and ``cls`` need none."""
    return [f"{at(path, function)} {function.name}({name})" for path in files(package)
            for function, name in untyped(parsed(path))
            if f"{path.relative_to(ROOT).as_posix()} {function.name}" not in UNTYPED]  # fmt: skip


def untyped(tree: ast.Module) -> Iterator[tuple[Function, str]]:
    methods = {child for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for child in node.body}
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        given = function.args
        static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in function.decorator_list)
        positional = [*given.posonlyargs, *given.args][1 if function in methods and not static else 0 :]
        for arg in [*positional, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]:
            if arg.annotation is None:
                yield function, arg.arg
        if function.returns is None:
            yield function, "return"


def public(path: Path) -> Iterator[Function | ast.ClassDef]:
    """Classes, functions and methods of public classes whose names have no underscore before them."""
    bodies = [parsed(path).body]
    for body in bodies:
        for node in body:
            if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
                yield node
                if isinstance(node, ast.ClassDef):
                    bodies.append(node.body)


def undescribed(package: str) -> list[str]:
    """What is public and has no docstring, as ``file:line name``."""
    return [f"{at(path, node)} {node.name}" for path in files(package) for node in public(path)
            if not ast.get_docstring(node)]  # fmt: skip


def described(package: str) -> float:
    """The share of what is public that has a docstring."""
    count = sum(1 for path in files(package) for _ in public(path))
    return 1 - len(undescribed(package)) / count


def at(path: Path, node: Function | ast.ClassDef) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"


def median_length(*packages: str) -> float:
    """Median lines of a function over all files of the packages."""
    return statistics.median(length(f) for name in packages for path in files(name) for f in functions(path))


def test_the_median_function_is_short():
    assert median_length(*PACKAGES) <= MEDIAN_LINES


@PACKAGEWISE
def test_no_function_is_long(package):
    assert long_functions(package) == []


@PACKAGEWISE
def test_no_file_is_long(package):
    assert long_files(package) == []


@PACKAGEWISE
def test_everything_is_annotated(package):
    assert unannotated(package) == []


@PACKAGEWISE
def test_what_is_public_is_described(package):
    assert described(package) >= DESCRIBED, undescribed(package)


def report(package: str, details: bool) -> None:
    """Print a package's figures in one line and, with ``details``, what is over a limit."""
    over = {
        "untyped": unannotated(package),
        "long functions": long_functions(package),
        "long files": long_files(package),
        "without docstring": undescribed(package),
    }
    counts = ", ".join(f"{len(lines)} {name}" for name, lines in over.items())
    print(f"{package}: median {median_length(package):g} lines, {counts}")
    if details:
        print(*(f"  {name}: {line}" for name, lines in over.items() for line in lines), sep="\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or PACKAGES:
        report(name, details=len(sys.argv) > 1)
