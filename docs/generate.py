"""The generated parts of the documentation: a MkDocs hook that fills ``<!-- generate: NAME ARGUMENT -->`` marks.

A page says where a table belongs; what stands in it comes from the code: parameters from the config dataclasses,
metrics from ``METRICS``, the HTTP API from the routes' OpenAPI description, decisions from their files.
"""

import ast
import math
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # MkDocs imports this file by its path
    sys.path.insert(0, str(ROOT))

from demo.config import DemoConfig  # noqa: E402
from recipes.autopsy.config import AutopsyConfig  # noqa: E402
from recipes.compare.config import CompareConfig  # noqa: E402
from recipes.dpo.config import DpoConfig  # noqa: E402
from recipes.evaluation.config import EvaluateConfig  # noqa: E402
from recipes.export.config import ExportConfig  # noqa: E402
from recipes.importing.config import ImportConfig  # noqa: E402
from recipes.noisy_labels.config import NoisyConfig  # noqa: E402
from recipes.pretraining.config import BaseConfig  # noqa: E402
from recipes.sft.config import TuneConfig  # noqa: E402
from recipes.studies.config import StudyConfig  # noqa: E402
from serve.config import ServeConfig  # noqa: E402
from serve.model_names import OPENAI_MODELS  # noqa: E402
from steps.cancel import CancelConfig  # noqa: E402
from steps.flags import field_docs  # noqa: E402
from steps.monitor import MonitorConfig  # noqa: E402
from steps.replay import ReplayConfig  # noqa: E402
from steps.ui import UiConfig  # noqa: E402
from steps.votes import VotesConfig  # noqa: E402

MARK = re.compile(r"^<!-- generate: (\w+)(?: (\w+))? -->$", re.MULTILINE)
CONFIGS: dict[str, type] = {
    "pirate": TuneConfig,
    "dpo": DpoConfig,
    "base": BaseConfig,
    "ui": UiConfig,
    "demo": DemoConfig,
    "serve": ServeConfig,
    "compare": CompareConfig,
    "votes": VotesConfig,
    "evaluate": EvaluateConfig,
    "export": ExportConfig,
    "import": ImportConfig,
    "replay": ReplayConfig,
    "noisy": NoisyConfig,
    "monitor": MonitorConfig,
    "cancel": CancelConfig,
    "autopsy": AutopsyConfig,
    "study": StudyConfig,
}
"""The config dataclass of each entry point, in the order of ``MLproject``."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The source of a page with every mark replaced by what it generates.

    Raises:
        KeyError: a mark names no generator, or its argument nothing that the generator knows.
    """
    return MARK.sub(lambda mark: GENERATORS[mark[1]](*filter(None, [mark[2]])), markdown)


# Parameters


def parameters(entry: str) -> str:
    """A table of an entry point's parameters: those of its own config class first, then inherited ones."""
    config = CONFIGS[entry]
    docs, hints = field_docs(config), get_type_hints(config)
    rows = [[f"`{f.name}`", kind(hints[f.name]), shown(f), docs[f.name]] for f in nearest_first(config)]
    return table(["parameter", "type", "default", "what it does"], rows)


def nearest_first(config: type) -> list[Field[Any]]:
    """The fields of a dataclass, those that its own body annotates before those of its parents."""
    order = [name for cls in config.__mro__ for name in cls.__dict__.get("__annotations__", {})]
    return sorted(fields(config), key=lambda field: order.index(field.name))


def kind(hint: Any) -> str:
    """A field's type as a reader of flags knows it: its choices, or int, float, true or false, text."""
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    return {int: "int", float: "float", bool: "`true`, `false`"}.get(hint, "text")


def shown(field: Field[Any]) -> str:
    """A field's default as a flag takes it; empty where it is empty or the parameter must be given."""
    if field.default is MISSING or field.default == "":
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def entry_points() -> str:
    """A section for every entry point: what it does and its parameters."""
    return "\n\n".join(f"## {entry}\n\n{first_line(CONFIGS[entry])}\n\n{parameters(entry)}" for entry in CONFIGS)


def first_line(thing: Any) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((thing.__doc__ or "").partition("\n\n")[0].split())


# The HTTP API


