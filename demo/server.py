"""Starting the page: the models load while it opens, a shared link gets a password, the limits in force are printed."""

import contextlib
import inspect
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import UserError
from data.formats.hub import probe
from data.processes import collect_as_usual
from demo.config import DemoConfig
from demo.lazy import import_lock, once
from demo.model_process import ModelProcess, PoolSettings
from demo.view import render
from inference.threads import set_threads
from inference.transcript import Sampling

if TYPE_CHECKING:
    from demo.conversations import ConversationStore
    from demo.version_cache import VersionCache
    from inference.model_pool import Look, ModelPool
    from registry.resolver import Resolver
    from registry.votes.outbox import VoteOutbox

HOST = "127.0.0.1"
USER = "parley"
SHARE_SERVICE = "https://api.gradio.app/v3/tunnel-request"
SHARE_TIMEOUT_S = 5.0
VERSIONS_TIMEOUT_S = 1.5  # how long the page waits for the versions that it will show
BODY_BYTES = 1 << 17  # of a request, beside its prompt: a transcript of all columns
FILE_BODY_BYTES = 23 << 20  # a file of rows in base64, which takes a third more than the file
GIB = 1 << 30


def open_page(config: DemoConfig, outputs: Path) -> None:
    """Serve the page until the process is stopped; prints its address when it answers.

    Args:
        outputs: folder in which votes are kept until MLflow has them.
    """
    _set_environment()
    problem = share_problem() if config.share else ""
    config = replace(config, share=config.share and not problem)
    # started first: that process imports while this one does
    models = ModelProcess(PoolSettings(int(config.memory_gb * GIB), config.threads), make_look())
    gr = import_gradio()
    from demo.app import build
    from demo.session import ChatSessions
    from demo.training import Trainings
    from demo.version_cache import VersionCache

    outbox: Callable[[], VoteOutbox] = once(lambda: _make_outbox(outputs / "votes"))
    versions = VersionCache("" if config.share else config.ui_address)
    sessions = ChatSessions(config, models, outbox, open_conversations(config, outputs))
    trainings = None if config.share else Trainings(outputs)
    blocks = build(sessions, versions, trainings)
    seen = threading.Event()
    threading.Thread(target=warm_up, args=(models, versions, config, seen), name="warm-up", daemon=True).start()
    password = make_password(config)
    seen.wait(VERSIONS_TIMEOUT_S)
    local, public = serve(blocks, config, password, trainings is not None, trainings and outputs)
    print("\n".join(announcement(config, local, public, password, problem)), flush=True)
    collect_as_usual()
    try:
        blocks.block_thread()
    finally:
        gr.close_all(verbose=False)
        models.close()


def open_conversations(config: DemoConfig, outputs: Path) -> "ConversationStore | None":
    """Where conversations are kept: a file under ``outputs``, or None where ``conversations`` says that none are."""
    from demo.conversations import ConversationStore

    if config.conversations == "off" or (config.conversations == "auto" and config.share):
        return None
    return ConversationStore(outputs / "conversations.sqlite")


