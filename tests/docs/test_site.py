"""The documentation builds strictly, its links lead somewhere, it needs no network, and it agrees with the code."""

import html
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from docs.generate import CONFIGS, MARK, openapi, shown
from serve.model_names import OPENAI_MODELS
from steps.flags import field_docs
from tests.test_words import NOWHERE

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site. ``--strict`` fails on a missing page, file or anchor that a link names."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(page):
    """A built page as text: tags dropped, entities resolved, spaces folded."""
    article = page.read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", article)).split())


def test_the_site_builds_with_every_page_and_leaves_no_mark(site):
    built = {page.relative_to(site).with_suffix(".md") for page in site.rglob("*.html")}
    assert {page.relative_to(DOCS) for page in PAGES} <= built
    assert not [page for page in site.rglob("*.html") if "<!-- generate" in page.read_text(encoding="utf-8")]


def test_a_built_page_loads_nothing_from_the_network(site):
    loaded = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//")
    assert [page.name for page in site.rglob("*.html") if loaded.search(page.read_text(encoding="utf-8"))] == []
    styles = "".join(style.read_text(encoding="utf-8") for style in site.rglob("*.css"))
    assert not re.search(r"@import|url\([\"']?(?:https?:)?//", styles)


def test_every_page_is_reached_from_the_navigation_or_the_list_of_decisions():
    named = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = {page.relative_to(DOCS).as_posix() for page in PAGES if page.parent.name != "decisions"}
    assert sorted(named) == sorted(pages)


@pytest.mark.parametrize("entry", CONFIGS)
def test_the_reference_has_every_parameter_with_its_default_and_text(site, entry):
    page = (site / "reference" / "parameters.html").read_text(encoding="utf-8")
    section = page.partition(f'<h2 id="{entry}">')[2].partition("<h2")[0]
    rows = [[html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
            for row in re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)]  # fmt: skip
    docs = field_docs(CONFIGS[entry])
    expected = [[f.name, shown(f).strip("`"), " ".join(docs[f.name].replace("`", "").split())]
                for f in fields(CONFIGS[entry])]  # fmt: skip
    assert sorted([row[0], row[2], row[3]] for row in rows if row) == sorted(expected)


def test_the_reference_has_every_route_of_the_server(site):
    text = text_of(site / "reference" / "http-api.html")
    routes = [f"{method.upper()} {path}" for path, methods in openapi()["paths"].items() for method in methods]
    assert routes and [route for route in routes if route not in text] == []


def test_the_pages_of_tables_have_every_entry(site):
    from data.corruption import CORRUPTIONS
    from data.formats.files import FORMATS
    from evals.metrics import METRICS

    keys = {key for metric in METRICS.values() for key in metric.keys or (metric.name,)}
    pages = {"reference/metrics": keys, "how-to/wrong-labels": CORRUPTIONS, "reference/file-formats": FORMATS}
    for page, names in pages.items():
        text = text_of(site / f"{page}.html")
        assert [name for name in names if name not in text] == []


def test_the_server_page_names_the_models_that_stand_for_a_base(site):
    text = text_of(site / "how-to" / "server.html")
    assert [name for name in OPENAI_MODELS if name not in text] == []


def code(page):
    """Everything in a page that is set as code."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"```[^\n]*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join([*fenced, *inline])


WRITTEN = [page for page in PAGES if page.parent.name != "decisions" and page.name != "log.md"]
"""Pages that describe the present; decisions and the log describe their day."""


@pytest.mark.parametrize("page", [ROOT / "README.md", *WRITTEN], ids=lambda page: page.stem)
def test_every_command_target_and_parameter_that_a_page_names_exists(page):
    text = code(page)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?<![\w-])make ([a-z]+)\b", text)) <= targets
    assert set(re.findall(r"mlflow run \S+ -e ([a-z]+)", text)) <= set(CONFIGS)
    assert set(re.findall(r"-m steps\.([a-z]+)", text)) <= set(CONFIGS)
    for entry, flags in re.findall(r"(?:-e |-m steps\.|make )([a-z]+)(.*)", text):
        named = set(re.findall(r"-P ([a-z]\w*)=", flags)) | set(re.findall(r" --([a-z]\w*)\b(?!-)", flags))
        assert not named - {"help", "env"} or named <= {*CONFIGS[entry].__dataclass_fields__}, (entry, flags)


@pytest.mark.parametrize("page", [ROOT / "README.md", *WRITTEN], ids=lambda page: page.stem)
def test_the_python_in_a_page_is_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        compile(block, page.name, "exec")


PACKAGES = "data|inference|registry|train|evals|openai_jobs|recipes|serve|demo|steps|benchmarks|tests"


def test_every_module_that_a_page_names_exists():
    path = re.compile(rf"\b(?:{PACKAGES})/[\w/]+\.\w+")
    missing = [(page.name, name) for page in WRITTEN for name in path.findall(code(page)) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", "Makefile", *(page.relative_to(ROOT) for page in WRITTEN)], ids=str
)
def test_documents_have_no_private_words(name):
    text = (ROOT / name).read_text(encoding="utf-8").lower()
    assert [word for word in re.findall(r"[a-z]+", text) if word in NOWHERE] == []


def test_every_mark_stands_alone_on_its_line():
    stray = [page.name for page in WRITTEN if page.read_text(encoding="utf-8").count("<!-- generate")
             != len(MARK.findall(page.read_text(encoding="utf-8")))]  # fmt: skip
    assert stray == []
