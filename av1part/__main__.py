"""The command line, also as `python -m av1part`, whatever lies in the working directory or on PYTHONPATH."""

import sys

from av1part import ROOT, check_packages


def main() -> None:
    """Run `av1part`, with its own packages found before any other of their names."""
    sys.path.insert(0, str(ROOT))
    try:
        check_packages()
    except ImportError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    from toolkit.cli.main import main as command

    command(prog_name="av1part")


if __name__ == "__main__":
    main()
