"""The three walks name files that are there, few of them, none twice, each tied to the ones before by an import."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture" / "walks.md").read_text(encoding="utf-8")
WALKS = {title: re.findall(r"^\| \d+ \| `([^`]+)`", body, re.MULTILINE)
         for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)}  # fmt: skip
MOST = (12, 10, 10)
#: Called through a function that another module passes in.
PASSED_IN = {"registry/resolver.py": "demo/server.py"}


def imported(path):
    """The project's files that ``path`` imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {name.replace(".", "/") + ".py" for name in names}
    return found


def test_there_are_three_walks_of_few_files_and_none_enters_a_file_twice():
    assert len(WALKS) == 3
    for files, most in zip(WALKS.values(), MOST, strict=True):
        assert 5 < len(files) <= most
        assert len(files) == len(set(files))


@pytest.mark.parametrize("title", WALKS)
def test_each_file_of_a_walk_imports_one_before_it_or_is_imported_by_one(title):
    files = WALKS[title]
    for i, path in enumerate(files[1:], 1):
        before = {*files[:i], PASSED_IN.get(path, "")} - {""}
        assert imported(path) & before or any(path in imported(other) for other in before), path