def http_api() -> str:
    """Every route of the server by resource, with its parameters and the fields of its body; then their objects."""
    schema = openapi()
    sections: dict[str, list[str]] = {}
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            resource = path.removeprefix("/v1/").partition("/")[0]
            sections.setdefault(resource, []).append(route_text(f"{method.upper()} {path}", route, schema))
    sections["Objects"] = [object_text(name, schema) for name in objects(schema)]
    return "\n\n".join(f"## {name}\n\n" + "\n\n".join(parts) for name, parts in sections.items())


def objects(schema: dict[str, Any]) -> list[str]:
    """Names of the objects that fields of requests consist of, sorted."""
    linked = re.findall(r"\]\(#([a-z_]+)\)", "".join(
        type_text(field) for shape in schema["components"]["schemas"].values()
        for field in shape.get("properties", {}).values()
    ))  # fmt: skip
    return sorted(name for name in schema["components"]["schemas"] if name.lower() in linked and "Error" not in name)


def object_text(name: str, schema: dict[str, Any]) -> str:
    """One object: its fields with types and defaults."""
    rows = [[f"`{field}`", *rest] for field, *rest in body_fields({"$ref": f"/{name}"}, schema)]
    return f"### {name}\n\n{table(['name', 'type', 'default'], rows)}"


def openapi() -> dict[str, Any]:
    """The OpenAPI description of the routes in ``serve/routes``; no server is started."""
    import importlib
    import pkgutil

    from fastapi import FastAPI

    import serve.routes

    app = FastAPI()
    for module in pkgutil.iter_modules(serve.routes.__path__, "serve.routes."):
        app.include_router(importlib.import_module(module.name).router)
    return app.openapi()


def route_text(title: str, route: dict[str, Any], schema: dict[str, Any]) -> str:
    """One route: its method and path, what it does, its parameters and the fields of its body."""
    parts = [f"### `{title}`", " ".join(route.get("description", "").split())]
    given = [
        [f"`{p['name']}`", p["in"], type_text(p["schema"]), state(p["schema"], p.get("required", False))]
        for p in route.get("parameters", ())
    ]
    for media, body in route.get("requestBody", {}).get("content", {}).items():
        place = "form" if "form" in media else "body"
        given += [[f"`{name}`", place, *rest] for name, *rest in body_fields(body["schema"], schema)]
    return "\n\n".join(filter(None, [*parts, table(["name", "in", "type", "default"], given) if given else ""]))


def body_fields(body: dict[str, Any], schema: dict[str, Any]) -> Iterator[list[str]]:
    """(name, type, default or "required") of every field of a request's body."""
    shape = resolved(body, schema)
    for name, field in shape.get("properties", {}).items():
        yield [name, type_text(field), state(field, name in shape.get("required", ()))]


def state(field: dict[str, Any], required: bool) -> str:
    """``required``, or a field's default where it has one."""
    default = field.get("default")
    return "required" if required else "" if default is None else f"`{default}`"


