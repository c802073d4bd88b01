"""``mlflow run . -e demo``: the chat page, base and tuned versions side by side."""

from dataclasses import replace

from demo.config import DemoConfig
from steps.cli import OUTPUTS, Stopped, main
from steps.flags import parse
from steps.ui import discard_own_run, free_port


def demo(argv: list[str]) -> None:
    """Serve the page until Ctrl-C."""
    config = parse(DemoConfig, argv)
    discard_own_run()
    port = free_port(config.port)
    if port != config.port:
        print(f"Port {config.port} is taken; this is {port}.", flush=True)
    print("Opening the chat page ...", flush=True)
    from demo.server import open_page  # after parsing, so that --help and a wrong flag are answered at once

    try:
        open_page(replace(config, port=port), OUTPUTS)
    except Stopped:
        print("\nThe chat page is closed.")


if __name__ == "__main__":
    main(demo)
