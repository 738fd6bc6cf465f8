"""What the benchmark of a gateway says of peers that are not here, without loading what the core's benchmark needs."""


def absent(peer: str, how: str) -> Exception:
    """Return the error that says so; bench.job brings numba, which the processes that are measured do without."""
    from bench.job import AbsentError  # noqa: PLC0415 - as said

    return AbsentError(peer, how)