def resolved(shape: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a ``$ref`` (or the only ``allOf``) stands for."""
    name = shape.get("$ref", "").rpartition("/")[2]
    return schema["components"]["schemas"][name] if name else shape


def type_text(shape: dict[str, Any]) -> str:
    """A JSON schema in a few words, such as ``integer``, ``array of string``, ``string or array``."""
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(type_text(each) for each in shape["anyOf"] if each.get("type") != "null"))
    if "enum" in shape or "const" in shape:
        return ", ".join(f"`{value}`" for value in shape.get("enum", [shape.get("const")]))
    if shape.get("type") == "array":
        return f"array of {type_text(shape['items'])}" if shape.get("items") else "array"
    name = shape.get("$ref", "").rpartition("/")[2]
    return f"[{name}](#{name.lower()})" if name else shape.get("type", "any")


# Metrics and verdicts


def metrics(data: str) -> str:
    """A table of the metrics that are computed from ``data`` (see ``evals.metrics.Data``)."""
    from evals.metrics import METRICS

    rows = [metric_row(metric) for metric in METRICS.values() if data in metric.data]
    if not rows:
        raise KeyError(f"no metric is computed from {data}")
    return table(["metric", "what it is", "range", "better", "interval"], rows)


def metric_row(metric: Any) -> list[str]:
    """The cells of an ``evals.metrics.Metric``: keys, what it is, range, direction, whether it has an interval."""
    keys = ", ".join(f"`{key}`" for key in metric.keys or (metric.name,))
    direction = DIRECTIONS[metric.higher_is_better]
    return [keys, metric.about, metric_range(metric.range), direction, "yes" if metric.interval else ""]


DIRECTIONS = {True: "higher", False: "lower", None: ""}


def metric_range(ends: tuple[float, float]) -> str:
    """A range in words: ``0 to 1``, or ``0 and more`` where it has no upper end."""
    low, high = ends
    if math.isinf(low):
        return "any number" if math.isinf(high) else f"{high:g} and less"
    return f"{low:g} and more" if math.isinf(high) else f"{low:g} to {high:g}"


def thresholds(module: str) -> str:
    """A table of the thresholds of ``evals.verdict`` or ``evals.label_verdict``, from their dataclass."""
    import importlib

    found = importlib.import_module(f"evals.{module}")
    config = next(value for name, value in vars(found).items()
                  if name.endswith("Thresholds") and value.__module__ == found.__name__)  # fmt: skip
    docs = field_docs(config)
    return table(
        ["threshold", "value", "what it means"], [[f"`{f.name}`", shown(f), docs[f.name]] for f in fields(config)]
    )


# Other tables


def openai_models() -> str:
    """The model names of OpenAI that the server answers to, as a list in one line."""
    return ", ".join(f"`{name}`" for name in OPENAI_MODELS)


def corruptions() -> str:
    """A table of the kinds of wrong labels: what ``rate`` means for each, on which rows."""
    from data.corruption import CORRUPTIONS

    rows = [[f"`{kind}`", each.rows, each.about] for kind, each in CORRUPTIONS.items()]
    return table(["kind", "rows", "what `rate` means"], rows)


def formats() -> str:
    """A table of the file formats by the suffix of a file's name."""
    from data.formats.table import FORMATS

    return table(["suffix", "what the file holds"], [[f"`{suffix}`", each.about] for suffix, each in FORMATS.items()])


def size_classes() -> str:
    """A table of the default epochs and learning rates by the size of the base model."""
    from train.defaults import SIZE_CLASSES

    rows = [
        [_size(each.below), f"`{each.epochs}`", f"`{each.lora_lr:g}`", f"`{each.full_lr:g}`"] for each in SIZE_CLASSES
    ]
    return table(["parameters of the base", "`epochs`", "`lr`, `method=lora`", "`lr`, `method=full`"], rows)


def _size(below: float) -> str:
    return "more" if math.isinf(below) else f"fewer than {below / 1e6:,.0f} million"


def decisions() -> str:
    """A list of all decision notes with links."""
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = [file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for file in files]
    return "\n".join(f"- [{title}](../decisions/{file.name})" for file, title in zip(files, titles, strict=True))


def modules() -> str:
    """A section for every package, with a table of its modules and the first lines of their docstrings."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "root_packages"
    ]
    sections = []
    for package in reversed(layers):
        rows = [
            [f"`{file.relative_to(ROOT).as_posix()}`", summary(file)]
            for file in sorted((ROOT / package).rglob("*.py"), key=lambda file: (len(file.parts), file))
            if file.name != "__init__.py"
        ]
        sections.append(f"## {package}\n\n{table(['module', 'what it is'], rows)}")
    return "\n\n".join(sections)


def summary(file: Path) -> str:
    """The first sentence or paragraph of a module's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=\.)\s+(?=[A-Z])|\n\n", text, maxsplit=1)[0].removesuffix("::")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; bars and line breaks in cells are made harmless."""
    lines = [head, ["---"] * len(head), *([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


GENERATORS: dict[str, Callable[..., str]] = {
    "parameters": parameters,
    "entry_points": entry_points,
    "http_api": http_api,
    "metrics": metrics,
    "thresholds": thresholds,
    "openai_models": openai_models,
    "corruptions": corruptions,
    "formats": formats,
    "size_classes": size_classes,
    "decisions": decisions,
    "modules": modules,
}
"""What a mark may name: a function that returns Markdown."""
