"""``mlflow run . -e serve``: an OpenAI-compatible server for fine-tuning jobs and chats."""

from serve.config import ServeConfig
from steps.cli import OUTPUTS, Stopped, main
from steps.flags import parse
from steps.ui import discard_own_run


def serve(argv: list[str]) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    config = parse(ServeConfig, argv)
    discard_own_run()
    settings = config.access()
    if config.new_key or config.drop_key or settings:
        from serve.store.auth import change_access

        change_access(config.database, config.new_key, config.drop_key, config.project, settings)
        return
    print("Starting the server ...", flush=True)
    from registry.store import prepare  # after parsing, so that --help and a wrong flag are answered at once
    from serve.server import open_server

    prepare(OUTPUTS)
    try:
        open_server(config, OUTPUTS)
    except Stopped:
        print("\nThe server has stopped.")


if __name__ == "__main__":
    main(serve)
