"""libaom with our hook: built once into a per-user cache, and linked again within a second when the hook changes.

Where nothing was built, the installed wheel av1part-libaom serves (`libraries`).

The cache folder is `AV1PART_CACHE`, else the user's own. Versions of libaom lie in it side by side; `AV1PART_LIBAOM`
names the one in use. `libaom-<key>` is a static library with its headers, keyed by source, patches, flags and machine.
`hook-<key>` holds the shared libraries linked from it, keyed by our C sources as well. `current-<version>*.json` names
the `libaom-<key>` that was last built as that version.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from integration.codec import libaom_source, libaom_wheel, overrides
from integration.codec.libaom_versions import Version, version, versions
from toolkit.errors import ToolkitError
from toolkit.files import (
    atomic_folder,
    atomic_write_json,
    cache_folder,
    canonical_json,
    one_at_a_time,
    read_json,
    sha256_file,
)
from toolkit.processes import end_with_parent
from toolkit.search.header import COMMAND, HEADER, c_header

SOURCES = Path(__file__).resolve().parents[1] / "libaom"
CMAKE_FLAGS = (
    *(f"-DENABLE_{part}=0" for part in ("DOCS", "TESTS", "EXAMPLES", "TOOLS")),
    "-DCONFIG_PIC=1",
    "-DCONFIG_INSPECTION=1",
    "-DBUILD_SHARED_LIBS=0",
    "-DCMAKE_BUILD_TYPE=Release",
)
SANITIZERS = "address,undefined"
# The last three are libaom's own flags: they decide the layout of its structs.
C_FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"),
    "-ffp-contract=off",  # no fused multiply-add: a pruner's sums are the same bits on every machine
    *("-DNDEBUG", "-D_FILE_OFFSET_BITS=64", "-D_LARGEFILE_SOURCE"),
)
SHARED = ("encoder", "frames", "nodes", "status")
PRUNING = (
    *("decide", "features", "file", "instances", "motion", "node_features", "overrides", "pruner", "pruner_file"),
    *("record", "references", "speed", "squares"),
)
MASKING = ("masker", "masks", "onnx", "pipeline", "pipeline_file", "policy")
UNITS = {
    "libav1part_hook.so": (*SHARED, *PRUNING, *MASKING, "hook", "labels", "inspect"),
    "libav1part_stock.so": (*SHARED, "stock"),
    "libaom.so.3": (*PRUNING, *MASKING, "given", "nodes", "runtime", "status", "told"),
}
WRAPPED = {
    "libav1part_hook.so": ("search", "labels"),
    "libav1part_stock.so": (),
    "libaom.so.3": ("search", "end"),
}
"""Which calls inside libaom each library sends to our C code, as the table of versions groups them."""
EXPORTS = "exports.map"
"""Version script beside a static library: libaom's public symbols, those that its own shared library has."""
TOOLS = {"cc": "gcc", "c++": "g++", "cmake": "cmake", "ninja": "ninja-build", "perl": "perl"}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Libraries:
    """Shared libraries of a build, or of the installed wheel.

    `name` says what they are made of: equal names, equal libraries. `hook` has masks, pruners and labels, `stock` the
    same interface to untouched libaom; `aom` is libaom's own library, libaom.so.3, with pruners and masks inside, for
    hosts that know nothing of us.
    """

    name: str
    hook: Path
    stock: Path
    aom: Path
    info: dict[str, Any]

    @property
    def version(self) -> str:
        """Version of libaom, such as 3.14.1."""
        return str(self.info["version"])

    @property
    def origin(self) -> str:
        """Where they come from: a build in the cache, or the wheel by its version."""
        return f"wheel {libaom_wheel.WHEEL} {self.info['wheel']}" if "wheel" in self.info else "av1part encoder build"

    @property
    def exports(self) -> Path:
        """Version script of libaom's public symbols, in a build; a wheel has none."""
        return self.hook.parent.parent / str(self.info["libaom"]) / EXPORTS

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags for a C compiler to build a program against av1part_hook.h and this library."""
        folder = self.hook.parent
        return (f"-I{SOURCES}", f"-L{folder}", f"-l:{self.hook.name}", f"-Wl,-rpath,{folder}")


def missing_tools(wanted: Version | None = None) -> dict[str, str]:
    """Missing build tools, mapped to their Debian packages; `wanted`: with those for its patches."""
    tools = dict(TOOLS)
    if platform.machine() in ("x86_64", "AMD64"):
        tools["nasm"] = "nasm"
    if wanted and wanted.patches:
        tools["patch"] = "patch"
    return {tool: package for tool, package in tools.items() if shutil.which(tool) is None}


def _check_tools(wanted: Version) -> None:
    if missing := missing_tools(wanted):
        packages = " ".join(sorted(set(missing.values())))
        raise ToolkitError(
            f"libaom cannot be built: {', '.join(sorted(missing))} not found. "
            f"Mend it with `apt-get install {packages}`, then `{_command(wanted)}`. {_offer(wanted)}"
        )


def _offer(wanted: Version) -> str:
    """Sentence on the wheel, which holds the default version alone."""
    if wanted is next(iter(versions().values())):
        return libaom_wheel.advice()
    return f"No wheel has libaom {wanted.name}."


def _command(wanted: Version, sanitize: bool = False) -> str:
    """Command that builds a version."""
    option = "" if wanted is next(iter(versions().values())) else f" --libaom {wanted.name}"
    return f"av1part encoder build{option}{' --sanitize' if sanitize else ''}"


def build(
    source: Path | None = None, *, libaom: str | None = None, sanitize: bool = False, progress: Progress | None = None
) -> Libraries:
    """Build libaom and the hook unless both are cached; `progress(done, total)` counts compiled files.

    `libaom` is the version, None the one in use. `source` is its pinned archive, or a folder with libaom's source that
    is taken as it is in place of that version; None fetches the archive through apt. Raises a ToolkitError that names
    what is missing and how to get it.
    """
    wanted = version(libaom)
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    made_of = {
        "source_sha256": libaom_source.identify(wanted, source) if source else wanted.archive.sha256,
        "patches": list(wanted.patches.files) if wanted.patches and not (source and source.is_dir()) else [],
        "cmake_flags": [*CMAKE_FLAGS, *([f"-DSANITIZE={SANITIZERS}"] if sanitize else [])],
        "machine": platform.machine(),
    }
    name = f"libaom-{_key(made_of)}"
    if not _is_built(cache / name):
        with one_at_a_time(cache / f"{name}.lock", None):
            if not _is_built(cache / name):
                _check_tools(wanted)
                _compile_libaom(wanted, source, cache, name, made_of, progress)
    current = current_file(cache, wanted, sanitize)
    if not current.is_file() or read_json(current) != {"libaom": name}:
        atomic_write_json(current, {"libaom": name})
    return _link(cache, name, wanted, sanitize)


def libraries(*, libaom: str | None = None, sanitize: bool | None = None) -> Libraries:
    """Libraries of the last `build` of a version, linked again if our C sources have changed since; else the wheel's.

    `libaom` None is the version in use, `sanitize` None asks the environment (AV1PART_SANITIZE). Raises a ToolkitError
    that says what to do where that libaom was not built, or cannot be, and where the wheel has other C sources than
    this package.
    """
    wanted = version(libaom)
    sanitize = bool(os.environ.get("AV1PART_SANITIZE")) if sanitize is None else sanitize
    cache = cache_folder()
    if name := _built(cache, wanted, sanitize):
        return _link(cache, name, wanted, sanitize)
    if not sanitize and (folder := libaom_wheel.installed(wanted.name)):
        return _of_wheel(folder, wanted)
    _check_tools(wanted)
    raise ToolkitError(
        f"libaom {wanted.name} is not built in {cache}. Run `{_command(wanted, sanitize)}` (3 to 4 minutes, once). "
        f"{_offer(wanted)}"
    )


def _of_wheel(folder: Path, wanted: Version) -> Libraries:
    """Libraries of an installed wheel; ToolkitError where it was made of other C sources than these."""
    info = read_json(folder / "build.json")
    made_of = _made_of(info["libaom"], wanted, sanitize=False)
    libaom_wheel.check_sources(info, made_of, _command(wanted))
    return _libraries(_hook_name(made_of), folder, info)


def _libraries(name: str, folder: Path, info: dict[str, Any]) -> Libraries:
    hook, stock, aom = (folder / library for library in UNITS)
    return Libraries(name, hook, stock, aom, info)


def built(*, sanitize: bool = False) -> tuple[str, ...]:
    """Versions of libaom that are built in the cache."""
    return tuple(name for name, row in versions().items() if _built(cache_folder(), row, sanitize))


def _built(cache: Path, wanted: Version, sanitize: bool) -> str | None:
    """Name of the last build of a version, None where it is not there."""
    current = current_file(cache, wanted, sanitize)
    name = str(read_json(current)["libaom"]) if current.is_file() else None
    return name if name and _is_built(cache / name) else None


def current_file(cache: Path, wanted: Version, sanitize: bool) -> Path:
    """File that names the last build of a version."""
    return cache / f"current-{wanted.name}{'-sanitize' if sanitize else ''}.json"


def _is_built(folder: Path) -> bool:
    """Whether the build is there. It appears whole, so that it needs no lock: a shared cache may be read-only."""
    return (folder / "build.json").is_file()


def _key(parts: Any) -> str:
    return hashlib.sha256(canonical_json(parts)).hexdigest()[:16]


def _run(command: list[str], log: Path, progress: Progress | None = None) -> None:
    """Run a build command and append its output to `log`; ToolkitError with the last lines where it fails."""
    with (
        log.open("a") as out,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=partial(end_with_parent, os.getpid(), signal.SIGTERM),  # Ninja then ends its compilers
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            out.write(line)
            count, _, _ = line.removeprefix("[").partition("]")
            done, slash, total = count.partition("/")
            if progress and slash and done.isdigit() and total.isdigit():
                progress(int(done), int(total))
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ToolkitError(f"`{command[0]}` failed while building libaom with the hook:\n{tail}")


def _compile_libaom(
    wanted: Version, source: Path | None, cache: Path, name: str, made_of: dict[str, Any], progress: Progress | None
) -> None:
    with atomic_folder(cache / name, overwrite=True) as folder:
        work = folder / "work"
        if source is None or source.is_file():
            tree = libaom_source.unpack(wanted, source, cache / "archives", work / "source")
        else:
            tree = source.resolve()
        log = work / "build.log"
        work.mkdir(exist_ok=True)
        _run(["cmake", "-S", str(tree), "-B", str(work / "build"), "-G", "Ninja", *made_of["cmake_flags"]], log)
        _run(["cmake", "--build", str(work / "build"), "--target", "aom"], log, progress)
        shutil.copy2(work / "build" / "libaom.a", folder)
        for header in tree.rglob("*.h"):
            target = folder / "include" / header.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(header, target)
        shutil.copytree(work / "build" / "config", folder / "include" / "config", dirs_exist_ok=True)
        (folder / EXPORTS).write_text(_exports(tree))
        shutil.rmtree(work)
        compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False).stdout
        facts = {"version": _version_of(folder / "include"), "compiler": compiler.partition("\n")[0]}
        atomic_write_json(folder / "build.json", facts | made_of)


def _exports(tree: Path) -> str:
    """Version script of the symbols that libaom's own shared library exports, as its source lists them."""
    lists = [tree / part / f"exports_{role}" for part in ("aom", "av1") for role in ("com", "dec", "enc")]
    symbols = sorted({line.split()[-1] for file in lists for line in file.read_text().splitlines() if line.strip()})
    return "\n".join(["{", "global:", *(f"  {symbol};" for symbol in symbols), "local:", "  *;", "};", ""])


