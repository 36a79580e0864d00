"""Command line of the package under its module name: `python -m bert4rec COMMAND …`."""

import sys

from bert4rec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
