"""Models in the box: trained and proven pruners, each a folder beside this file, found by name."""

from pathlib import Path

from toolkit.errors import ToolkitError

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Names of the pruners in the box, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/manifest.json"))


def find(name: Path) -> Path:
    """Folder of a pruner: the path itself where it is one, else the pruner of that name in the box.

    Raises ToolkitError where there is neither.
    """
    if name.exists():
        return name
    if str(name) in names():
        return FOLDER / name
    raise ToolkitError(
        f"{name}: no such folder, and no pruner in the box. These are: {', '.join(names()) or 'none'}. "
        "Make one of your own with `av1part fit`."
    )
