"""Hostile bundles: mutated by seed, each refused with a ToolkitError, in bounded time and memory, without a crash.

AV1PART_FUZZ sets a larger number of mutated bundles (1,000 without it), the first 200 of which are no long test.
"""

import contextlib
import json
import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.random import Generator
from support.sealed import NUMBERS, TEXTS, places, reseal, write_json

from export.bundle.bundle import BESIDE, SIZE_LIMITS, Bundle
from export.bundle.replay import REPLAY
from export.bundle.signing import sign, verify_signature
from export.compare.budget import reference_logits, set_budget
from export.compare.verdict import compare
from export.graph.check import check_onnx
from export.proof.config import ParityConfig
from export.proof.prove import prove
from export.proof.replay import replay
from toolkit.errors import ToolkitError
from toolkit.files import seal

CASES = int(os.environ.get("AV1PART_FUZZ", "1000"))
SEEDS = [range(200), pytest.param(range(200, CASES), marks=pytest.mark.long)]
"""The first seeds have every kind of mutation; the others take minutes."""
SECONDS, MEGABYTES = 10.0, 600
"""What one case may take, and what all of them may add to the process's peak memory."""
FILES = ("manifest.json", *SIZE_LIMITS, *BESIDE)

Mutation = Callable[[Path, Generator], str]


@pytest.fixture(scope="module")
def original(exported: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A proven and signed bundle, and beside it public.pem."""
    root = tmp_path_factory.mktemp("fuzz")
    bundle = Path(shutil.copytree(exported, root / "bundle"))
    assert prove(bundle, blockset_8, ParityConfig(limit=30, providers=("cpu",)))["passed"]
    assert replay(bundle, ParityConfig())["passed"]
    key, encoding = ed25519.Ed25519PrivateKey.generate(), serialization.Encoding.PEM
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (root / "private.pem").write_bytes(key.private_bytes(encoding, pkcs8, plain))
    public = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    (root / "public.pem").write_bytes(public)
    sign(Bundle.load(bundle), root / "private.pem")
    accept(bundle, root / "public.pem")
    # What is refused below is refused for its mutation: sealed again without one, a bundle is sound.
    reseal(Path(shutil.copytree(bundle, root / "resealed")))
    accept(root / "resealed", None)
    return bundle


def accept(bundle: Path, public_key: Path | None) -> Bundle:
    """What `av1part bundle verify` does."""
    opened = Bundle.load(bundle)
    if public_key:
        verify_signature(opened, public_key)
    check_onnx(opened.model_bytes(), opened.contract)
    opened.session(threads=1)
    opened.checkpoint()
    return opened


# -- by a hand that cannot sign


def flip(bundle: Path, rng: Generator) -> str:
    name = str(rng.choice(FILES))
    data = bytearray((bundle / name).read_bytes())
    for _ in range(int(rng.integers(1, 5))):
        data[int(rng.integers(len(data)))] ^= int(rng.integers(1, 256))
    (bundle / name).write_bytes(data)
    return f"bytes of {name} flipped"


def cut(bundle: Path, rng: Generator) -> str:
    name = str(rng.choice(FILES))
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[: int(rng.integers(len(data)))])
    return f"{name} truncated"


def grow(bundle: Path, rng: Generator) -> str:
    name = str(rng.choice(FILES))
    with (bundle / name).open("ab") as file:
        file.write(rng.bytes(int(rng.integers(1, 5000))))
        if rng.random() < 0.3:
            file.truncate(int(rng.choice([1 << 31, 1 << 40])))  # sparse: takes no disk
    return f"{name} grown"


def swap(bundle: Path, rng: Generator) -> str:
    one, two = (str(n) for n in rng.choice(FILES, 2, replace=False))
    (bundle / one).rename(bundle / "x")
    (bundle / two).rename(bundle / one)
    (bundle / "x").rename(bundle / two)
    return f"{one} and {two} swapped"


def remove(bundle: Path, rng: Generator) -> str:
    name = str(rng.choice([name for name in FILES if name != REPLAY]))  # a repeat may be thrown away
    (bundle / name).unlink()
    return f"{name} removed"


def link(bundle: Path, rng: Generator) -> str:
    name = str(rng.choice(FILES))
    target = str(rng.choice(["/etc/passwd", "/dev/zero", "nowhere", name]))
    (bundle / name).unlink()
    (bundle / name).symlink_to(target)
    return f"{name} linked to {target}"


def replace_by_another_kind(bundle: Path, rng: Generator) -> str:
    name = str(rng.choice(FILES))
    (bundle / name).unlink()
    if rng.random() < 0.5:
        (bundle / name).mkdir()
    else:
        os.mkfifo(bundle / name)
    return f"{name} is a folder or pipe"


def add(bundle: Path, rng: Generator) -> str:
    name = str(
        rng.choice(["model.onnx.data", "weights.bin", ".hidden", "a\nb", "Manifest.json", "parity.json~", "ü" * 60])
    )
    (bundle / name).write_bytes(b"0")
    return f"{name!r:.20} added"


def edit_json(bundle: Path, rng: Generator) -> str:
    """One entry of a JSON file replaced, removed or added; half of the manifests sealed again."""
    name = str(rng.choice(["manifest.json", "parity.json"]))
    document = json.loads((bundle / name).read_text())
    found = list(places(document))
    parent, key = found[int(rng.integers(len(found)))]
    old = parent[key]
    choices = [v for v in (*NUMBERS, *TEXTS) if json.dumps(v) != json.dumps(old)]
    kind = int(rng.integers(4))
    if kind == 0 and isinstance(parent, dict):
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[f"{key}/../x"] = old
    else:
        parent[key] = choices[int(rng.integers(len(choices)))]
    # A report sealed again is another report: no signature covers those, and the pipeline asks only what they say.
    if name == "manifest.json" and rng.random() < 0.5:
        with contextlib.suppress(ValueError):  # a lone surrogate: no seal of ours can hold it
            document = seal(document)
    write_json(bundle / name, document)
    return f"{name}: {key!r:.40} edited"


def junk_json(bundle: Path, rng: Generator) -> str:
    name = str(rng.choice(["manifest.json", "parity.json"]))
    deep = int(rng.integers(1000, 200_000))
    text = (bundle / name).read_text()
    junk = [
        "[" * deep,
        '{"a":' * deep,
        "[" * deep + "]" * deep,
        "NaN",
        "1" * deep,
        '"' + "x" * deep,
        "\0" * deep,
        text * 2,
    ]
    junk += [
        text.replace(":", ":-", 1),
        text.replace("1", "1e999"),
        text.replace('"kind"', '"kind": 1, "kind"', 1)[:-3],
    ]
    (bundle / name).write_text(junk[int(rng.integers(len(junk)))])
    return f"{name} is junk"


BLIND: tuple[Mutation, ...] = (
    flip, flip, flip, cut, grow, swap, remove, link, replace_by_another_kind, add,
    edit_json, edit_json, edit_json, junk_json,
)  # fmt: skip


# -- by a hand that can make every hash right again


def edit_graph(bundle: Path, rng: Generator) -> str:
    """A trick of ONNX's: files outside, nested graphs, other names, absurd shapes."""
    proto = onnx.load(bundle / "model.onnx")
    graph, chosen = proto.graph, int(rng.integers(len(TRICKS)))
    weights = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 1]
    TRICKS[chosen](proto, weights[int(rng.integers(len(weights)))], rng)
    (bundle / "model.onnx").write_bytes(proto.SerializeToString())
    reseal(bundle)
    return f"graph: {TRICKS[chosen].__name__}"


