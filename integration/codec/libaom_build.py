"""libaom with our hook: built once into a per-user cache, and linked again within a second when the hook changes.

The cache folder is `AV1PART_CACHE`, else the user's own. In it `libaom-<key>` is the static library with its headers,
keyed by source hash, flags and machine. `hook-<key>` holds the two shared libraries linked from it, keyed by our C
sources as well. `current*.json` names the libaom in use.
"""

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from integration.codec import libaom_source
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, atomic_write_json, canonical_json, read_json, sha256_file
from toolkit.processes import end_with_parent

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
PRUNING = ("costs", "decide", "features", "file", "node_features", "pruner", "pruner_file", "record", "squares")
MASKING = ("masks", "onnx", "pipeline", "pipeline_file", "policy")
UNITS = {
    "libav1part_hook.so": (*SHARED, *PRUNING, *MASKING, "hook", "labels", "inspect"),
    "libav1part_stock.so": (*SHARED, "stock"),
    "libaom.so.3": (*PRUNING, *MASKING, "nodes", "runtime", "status"),
}
SEARCH_CALLS = (
    *("av1_encode_frame", "av1_prune_ab_partitions", "av1_prune_partitions_before_search"),
    *("av1_rd_pick_intra_mode_sb", "av1_free_pc_tree_recursive"),
    *("av1_save_context", "av1_restore_context", "av1_ml_prune_4_partition"),
    *("av1_rd_pick_inter_mode", "av1_ml_early_term_after_split", "av1_ml_prune_rect_partition"),
)
WRAPPED: dict[str, tuple[str, ...]] = {
    "libav1part_hook.so": (*SEARCH_CALLS, "av1_pack_bitstream"),
    "libav1part_stock.so": (),
    "libaom.so.3": (*SEARCH_CALLS, "av1_remove_compressor"),
}
"""Functions of libaom whose calls each library sends to our C code."""
EXPORTS = SOURCES / "libaom.map"
"""Version script of libaom.so.3: libaom's public symbols, those that its own shared library has."""
TOOLS = {"cc": "gcc", "c++": "g++", "cmake": "cmake", "ninja": "ninja-build", "perl": "perl"}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Libraries:
    """Shared libraries of a build.

    `hook` has masks, pruners and labels, `stock` the same interface to untouched libaom; `aom` is libaom's own library,
    libaom.so.3, with pruners and masks inside, for hosts that know nothing of us.
    """

    hook: Path
    stock: Path
    aom: Path
    info: dict[str, Any]

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags for a C compiler to build a program against av1part_hook.h and this library."""
        folder = self.hook.parent
        return (f"-I{SOURCES}", f"-L{folder}", f"-l:{self.hook.name}", f"-Wl,-rpath,{folder}")


def cache_folder() -> Path:
    """Folder in which builds are kept."""
    return Path(os.environ.get("AV1PART_CACHE") or user_cache_path("av1part"))


def missing_tools() -> dict[str, str]:
    """Missing build tools, mapped to their Debian packages."""
    tools = dict(TOOLS)
    if platform.machine() in ("x86_64", "AMD64"):
        tools["nasm"] = "nasm"
    return {tool: package for tool, package in tools.items() if shutil.which(tool) is None}


def _check_tools() -> None:
    if missing := missing_tools():
        packages = " ".join(sorted(set(missing.values())))
        raise ToolkitError(
            f"libaom cannot be built: {', '.join(sorted(missing))} not found. "
            f"Mend it with `apt-get install {packages}`, then `av1part encoder build`."
        )


def build(source: Path | None = None, *, sanitize: bool = False, progress: Progress | None = None) -> Libraries:
    """Build libaom and the hook unless both are cached; `progress(done, total)` counts compiled files.

    `source` is the pinned archive or a folder with libaom's source; None fetches the archive through apt. Raises a
    ToolkitError that names what is missing and how to get it.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    origin = libaom_source.identify(source) if source else libaom_source.ARCHIVE_SHA256
    flags = [*CMAKE_FLAGS, *([f"-DSANITIZE={SANITIZERS}"] if sanitize else [])]
    name = f"libaom-{_key([origin, flags, platform.machine()])}"
    if not _is_built(cache / name):
        with FileLock(cache / f"{name}.lock"):
            if not _is_built(cache / name):
                _check_tools()
                _compile_libaom(source, cache, name, flags, origin, progress)
    current = cache / _current(sanitize)
    if not current.is_file() or read_json(current) != {"libaom": name}:
        atomic_write_json(current, {"libaom": name})
    return _link(cache, name, sanitize)


