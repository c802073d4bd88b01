"""Starting the page: models warm up while it opens, a shared link gets its password, and what is in force is said."""

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
from demo.config import DemoConfig
from demo.lazy import late, once
from demo.model_process import ModelProcess, PoolSettings
from demo.view import render
from inference.transcript import Sampling

if TYPE_CHECKING:
    from demo.model_process import Look
    from demo.version_cache import VersionCache
    from inference.model_pool import ModelPool
    from registry.votes.outbox import VoteOutbox

HOST = "127.0.0.1"
USER = "parley"
SHARE_SERVICE = "https://api.gradio.app/v3/tunnel-request"
SHARE_PATIENCE_S = 5.0
PATIENCE_S = 1.5  # so long the page waits for the versions that it will show
BODY_BYTES = 1 << 16  # of a request, beside its prompt
GIB = 1 << 30


def open_page(config: DemoConfig, outputs: Path) -> None:
    """Serve the page until the process is stopped; prints its address when it answers.

    Args:
        outputs: folder in which votes lie until MLflow has them.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"  # of which Gradio keeps notes; 10,000 would be megabytes
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for name in ("GRADIO_ALLOWED_PATHS", "GRADIO_NUM_WORKERS"):  # either would serve files past the page's own rules
        os.environ.pop(name, None)
    around = {*os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(","), HOST, "localhost"} - {""}
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(sorted(around))  # Gradio asks the page itself at start
    trouble = share_trouble() if config.share else ""
    config = replace(config, share=config.share and not trouble)
    models = ModelProcess(
        PoolSettings(int(config.memory_gb * GIB), config.threads), make_look()
    )  # imports while this one does
    gr = import_gradio()
    from demo.app import build
    from demo.session import ChatSessions
    from demo.version_cache import VersionCache

    box: Callable[[], VoteOutbox] = once(lambda: late("registry.votes.outbox").VoteOutbox(outputs / "votes"))
    shelf = VersionCache("" if config.share else config.ui_address)
    blocks = build(ChatSessions(config, models, box), shelf)
    seen = threading.Event()
    threading.Thread(target=warm_up, args=(models, shelf, config, seen), name="warm-up", daemon=True).start()
    password = make_password(config)
    seen.wait(PATIENCE_S)
    local, public = serve(blocks, config, password)
    print("\n".join(announcement(config, local, public, password, trouble)), flush=True)
    try:
        blocks.block_thread()
    finally:
        gr.close_all(verbose=False)
        models.close()


def import_gradio() -> Any:
    """Gradio, without the half of its import that goes into comparing every component with its stub file.

    It leaves a class alone whose file can't be found, so none of its own can while it is imported.
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


def warm_up(models: ModelProcess, shelf: "VersionCache", config: DemoConfig, seen: threading.Event) -> None:
    """Load what the first answer needs, in the pair of versions that the page opens with.

    Args:
        seen: set once the registry was looked at, whatever came of it.
    """
    with contextlib.suppress(UserError):  # a visitor who meets it reads it on the page
        try:
            entries = shelf.look()
        finally:
            seen.set()
        name = config.register_as or render.newest_model(entries)
        panel = models.open([reference for reference in render.defaults(entries, name) if reference])
        for _ in panel.ask("Hello", Sampling(max_new_tokens=2)):
            pass


def serve(blocks: Any, config: DemoConfig, password: str = "") -> tuple[str, str | None]:
    """Start answering, on loopback; returns the address and, where one was asked for and made, the public link."""
    from starlette.middleware import Middleware

    from demo.app import SCRIPT, STYLES, THEME
    from demo.middleware import PageMiddleware

    max_bytes = BODY_BYTES + 12 * config.prompt_chars  # a character of JSON has up to 12 bytes
    middleware = [Middleware(PageMiddleware, max_bytes=max_bytes)]
    # api_open lets direct calls past the queue, and so past its length and its one line for the models
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
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        state_session_capacity=100,  # each session that Gradio remembers costs it a copy of the page's configuration
        app_kwargs={"middleware": middleware},
    )
    return local, public


def make_look() -> "Look":
    """Finds the places of references; what that needs is imported when the first is looked for."""

    def make() -> Any:
        base, guide = late("train.base_model"), late("registry.resolver")
        return guide.Resolver(lambda name: base.resolve(name).folder)

    guide = once(make)
    return lambda references: guide().look(references)


def make_pool(config: DemoConfig) -> "ModelPool":
    """The models in this process, for whoever needs no page."""
    torch, base, chat = (late(name) for name in ("torch", "train.base_model", "inference.model_pool"))
    torch.set_num_threads(config.threads or torch.get_num_threads())
    return chat.ModelPool(make_look(), int(config.memory_gb * GIB), base.pick_device())


def make_password(config: DemoConfig) -> str:
    """The password that the page asks for; empty where it asks for none."""
    if not config.share or config.password == "off":
        return ""
    return os.environ.get("PARLEY_PASSWORD") or secrets.token_urlsafe(9)


def share_trouble() -> str:
    """Why no public link can be made, or an empty string; asked first, because Gradio itself tries for minutes."""
    if os.environ.get("GRADIO_SHARE_SERVER_ADDRESS"):
        return ""  # a share server of the owner's own
    return probe(SHARE_SERVICE, SHARE_PATIENCE_S)


def announcement(config: DemoConfig, local: str, public: str | None, password: str, trouble: str = "") -> list[str]:
    """What the owner reads once the page answers; ``trouble`` is why no link was even tried."""
    lines = [f"Parley: {local}"]
    if config.share and public:
        lines += [f"Public: {public} (for about a week, while this runs)", _key(password)]
        lines += ["Caps in force:", *(f"  {line}" for line in config.lines())]
        remote = f"{config.remote_tokens:,} tokens in all" if config.remote_tokens else "off"
        lines += [f"  remote models: {remote}"]
    elif config.share:
        lines += [
            "No public link could be made; Gradio's own lines above say why. The page is here only.",
            _key(password),
        ]
    elif trouble:
        lines += [f"No public link could be made: Gradio's share service can't be reached ({trouble})."]
        lines += ["The page is on this computer only."]
    return [*lines, "Ctrl-C stops it."]


def _key(password: str) -> str:
    given = "the one in PARLEY_PASSWORD" if os.environ.get("PARLEY_PASSWORD") else password
    return f"User {USER}, password {given}" if password else "No password: everyone with the link gets in"
