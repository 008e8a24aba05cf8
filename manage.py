#!/usr/bin/env python3
"""Django's command line, with the environment that ./run made when this one has no Django."""

import importlib.util
import os
import sys
from pathlib import Path


def main() -> None:
    if importlib.util.find_spec("django") is None:
        ours = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
        if not ours.exists() or Path(sys.prefix) == ours.parent.parent:
            sys.exit("Django is not installed. Start ./run or ./test once: they install it.")
        os.execv(ours, [str(ours), *sys.argv])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line
    from django.db.utils import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as problem:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The database does not answer. Start ./run, or set DATABASE_URL.\n{problem}")


if __name__ == "__main__":
    main()
