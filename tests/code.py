"""The project's own source, parsed, for the tests of style: its files by package, their functions, names and prose."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("data", "inference", "registry", "train", "evals", "openai_jobs", "recipes", "serve", "demo", "steps")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(package: str) -> list[Path]:
    """The Python files of a package, which may be a dotted subpackage (``recipes.sft``) or a module."""
    at = ROOT / package.replace(".", "/")
    return sorted(at.rglob("*.py")) if at.is_dir() else [at.with_suffix(".py")]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a file, nested ones included."""
    return (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines from ``def`` to the last line of the body, docstring included, decorators left out."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def names(path: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that a file defines: itself, classes, functions, parameters, variables, attributes."""
    yield 1, path.stem
    for node in ast.walk(parsed(path)):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)):
                yield node.lineno, name


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of the docstrings (of attributes too) and comments of a file, a line each."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from enumerate(node.value.value.splitlines(), node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def words(text: str) -> list[str]:
    """The lower-case words of a text or name: ``HTTPGate_of`` is http, gate, of."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)]
