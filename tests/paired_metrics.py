"""Which metrics of a run's base and tuned model have no interval of their change."""

from collections.abc import Mapping


def without_interval(metrics: Mapping[str, float]) -> set[str]:
    """The names of metrics of both models without ``change/NAME_low`` or ``change/NAME_high``.

    The ends of a metric's own interval are no metrics.
    """
    both = {key.removeprefix("base/") for key in metrics if key.startswith("base/")}
    both &= {key.removeprefix("test/") for key in metrics if key.startswith("test/")}
    values = {name for name in both if not (name.endswith(("_low", "_high")) and name.rpartition("_")[0] in both)}
    return {name for name in values if not {f"change/{name}_low", f"change/{name}_high"} <= metrics.keys()}
