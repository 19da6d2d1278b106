"""Fill the wheel with the libraries of `av1part encoder build`, their licences and a list of what they are made of."""

import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

from integration.codec import libaom_build, libaom_source, libaom_wheel
from integration.codec.libaom_versions import versions
from toolkit.errors import ToolkitError
from toolkit.files import atomic_write_json, cache_folder, sha256_file

LICENCES = ("LICENSE", "PATENTS", *(f"third_party/{part}/LICENSE" for part in ("fastfeat", "vector", "x86inc")))
"""Files of libaom's source whose terms cover what is compiled."""


class Libraries(BuildHookInterface):
    """Hook that adds files to the wheel. Equal sources and compilers give equal bytes, wherever it is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        fill(folder, self.metadata.version)
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-linux_x86_64"  # auditwheel puts the manylinux tag in its place
        build_data["force_include"][str(folder)] = libaom_wheel.MODULE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._folder.cleanup()


def fill(folder: Path, number: str) -> None:
    """Write the files of the wheel of that version into a folder."""
    name = number.rpartition(".")[0]
    built = libaom_build.build(libaom=name)
    if built.info["machine"] != libaom_wheel.MACHINE:
        raise ToolkitError(f"The wheel is for {libaom_wheel.MACHINE}; this is {built.info['machine']}.")
    files = {}
    for library in (built.hook, built.stock, built.aom):
        # Without the table of local symbols, which has the path of every assembler file, and without the hash of the
        # link, which was taken of these paths too.
        command = ["strip", "--strip-unneeded", "--remove-section=.note.gnu.build-id"]
        subprocess.run([*command, "-o", folder / library.name, library], check=True)
        files[library.name] = sha256_file(folder / library.name)
    atomic_write_json(folder / "build.json", built.info | {"wheel": number, "files": files})
    archive = libaom_source.fetch(versions()[name].archive, cache_folder() / "archives")
    with tarfile.open(archive) as source:
        for path in LICENCES:
            text = source.extractfile(next(m for m in source if m.name in (path, f"libaom-{name}/{path}")))
            assert text is not None
            target = folder / "licenses" / ("libaom" if "/" not in path else path.split("/")[1]) / Path(path).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.read())
    ours = folder / "licenses" / "av1part" / "LICENSE"
    ours.parent.mkdir()
    ours.write_bytes((Path(__file__).parents[2] / "LICENSE").read_bytes())