def libraries(*, sanitize: bool | None = None) -> Libraries:
    """Libraries of the last `build`, linked again if our C sources have changed since.

    `sanitize` None asks the environment (AV1PART_SANITIZE). Raises a ToolkitError that says what to do where libaom was
    not built, or cannot be.
    """
    sanitize = bool(os.environ.get("AV1PART_SANITIZE")) if sanitize is None else sanitize
    cache = cache_folder()
    option = " --sanitize" if sanitize else ""
    if (cache / _current(sanitize)).is_file():
        name = str(read_json(cache / _current(sanitize))["libaom"])
        if _is_built(cache / name):
            return _link(cache, name, sanitize)
    _check_tools()
    raise ToolkitError(f"libaom is not built in {cache}. Run `av1part encoder build{option}` (3 to 4 minutes, once).")


def _current(sanitize: bool) -> str:
    return "current-sanitize.json" if sanitize else "current.json"


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
    source: Path | None, cache: Path, name: str, flags: list[str], origin: str, progress: Progress | None
) -> None:
    with atomic_folder(cache / name, overwrite=True) as folder:
        work = folder / "work"
        if source is None or source.is_file():
            archive = source or libaom_source.fetch_archive(cache / "archives")
            tree = libaom_source.unpack(archive, work / "source")
        else:
            tree = source.resolve()
        log = work / "build.log"
        work.mkdir(exist_ok=True)
        _run(["cmake", "-S", str(tree), "-B", str(work / "build"), "-G", "Ninja", *flags], log)
        _run(["cmake", "--build", str(work / "build"), "--target", "aom"], log, progress)
        shutil.copy2(work / "build" / "libaom.a", folder)
        for header in tree.rglob("*.h"):
            target = folder / "include" / header.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(header, target)
        shutil.copytree(work / "build" / "config", folder / "include" / "config", dirs_exist_ok=True)
        shutil.rmtree(work)
        info = {"source_sha256": origin, "cmake_flags": flags, "machine": platform.machine()}
        compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False).stdout
        atomic_write_json(folder / "build.json", info | {"compiler": compiler.partition("\n")[0]})


def _link(cache: Path, libaom: str, sanitize: bool) -> Libraries:
    """Link that libaom with our C sources as they are now, unless that was done before."""
    sources = {p.name: sha256_file(p) for p in sorted(SOURCES.iterdir()) if p.suffix in (".c", ".h", ".map")}
    flags = [*C_FLAGS, *([f"-fsanitize={SANITIZERS}", "-g", "-fno-omit-frame-pointer"] if sanitize else [])]
    name = f"hook-{_key([libaom, sources, flags, UNITS, WRAPPED])}"
    folder = cache / name
    if not _is_built(folder):
        with FileLock(cache / f"{name}.lock"):
            if not _is_built(folder):
                _check_tools()
                with atomic_folder(folder, overwrite=True) as temporary:
                    _compile_hook(cache / libaom, temporary, flags, sanitize)
                    info = json.loads((cache / libaom / "build.json").read_text())
                    info |= {"libaom": libaom, "hook_flags": flags, "hook_sources": sources, "wrapped": WRAPPED}
                    atomic_write_json(temporary / "build.json", info)
    hook, stock, aom = (folder / name for name in UNITS)
    return Libraries(hook, stock, aom, read_json(folder / "build.json"))


def _compile_hook(libaom: Path, folder: Path, flags: list[str], sanitize: bool) -> None:
    log = folder / "link.log"
    for unit in sorted(set().union(*UNITS.values())):
        # Included as system headers, so that warnings are about our code alone.
        command = ["cc", *flags, "-isystem", str(libaom / "include"), "-c", str(SOURCES / f"{unit}.c")]
        _run([*command, "-o", str(folder / f"{unit}.o")], log)
    link = ["-lm", "-lpthread", "-ldl", *([f"-fsanitize={SANITIZERS}"] if sanitize else ["-Wl,-z,defs"])]
    archive = str(libaom / "libaom.a")
    for name, units in UNITS.items():
        objects = [str(folder / f"{unit}.o") for unit in units]
        wraps = [f"-Wl,--wrap={symbol}" for symbol in WRAPPED[name]]
        parts = [archive, "-Wl,--exclude-libs,ALL"]
        if name == "libaom.so.3":
            parts = ["-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"]
            parts += [f"-Wl,-soname,{name}", f"-Wl,--version-script={EXPORTS}"]
        _run(["cc", "-shared", "-o", str(folder / name), *objects, *parts, *wraps, *link], log)
    for object_file in folder.glob("*.o"):
        object_file.unlink()
