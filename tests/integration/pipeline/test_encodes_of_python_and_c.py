"""One pipeline, three ways into libaom's search, one stream: NumPy's rules, `encode`, the C interface."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from support.libaom import IN_USE
from support.masks import numpy_masks
from support.pictures import frame
from support.pipelines import load_in_c, random_pipeline
from support.pruners import toy_folder, toy_pruner

from integration.codec.config import EncoderConfig, EncoderSettings
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries
from integration.codec.masker import onnx_runtime
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import encode_file
from integration.media.planes import Planes
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import PipelineSet
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import use_pruner

CQ, CPU_USED, QINDEX = 28, 1, 120
FRAMES = 3  # the mask of the third is made ahead: the qindex of the second is known by then


class Case(NamedTuple):
    """One encode of the matrix; `nodes`: sizes of nodes that have a pipeline, `prunes`: a pruner decides as well."""

    width: int
    height: int
    bit_depth: int
    usage: str
    nodes: tuple[int, ...]
    prunes: bool
    threads: int


# Each pair of two settings' values is there.
MATRIX = [
    Case(96, 64, 8, "good", (16,), False, 1),
    Case(90, 70, 8, "good", (16, 32), True, 2),
    Case(128, 96, 8, "allintra", (16, 32), False, 1),
    Case(90, 70, 8, "allintra", (16,), True, 1),
    Case(96, 64, 8, "allintra", (), True, 2),
    Case(90, 70, 10, "good", (16,), False, 2),
    Case(96, 64, 10, "good", (16, 32), True, 1),
    Case(128, 96, 10, "allintra", (16,), True, 2),
    Case(90, 70, 10, "allintra", (16, 32), False, 1),
    Case(128, 96, 10, "good", (), True, 1),
]


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AV1PART_ONNXRUNTIME", str(onnx_runtime()))


@pytest.fixture(scope="module")
def pipelines(
    exported: Path,
    blockset_8: Path,
    blockset_10: Path,
    make_blockset: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Case], list[Path]]:
    """Function from a case to the folders of its pipelines; Stages 1 and 2 at 16x16, Stage 2 at 32x32."""
    root, made, data = tmp_path_factory.mktemp("pipelines"), dict[tuple[object, ...], Path](), {}
    data[8, 16], data[10, 16] = blockset_8, blockset_10

    def of(case: Case) -> list[Path]:
        for node in case.nodes:
            key, own = (case.bit_depth, node, case.usage), (case.bit_depth, node)
            if own not in data:
                data[own] = make_blockset(root / f"set{len(data)}", case.bit_depth, node=node, size=(128, 160))
            if key not in made:
                stages = {"1": 0, "2": 0} if node == 16 else {"2": 8}
                luma, encoder = (
                    frame(200, 136, case.bit_depth)[0],
                    EncoderSettings(CPU_USED, case.usage).recorded(IN_USE),
                )
                made[key] = random_pipeline(
                    root / f"pipe{len(made)}", exported / "checkpoint.pt", data[own], luma, stages,
                    qindex=QINDEX, encoder=encoder,
                )  # fmt: skip
        return [made[case.bit_depth, node, case.usage] for node in case.nodes]

    return of


@pytest.fixture(scope="module")
def pruners(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pruner for each usage that searches nothing after NONE in 8x8 and no SPLIT of 32x32."""
    keys, root = [(8, "stop"), (32, "no_split")], tmp_path_factory.mktemp("pruners")
    return {
        usage: toy_folder(root / usage, libaom, toy_pruner(keys, -9, 9), usage=usage, cpu_used=CPU_USED)
        for usage in ("good", "allintra")
    }


def film(case: Case) -> list[Planes]:
    """Frames that differ a little."""
    return [frame(case.width, case.height, case.bit_depth, left=100 + 20 * i) for i in range(FRAMES)]


def y4m(path: Path, case: Case, frames: Sequence[Planes]) -> Path:
    colour = "420jpeg" if case.bit_depth == 8 else "420p10 XYSCSS=420P10"
    coded = [b"FRAME\n" + b"".join(plane.tobytes() for plane in planes) for planes in frames]
    path.write_bytes(f"YUV4MPEG2 W{case.width} H{case.height} F30:1 Ip A1:1 C{colour}\n".encode() + b"".join(coded))
    return path


def packets(ivf: Path) -> list[bytes]:
    data, found = ivf.read_bytes()[32:], []
    while data:
        size = int.from_bytes(data[:4], "little")
        found.append(data[12 : 12 + size])
        data = data[12 + size :]
    return found


@pytest.mark.parametrize("case", MATRIX, ids=lambda c: "-".join(map(str, c)).replace(" ", ""))
def test_every_way_gives_the_same_stream(
    libaom: Libraries,
    pipelines: Callable[[Case], list[Path]],
    pruners: dict[str, Path],
    tmp_path: Path,
    case: Case,
) -> None:
    folders, frames = pipelines(case), film(case)
    pruner = PrunerBundle.load(pruners[case.usage]) if case.prunes else None
    config = EncoderConfig(case.width, case.height, case.bit_depth, CQ, CPU_USED, case.usage, case.threads)
    loaded = [Pipeline.load(folder, threads=1) for folder in folders]

    with Encoder(config, numpy_masks(loaded) if loaded else None) as encoder:
        if pruner:
            use_pruner(encoder, pruner)
        by_numpy = [encoder.encode(planes) for planes in frames]
    with Encoder(config) as encoder:
        for folder in folders:
            load_in_c(encoder, folder)
        if pruner:
            load_in_c(encoder, pruner.path)
        by_c = [encoder.encode(planes) for planes in frames]
    with Encoder(config) as encoder:
        plain = [encoder.encode(planes).data for planes in frames]

    source = y4m(tmp_path / "clip.y4m", case, frames)
    for ahead in (0, 2):
        settings = EncodeConfig(CQ, CPU_USED, case.usage, case.threads, ahead=ahead)
        masks = PipelineSet(loaded) if loaded else None
        report = encode_file(source, tmp_path / f"{ahead}.ivf", settings, masks, pruner=pruner)
        assert report.masked_nodes == sum(coded.masked_nodes for coded in by_numpy)
        assert packets(tmp_path / f"{ahead}.ivf") == [coded.data for coded in by_numpy]
    assert [coded.data for coded in by_c] == [coded.data for coded in by_numpy] != plain
    assert bool(sum(coded.masked_nodes for coded in by_c)) == bool(folders)
