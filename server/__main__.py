"""`solver-server`, also `python -m server`."""

from __future__ import annotations

import asyncio
import faulthandler
import sys
from collections.abc import Sequence

from solver.domain.errors import InvalidProblem


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the settings and serve; a wrong setting is one line on stderr and exit code 2."""
    from server.settings import read_settings

    try:
        settings = read_settings(list(sys.argv[1:] if arguments is None else arguments))
        if settings.print_config:
            print(settings.as_toml(), end="")
            return
        from server.app import serve

        faulthandler.enable()  # where native code crashes, the log ends with what each thread was doing
        asyncio.run(serve(settings))
    except InvalidProblem as error:
        print(f"Error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
