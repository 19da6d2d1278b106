"""Sources in a manifest: what a data set and a record of the search both say of a clip or photograph."""

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from toolkit.data.splits import SPLITS
from toolkit.errors import ToolkitError
from toolkit.escaping import is_treacherous
from toolkit.shapes import is_sha256


class Origin(TypedDict):
    """Where a source comes from, and the one split that it is in; `sha256` is its original file's."""

    name: str
    split: str
    sha256: str
    licence: str
    origin: str


def check_sources(sources: Sequence[Origin], what: str, mend: str) -> None:
    """Raise ToolkitError unless each source has a sound name of its own, a split and a hash.

    `what` names the manifest, and `mend` is a sentence on how to make it again.
    """
    for source in sources:
        name = source["name"]
        check_source_name(name)
        if source["split"] not in SPLITS:
            raise ToolkitError(f"{what}: source {name} is in split {source['split']!r:.80}, not in {SPLITS}. {mend}")
        if not is_sha256(source["sha256"]):
            raise ToolkitError(f"{what}: sha256 of source {name} is {source['sha256']!r:.80}, no SHA-256. {mend}")
    twice = [name for name, count in Counter(source["name"] for source in sources).items() if count > 1]
    if twice:
        raise ToolkitError(f"{what}: two sources share a name, {twice[0]}. Rename one.")


def check_source_name(name: str) -> None:
    """Raise ToolkitError unless the name is a valid file name on every system, and reads as it is."""
    # Surrogates stand for bytes that are no UTF-8. Systems allow 255 bytes; `label` appends some.
    strange = any(c in '/\\:*?"<>|' or is_treacherous(c) or 0xD800 <= ord(c) < 0xE000 for c in name)
    if not name or name.startswith(".") or len(name) > 200 or strange or len(name.encode()) > 220:
        raise ToolkitError(
            f"Source name {name!a:.300}: expected 1 to 200 characters, in UTF-8 at most 220 bytes, no dot first, "
            'none of / \\ : * ? " < > |, no control character and no mark of direction. Rename it.'
        )