def _version_of(include: Path) -> str:
    """Version that libaom's own header states."""
    text = (include / "config" / "aom_version.h").read_text()
    return ".".join(re.findall(r"#define VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))


def _made_of(libaom: str, wanted: Version, sanitize: bool) -> dict[str, Any]:
    """What the shared libraries are made of: that libaom, our C sources as they are now, flags and wrapped calls."""
    flags = [*C_FLAGS, *([f"-fsanitize={SANITIZERS}", "-g", "-fno-omit-frame-pointer"] if sanitize else [])]
    return {
        "libaom": libaom,
        "hook_sources": {p.name: sha256_file(p) for p in sorted(SOURCES.iterdir()) if p.suffix in (".c", ".h")},
        "hook_flags": flags,
        "wrapped": {name: [call for use in uses for call in wanted.wrapped[use]] for name, uses in WRAPPED.items()},
        "units": {name: list(units) for name, units in UNITS.items()},
    }


def _hook_name(made_of: dict[str, Any]) -> str:
    return f"hook-{_key(made_of)}"


def _link(cache: Path, libaom: str, wanted: Version, sanitize: bool) -> Libraries:
    """Link that libaom with our C sources as they are now, unless that was done before."""
    made_of = _made_of(libaom, wanted, sanitize)
    name = _hook_name(made_of)
    folder = cache / name
    if not _is_built(folder):
        with one_at_a_time(cache / f"{name}.lock", None):
            if not _is_built(folder):
                _check_tools(wanted)
                with atomic_folder(folder, overwrite=True) as temporary:
                    _compile_hook(cache / libaom, temporary, made_of, sanitize)
                    info = json.loads((cache / libaom / "build.json").read_text())
                    atomic_write_json(temporary / "build.json", info | made_of)
    return _libraries(name, folder, read_json(folder / "build.json"))


def _check_headers() -> None:
    """Raise ToolkitError where a header that is made from a list is not that list's."""
    made = (
        (SOURCES / HEADER.name, c_header(), "toolkit/search/table.toml", COMMAND),
        (overrides.HEADER, overrides.c_header(), "overrides.toml", overrides.COMMAND),
    )
    for header, text, origin, command in made:
        if header.read_text() != text:
            raise ToolkitError(f"{header}: not the list of {origin}. Make it again with `{command}`.")


def _compile_hook(libaom: Path, folder: Path, made_of: dict[str, Any], sanitize: bool) -> None:
    _check_headers()
    log = folder / "link.log"
    for unit in sorted(set().union(*UNITS.values())):
        # Included as system headers, so that warnings are about our code alone.
        command = ["cc", *made_of["hook_flags"], "-isystem", str(libaom / "include"), "-c", str(SOURCES / f"{unit}.c")]
        _run([*command, "-o", str(folder / f"{unit}.o")], log)
    link = ["-lm", "-lpthread", "-ldl", *([f"-fsanitize={SANITIZERS}"] if sanitize else ["-Wl,-z,defs"])]
    archive = str(libaom / "libaom.a")
    for name, units in UNITS.items():
        objects = [str(folder / f"{unit}.o") for unit in units]
        wraps = [f"-Wl,--wrap={symbol}" for symbol in made_of["wrapped"][name]]
        parts = [archive, "-Wl,--exclude-libs,ALL"]
        if name == "libaom.so.3":
            parts = ["-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"]
            parts += [f"-Wl,-soname,{name}", f"-Wl,--version-script={libaom / EXPORTS}"]
        _run(["cc", "-shared", "-o", str(folder / name), *objects, *parts, *wraps, *link], log)
    for object_file in folder.glob("*.o"):
        object_file.unlink()
