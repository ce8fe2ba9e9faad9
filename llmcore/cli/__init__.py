"""The command line. `main` is the script `llmcore`; it needs the extra `cli`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

MISSING = (
    'llmcore: the command line needs two more packages; install them with: pip install "llmcore-kit[cli]"'
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 the call failed, 2 wrong usage or configuration, 130 interrupted."""
    if find_spec("cyclopts") is None or find_spec("rich") is None:
        print(MISSING, file=sys.stderr)
        return 2
    from llmcore.cli.app import run

    return run(sys.argv[1:] if arguments is None else arguments)
