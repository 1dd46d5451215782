"""The program `densenet`, which is part of the package."""

import signal
import sys

from densenet import _densenet


def main() -> int:
    # The program handles Ctrl-C itself; Python's handler would be in the way.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _densenet.run(["densenet", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
