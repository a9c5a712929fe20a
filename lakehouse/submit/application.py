"""The writer, with what `up` does for it otherwise: what `spark-submit` is given to run.

It lies in a folder by itself, for Python puts the folder of what it runs first on its path.
"""

from __future__ import annotations

import sys

from lakehouse import writer
from lakehouse.errors import LakehouseError
from lakehouse.settings import load_settings
from lakehouse.submit.alone import alone


def main() -> int:
    """Until SIGTERM, or `lakehouse down`; another exit code than 0, and one line, where it cannot go on."""
    try:
        with alone(load_settings()):
            return writer.main()
    except LakehouseError as error:
        sys.stderr.write(f"lakehouse: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
