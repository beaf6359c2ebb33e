"""``python -m driver``: the same as the command ``keyferry``."""

import sys

from driver.cli import main

if __name__ == "__main__":
    sys.exit(main())
