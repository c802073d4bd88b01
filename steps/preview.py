"""``python -m steps.preview pirate --dataset pairs.jsonl``: what a training would do, as JSON, one event a line.

The page's tab Train reads it; ``recipes.preview`` has the events. Flags are those of the entry point that is named.
"""

import json

from data.errors import ConfigError
from steps.cli import main
from steps.flags import parse


def preview(argv: list[str]) -> None:
    """Print the events; a fault in the rows is one of them, a wrong flag an error."""
    from recipes.dpo.config import DpoConfig
    from recipes.noisy_labels.config import NoisyConfig
    from recipes.sft.config import TuneConfig

    configs = {"pirate": TuneConfig, "noisy": NoisyConfig, "dpo": DpoConfig}
    if not argv or argv[0] not in configs:
        raise ConfigError(f"the first word must be one of {', '.join(configs)}")
    config = parse(configs[argv[0]], argv[1:])
    from recipes.preview import preview as events  # after parsing, so that a wrong flag is answered at once

    for event in events(config):
        print(json.dumps(event, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main(preview)
