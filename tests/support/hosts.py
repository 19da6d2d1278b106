"""A program of libaom's public interface, as those of other people are, that codes one picture."""

import os
import shutil
import subprocess
from pathlib import Path

from integration.codec.libaom_build import Libraries
from support.places import TESTS

_CODE = TESTS / "data" / "libaom_host.c"


def build_host(libaom: Libraries, path: Path, *flags: str) -> Path:
    """Compile tests/data/libaom_host.c against our libaom.so.3."""
    include = libaom.hook.parents[1] / str(libaom.info["libaom"]) / "include"
    subprocess.run(["cc", *flags, "-I", include, _CODE, libaom.aom, "-o", path], check=True)
    return path


def privileged(program: Path) -> Path | None:
    """Copy of a program that runs with another group than its user's, so that the system distrusts its environment.

    None where that cannot be had: no second group, or a file system or container that takes such rights away.
    """
    copy, probe = program.with_name(f"{program.name}-setgid"), program.with_name("probe")
    code = "#include <sys/auxv.h>\nint main(void) { return getauxval(AT_SECURE) != 1; }\n"
    subprocess.run(["cc", "-x", "c", "-", "-o", probe], input=code, text=True, check=True)
    shutil.copy(program, copy)
    others = [1] if os.geteuid() == 0 else [group for group in os.getgroups() if group != os.getegid()]
    for path in (copy, probe) if others else ():
        os.chown(path, -1, others[0])
        path.chmod(0o2755)
    return copy if subprocess.run([probe], check=False).returncode == 0 else None


def telltale(folder: Path) -> tuple[Path, Path]:
    """A library that makes a file when it is loaded, and the path of that file."""
    library, made = folder / "telltale.so", folder / "loaded"
    code = (
        f'#include <stdio.h>\n__attribute__((constructor)) static void tell(void) {{ fclose(fopen("{made}", "w")); }}\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=code, text=True, check=True)
    return library, made