def external_data(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    found = [
        "/etc/passwd",
        "../../../../etc/passwd",
        "checkpoint.pt",
        "model.onnx",
        "/dev/zero",
        "",
        "file:///etc/passwd",
    ]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", rng.choice(found)), ("offset", "-1"), ("length", str(1 << 60))):
        weight.external_data.add(key=key, value=str(value))


def external_beside_raw(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    weight.external_data.add(key="location", value="checkpoint.pt")


def huge_dims(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    weight.dims[0] = int(rng.choice([1 << 40, (1 << 63) - 1, -1, -(1 << 62)]))


def fewer_bytes(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    weight.raw_data = weight.raw_data[: int(rng.integers(len(weight.raw_data)))]


def other_opset(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    proto.opset_import[0].version = int(rng.choice([0, 7, 19, 21, 1 << 40]))


def unknown_operator(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    proto.graph.node[int(rng.integers(len(proto.graph.node)))].op_type = str(rng.choice(["PyOp", "Loop", "", "Evil"]))


def cycle(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    proto.graph.node[0].input[0] = "logits"


def nested_graph(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    node = proto.graph.node[int(rng.integers(len(proto.graph.node)))]
    node.attribute.append(onnx.helper.make_attribute("body", proto.graph))


def other_input(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    shape = proto.graph.input[0].type.tensor_type.shape
    shape.dim[int(rng.integers(4))].dim_value = int(rng.choice([0, -1, 32, 1 << 40]))


def other_metadata(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    entry = proto.metadata_props[int(rng.integers(len(proto.metadata_props)))]
    entry.value = str(rng.choice(["", "{}", entry.value + " ", "x" * 100_000]))


def local_function(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    proto.functions.add(name="Relu", domain="")


def doubled_output(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    proto.graph.output.append(proto.graph.output[0])


def no_nodes(proto: onnx.ModelProto, weight: onnx.TensorProto, rng: Generator) -> None:
    del proto.graph.node[:]


TRICKS: tuple[Callable[[onnx.ModelProto, onnx.TensorProto, Generator], None], ...] = (
    external_data, external_data, external_beside_raw, huge_dims, fewer_bytes, other_opset, unknown_operator, cycle,
    nested_graph, other_input, other_metadata, local_function, doubled_output, no_nodes,
)  # fmt: skip


def cut_and_sealed(bundle: Path, rng: Generator) -> str:
    """Graph or checkpoint truncated, emptied or replaced by the other."""
    name, other = rng.permutation(["model.onnx", "checkpoint.pt"])
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(
        [data[: int(rng.integers(len(data)))], b"", (bundle / other).read_bytes()][rng.integers(3)]
    )
    reseal(bundle)
    return f"{name} cut and sealed again"


def contract_and_sealed(bundle: Path, rng: Generator) -> str:
    """The contract says something else; or the manifest lists paths and sizes that are none."""
    document = json.loads((bundle / "manifest.json").read_text())
    if rng.random() < 0.5:
        found = list(places(document["contract"]))
        parent, key = found[int(rng.integers(len(found)))]
        values = [v for v in (*NUMBERS, *TEXTS) if v != "\ud800" and json.dumps(v) != json.dumps(parent[key])]
        parent[key] = values[int(rng.integers(len(values)))]
    elif rng.random() < 0.5:
        key = ["../x", "/etc/passwd", "a/../../b", "", "\0", "model.onnx/"][rng.integers(6)]
        document["files"][key] = document["files"].pop("model.onnx")
    else:
        entry = document["files"][str(rng.choice(list(SIZE_LIMITS)))]
        entry["bytes" if rng.random() < 0.7 else "sha256"] = NUMBERS[int(rng.integers(len(NUMBERS)))]
    write_json(bundle / "manifest.json", seal(document))
    for name in BESIDE:
        (bundle / name).unlink(missing_ok=True)
    return "manifest edited and sealed again"


KNOWING: tuple[Mutation, ...] = (edit_graph, edit_graph, cut_and_sealed, contract_and_sealed, contract_and_sealed)


def refuse(original: Path, copy: Path, mutate: Mutation, seed: int, public_key: Path | None) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(original, copy)
    about = f"seed {seed}: {mutate(copy, np.random.default_rng(seed))}"
    start = time.perf_counter()
    message = None
    try:
        accept(copy, public_key)
    except ToolkitError as error:
        message = error.message
    assert message is not None, f"accepted, {about}"
    assert 0 < len(message) < 5000, about
    assert time.perf_counter() - start < SECONDS, about


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_no_mutated_bundle_is_accepted(original: Path, tmp_path: Path, seeds: range) -> None:
    """Three in four signed and changed by one who cannot sign; the others by one who makes every hash right again."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in seeds:
        blind = seed % 4 != 3
        kind = (BLIND if blind else KNOWING)[seed // 4 % len(BLIND if blind else KNOWING)]
        refuse(original, tmp_path / "copy", kind, seed, original.parent / "public.pem" if blind else None)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert grown < MEGABYTES, f"{grown} MiB more at the peak"


def flip_and_seal(bundle: Path, name: str, rng: Generator) -> None:
    data = bytearray((bundle / name).read_bytes())
    # Weights are most of a file: half of the flips go to its ends, where the structure is.
    end = len(data) if rng.random() < 0.5 else min(len(data), 2000)
    for _ in range(int(rng.integers(1, 9))):
        at = int(rng.integers(end))
        data[at if rng.random() < 0.5 else -1 - at] ^= int(rng.integers(1, 256))
    (bundle / name).write_bytes(data)
    reseal(bundle)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize("name", ["model.onnx", "checkpoint.pt"])
def test_flipped_bytes_under_good_hashes_are_refused_or_fail_the_proof_or_change_nothing(
    original: Path, tmp_path: Path, name: str, seeds: range
) -> None:
    verdicts = {"refused": 0, "failed": 0, "equal": 0}
    copy = tmp_path / "copy"
    honest = Bundle.load(original)
    calibration = honest.checkpoint().calibration[:40]
    budget, reference = set_budget(honest.checkpoint().model, calibration)
    session = honest.session(threads=1)
    for seed in seeds[::5]:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        flip_and_seal(copy, name, np.random.default_rng(seed))
        start = time.perf_counter()
        try:
            opened = accept(copy, None)
            if name == "model.onnx":
                session = opened.session(threads=1)
            else:
                with np.errstate(all="ignore"):
                    reference = reference_logits(opened.checkpoint().model, calibration)
            found = compare(session.logits(calibration.luma, calibration.qindex), reference, budget)
            verdicts["failed" if found["reasons"] else "equal"] += 1
        except ToolkitError:
            verdicts["refused"] += 1
        assert time.perf_counter() - start < SECONDS, f"seed {seed}"
    assert min(verdicts["refused"], verdicts["failed"]) > 0, verdicts
