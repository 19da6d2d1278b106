"""Write LICENSE.md of the embedded set from its manifest: `python -m toolkit.sample.attribution`."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent
HEAD = """# Licences of the embedded data set

The folder `luma` holds the luma planes of these photographs, reduced in size and converted to BT.601 as the
manifest says; nothing else was changed. Each keeps the licence of its original, whatever the licence of av1part's
code. The partition labels (`blocks.npy`) may be used as freely as the code.

Texts of the Creative Commons licences: <https://creativecommons.org/licenses/by/2.0/>,
<https://creativecommons.org/licenses/by/4.0/>, <https://creativecommons.org/licenses/by-sa/3.0/>,
<https://creativecommons.org/licenses/by-sa/4.0/>, <https://creativecommons.org/publicdomain/zero/1.0/>.

| photograph | licence and author | taken from | split |
|---|---|---|---|
"""


def attribution() -> str:
    """Text of LICENSE.md, with a line for each source of the manifest."""
    manifest = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    columns = ("name", "licence", "origin", "split")
    lines = ["| " + " | ".join(source[c].replace("|", "/") for c in columns) + " |\n" for source in manifest["sources"]]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    (FOLDER / "LICENSE.md").write_text(attribution(), encoding="utf-8")