def _set_environment() -> None:
    """What Gradio and the Hugging Face libraries read from the environment: no telemetry, no files, no proxy."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"  # of which Gradio keeps notes; 10,000 would be megabytes
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for name in ("GRADIO_ALLOWED_PATHS", "GRADIO_NUM_WORKERS"):  # either would serve files past the page's own rules
        os.environ.pop(name, None)
    around = {*os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(","), HOST, "localhost"} - {""}
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(sorted(around))  # Gradio asks the page itself at start


def import_gradio() -> Any:
    """Import Gradio without comparing every component with its stub file, which takes half of the import's time.

    Gradio skips a class whose source file can't be found, so while it is imported none of its own is found.
    """
    real = inspect.getfile

    def getfile(thing: Any) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError
        return real(thing)

    inspect.getfile = getfile
    try:
        import gradio
    finally:
        inspect.getfile = real
    return gradio


def warm_up(models: ModelProcess, versions: "VersionCache", config: DemoConfig, seen: threading.Event) -> None:
    """Load what the first answer needs, in the pair of versions that the page opens with.

    Args:
        seen: set once the registry has answered or failed.
    """
    with contextlib.suppress(UserError):  # the page shows the same error to a visitor
        try:
            entries = versions.refresh()
        finally:
            seen.set()
        name = config.register_as or render.newest_model(entries)
        group = models.open([reference for reference in render.defaults(entries, name) if reference])
        for _ in group.generate("Hello", Sampling(max_new_tokens=2)):
            pass


def serve(
    blocks: Any, config: DemoConfig, password: str = "", takes_files: bool = False, outputs: Path | None = None
) -> tuple[str, str | None]:
    """Start the server on loopback; returns the address and the public link, None where none was requested or made.

    Args:
        takes_files: whether visitors may bring files of rows, so that a request may be long.
        outputs: where the exports lie that visitors may save; None for none.
    """
    from starlette.middleware import Middleware

    from demo.app import SCRIPT, STYLES, THEME
    from demo.downloads import route
    from demo.middleware import PageMiddleware

    max_bytes = BODY_BYTES + 12 * config.prompt_chars  # a character of JSON has up to 12 bytes
    max_bytes += FILE_BODY_BYTES if takes_files else 0
    middleware = [Middleware(PageMiddleware, max_bytes=max_bytes)]
    # api_open=True would let direct calls bypass the queue, its length and its limit of one model event at a time
    blocks.queue(max_size=config.queue, default_concurrency_limit=4, api_open=False)
    _, local, public = blocks.launch(
        server_name=HOST,
        server_port=config.port,
        share=config.share,
        auth=(USER, password) if password else None,
        auth_message="The page's owner has the password." if password else None,
        quiet=True,
        prevent_thread_lock=True,
        show_error=False,
        run_history=False,
        strict_cors=True,
        max_file_size="1kb",
        footer_links=["api"],
        theme=THEME,
        css_paths=list(STYLES),
        head=f"<script>{SCRIPT.read_text()}</script>",
        _frontend=False,  # all that it turns off is a request to the page itself, which fails where it takes 3 seconds
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        state_session_capacity=100,  # each session that Gradio remembers costs it a copy of the page's configuration
        app_kwargs={"middleware": middleware, "routes": [route(outputs)] if outputs else []},
    )
    return local, public


def make_look() -> "Look":
    """A function that finds the models of references; what it needs is imported at its first call."""

    def make() -> "Resolver":
        with import_lock:
            from registry.resolver import Resolver
            from train.base_model import resolve
        return Resolver(lambda name: resolve(name).folder)

    resolver = once(make)
    return lambda references: resolver().look(references)


def make_pool(config: DemoConfig) -> "ModelPool":
    """The models in this process, for callers without a page."""
    with import_lock:
        from inference.model_pool import ModelPool
        from train.base_model import pick_device

        set_threads(config.threads)
    return ModelPool(make_look(), int(config.memory_gb * GIB), pick_device())


def _make_outbox(folder: Path) -> "VoteOutbox":
    with import_lock:
        from registry.votes.outbox import VoteOutbox
    return VoteOutbox(folder)


def make_password(config: DemoConfig) -> str:
    """The page's password; empty where it has none."""
    if not config.share or config.password == "off":
        return ""
    return os.environ.get("PARLEY_PASSWORD") or secrets.token_urlsafe(9)


def share_problem() -> str:
    """Why no public link can be made, or an empty string; checked first, because Gradio itself tries for minutes."""
    if os.environ.get("GRADIO_SHARE_SERVER_ADDRESS"):
        return ""  # a share server of the owner's own
    return probe(SHARE_SERVICE, SHARE_TIMEOUT_S)


def announcement(config: DemoConfig, local: str, public: str | None, password: str, problem: str = "") -> list[str]:
    """The lines that are printed once the page answers; ``problem`` is why no public link was tried."""
    lines = [f"Parley: {local}"]
    if config.share and public:
        lines += [f"Public: {public} (for about a week, while this runs)", _key(password)]
        lines += ["Limits in force:", *(f"  {line}" for line in config.lines())]
        remote = f"{config.remote_tokens:,} tokens in all" if config.remote_tokens else "off"
        lines += [f"  remote models: {remote}"]
    elif config.share:
        lines += [
            "No public link could be made; Gradio's messages above say why. The page is on this computer only.",
            _key(password),
        ]
    elif problem:
        lines += [f"No public link could be made: Gradio's share service can't be reached ({problem})."]
        lines += ["The page is on this computer only."]
    return [*lines, "Ctrl-C stops it."]


def _key(password: str) -> str:
    given = "the one in PARLEY_PASSWORD" if os.environ.get("PARLEY_PASSWORD") else password
    return f"User {USER}, password {given}" if password else "No password: everyone with the link gets in"
