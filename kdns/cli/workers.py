"""`python -m kdns.cli.workers`: the supervisor, or one of its workers; kdns starts both."""

import os
import sys


def main(role: str, fd: int) -> int:
    """Each loads what it needs: the supervisor knows neither plugins nor the cluster."""
    if role == "worker":
        from kdns.cli.furnish import furnish  # noqa: PLC0415 - as said
        from kdns.server.workers import worker  # noqa: PLC0415

        return worker.main(fd, furnish)
    from kdns.server.workers import supervisor  # noqa: PLC0415 - as said
    from kdns.server.workers.messages import read_setup  # noqa: PLC0415

    with os.fdopen(fd, "rb") as file:
        setup = read_setup(file.read())
    return supervisor.main(setup)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
