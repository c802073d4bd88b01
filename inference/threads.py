"""CPU threads of this process."""


def set_threads(threads: int) -> None:
    """Let PyTorch compute with so many CPU threads; 0 takes what it takes itself, one a core."""
    import torch

    torch.set_num_threads(threads or torch.get_num_threads())
