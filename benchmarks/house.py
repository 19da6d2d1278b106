"""Print the size and the shape of the code, at one commit or at two beside each other.

python benchmarks/house.py                    # the working tree
python benchmarks/house.py 96894c7 HEAD       # two commits
"""

import ast
import io
import re
import subprocess
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import click

PACKAGES = ("av1part", "toolkit", "export", "integration")
LAYERS = {"toolkit": 0, "export": 1, "integration": 2, "av1part": 3}
LONGEST = 55
"""Lines of a function that fits on a screen."""
RUN = 6
"""Equal lines that count as a repetition."""
DEFINITION = re.compile(r"^(?!static|typedef|extern|#)\w[\w *]*?\b(av1part_\w+)\([^;{]*\)\s*\{", re.MULTILINE)
"""Name of a function of C where it is defined for other units."""
Graph = dict[str, set[str]]


def measure(root: Path) -> dict[str, int]:
    """Counts that describe the tree at `root`, by their names."""
    python = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    native = [path for path in sorted((root / "integration").rglob("*.[ch]")) if "examples" not in path.parts]
    trees = {path: ast.parse(path.read_text()) for path in python}
    tests = [ast.parse(path.read_text()) for path in sorted((root / "tests").rglob("*.py"))]
    folders = Counter(path.parent for path in python)
    return {
        "lines of Python": _lines(python),
        "lines of C": _lines(native),
        "modules of Python": len(python),
        "units of C": len([path for path in native if path.suffix == ".c"]),
        "most modules in a folder": max(folders.values()),
        "imports upwards": sum(_climbs(path.relative_to(root), tree) for path, tree in trees.items()),
        "modules of Python in circles": _in_circles(_imports(root, trees)),
        "units of C in circles": _in_circles(_calls(native)),
        "dict[str, Any]": sum(path.read_text().count("dict[str, Any]") for path in python),
        f"functions over {LONGEST} lines": sum(_long_functions(tree) for tree in trees.values()),
        f"repeated runs of {RUN} lines": _repetitions([*python, *native]),
        "assertions in tests": sum(isinstance(node, ast.Assert) for tree in tests for node in ast.walk(tree)),
        "tests": sum(_is_test(node) for tree in tests for node in ast.walk(tree)),
    }


def _lines(paths: Iterable[Path]) -> int:
    return sum(len(path.read_text().splitlines()) for path in paths)


def _is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def _long_functions(tree: ast.Module) -> int:
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sum((f.end_lineno or f.lineno) - f.lineno + 1 > LONGEST for f in functions)


def _imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names that a module imports, wherever in it; `from a import b` gives a.b, since b may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _climbs(path: Path, tree: ast.Module) -> int:
    own = LAYERS[path.parts[0]]
    return sum(LAYERS.get(name.partition(".")[0], -1) > own for name in _imported(tree))


def _imports(root: Path, trees: dict[Path, ast.Module]) -> Graph:
    """Modules that each module imports. A package's __init__ counts where its own names are imported."""
    names = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in trees}
    graph: Graph = {}
    for name, path in names.items():
        found = {i if i in names else i.rpartition(".")[0] for i in _imported(trees[path])}
        graph[name] = (found & names.keys()) - {name}
    return graph


def _calls(paths: list[Path]) -> Graph:
    """Units of C whose functions and variables each unit names; read as text, a header counts to no unit."""
    units = [path for path in paths if path.suffix == ".c"]
    texts = {p.stem: re.sub(r"/\*.*?\*/|//[^\n]*", "", p.read_text(), flags=re.DOTALL) for p in units}
    owner = {}
    for unit, text in texts.items():
        owner |= dict.fromkeys(DEFINITION.findall(text), unit)
    return {
        unit: {owner[word] for word in re.findall(r"\bav1part_\w+", text) if word in owner} - {unit}
        for unit, text in texts.items()
    }


def _in_circles(graph: Graph) -> int:
    """Number of members of a graph from which a way leads back to themselves."""
    reached: Graph = defaultdict(set)
    for start in graph:
        waiting = list(graph[start])
        while waiting:
            if (place := waiting.pop()) not in reached[start]:
                reached[start].add(place)
                waiting += graph.get(place, ())
    return sum(start in reached[start] for start in graph)


def _repetitions(paths: list[Path]) -> int:
    """Number of runs of RUN equal lines that stand in more than one place, blank and import lines left aside."""
    places: dict[tuple[str, ...], set[tuple[Path, int]]] = defaultdict(set)
    for path in paths:
        stripped = [(n, line.strip()) for n, line in enumerate(path.read_text().splitlines())]
        kept = [(n, line) for n, line in stripped if len(line) > 3 and not line.startswith(("import ", "from ", "#"))]
        for i in range(len(kept) - RUN + 1):
            places[tuple(line for _, line in kept[i : i + RUN])].add((path, i))
    repeated = sorted({place for found in places.values() if len(found) > 1 for place in found})
    # Overlapping runs are one.
    return sum(a[0] != b[0] or b[1] - a[1] > 1 for a, b in pairwise([(Path(), 0), *repeated]))


def _at(revision: str) -> dict[str, int]:
    """Counts at a commit."""
    archive = subprocess.run(["git", "archive", revision], capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
        return measure(Path(folder))


@click.command()
@click.argument("revisions", nargs=-1)
def main(revisions: tuple[str, ...]) -> None:
    """Print the counts of the working tree, or of the commits named REVISIONS, a column each."""
    columns = [_at(revision) for revision in revisions] or [measure(Path(__file__).resolve().parents[1])]
    heads = revisions or ("now",)
    click.echo(f"{'':32}" + "".join(f"{head[:12]:>14}" for head in heads))
    for name in columns[0]:
        click.echo(f"{name:32}" + "".join(f"{column[name]:14,}" for column in columns))


if __name__ == "__main__":
    main()
