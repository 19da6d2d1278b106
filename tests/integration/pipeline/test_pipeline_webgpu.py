"""A pipeline on WebGPU: built of what is proven there alone, and its masks and streams are those of the CPU."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.commands import cli, done, message
from support.pictures import frame
from support.pipelines import LIBAOM, random_pipeline
from support.webgpu import NO_DEVICE

from export.bundle.bundle import Bundle
from export.proof.config import ParityConfig
from export.proof.prove import prove
from integration.codec.libaom_build import Libraries
from integration.pipeline.build import build_pipeline
from integration.pipeline.config import BuildConfig
from integration.pipeline.pipeline import Pipeline
from toolkit.errors import ToolkitError

pytestmark = pytest.mark.usefixtures("webgpu_provider")
QINDEX = 120
LUMA = frame(64, 64)[0]


@pytest.fixture(scope="module")
def on_cpu(exported: Path, blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of one unproven stage for the CPU, whose thresholds lie where no rounding decides."""
    path = tmp_path_factory.mktemp("masks") / "pipe"
    return random_pipeline(
        path, exported / "checkpoint.pt", blockset_8, LUMA, {"2": 0}, qindex=QINDEX, encoder=LIBAOM | {"cpu_used": 2}
    )


def test_only_what_is_proven_on_it_is_taken(exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    few = {"limit": 9, "batches": (7,)}
    prove(bundle, blockset_8, ParityConfig(providers=("cpu",), **few))
    words = ("pipeline", "build", bundle, "--provider", "webgpu", "-o", tmp_path / "pipe")
    refused = cli(*words)
    assert refused.exit_code == 1
    assert "not proven on webgpu (" in message(refused)
    assert not (tmp_path / "pipe").exists()
    prove(bundle, blockset_8, ParityConfig(providers=("webgpu",), **few))
    done(*words)
    built = Pipeline.load(tmp_path / "pipe")
    assert (built.provider, built.manifest["provider"], built.manifest["unproven"]) == ("webgpu", "webgpu", [])
    assert Bundle.load(tmp_path / "pipe" / "bundles" / "2").proven("webgpu")
    assert not (tmp_path / "pipe" / "hook.txt").exists()  # C runs models on the CPU alone


@pytest.fixture(scope="module")
def on_webgpu(on_cpu: Path) -> Path:
    """The same pipeline for WebGPU."""
    path, config = on_cpu.with_name("on-webgpu"), BuildConfig("webgpu", allow_unproven=True)
    build_pipeline([on_cpu / "bundles" / "2"], path, Pipeline.load(on_cpu, threads=1).policy, config)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.yuv"
    path.write_bytes(b"".join(plane.tobytes() for plane in frame(64, 64)))
    return path


def test_its_masks_and_its_stream_are_those_of_the_cpu(
    libaom: Libraries, on_cpu: Path, on_webgpu: Path, picture: Path, tmp_path: Path
) -> None:
    pipelines = (Pipeline.load(on_cpu, threads=1), Pipeline.load(on_webgpu))
    masks = [np.asarray(pipeline.mask(LUMA, QINDEX)) for pipeline in pipelines]
    assert len(np.unique(masks[0])) > 1
    assert np.array_equal(*masks)
    settings = ("--raw", "64x64", "--cq", 30, "--cpu-used", 2, "--json")
    reports = []
    for name, pipeline in (("cpu", on_cpu), ("webgpu", on_webgpu)):
        run = done("encode", picture, *settings, "--pipeline", pipeline, "-o", tmp_path / f"{name}.ivf")
        reports.append(json.loads(run.stdout))
    assert (tmp_path / "cpu.ivf").read_bytes() == (tmp_path / "webgpu.ivf").read_bytes()
    assert [report["masked_frames"] for report in reports] == [1, 1]
    assert reports[1]["inference_seconds"] > 0.1, "the other process's CPU time is charged"


def test_a_benchmark_is_masked_by_it_as_by_the_cpu(
    libaom: Libraries, on_cpu: Path, on_webgpu: Path, picture: Path, tmp_path: Path
) -> None:
    arms = ("--raw", "64x64", "--presets", "1,2", "--masked", "2", "--repeats", "1", "--any-settings")
    coded = []
    for name, pipeline in (("cpu", on_cpu), ("webgpu", on_webgpu)):
        done("bench", "encoder", picture, *arms, "--pipeline", pipeline, "-o", tmp_path / name)
        kept = (tmp_path / name / "measurements.jsonl").read_text().splitlines()
        coded.append([json.loads(line) for line in kept])
    masked = [one for one in coded[1] if one["masked_nodes"]]
    assert masked
    assert all(one["inference_seconds"] > 0 for one in masked)
    same = ("cq", "kind", "cpu_used", "bytes", "masked_nodes")
    assert [[one[key] for key in same] for one in coded[0]] == [[one[key] for key in same] for one in coded[1]]


@pytest.mark.parametrize("command", [("encode",), ("bench", "encoder")])
def test_an_encode_and_a_benchmark_ask_for_the_proof_of_the_provider_that_they_are_given(
    on_cpu: Path, picture: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    words = (*command, picture, "--raw", "64x64", "--pipeline", on_cpu, "--provider", "webgpu")
    run = cli(*words, "-o", tmp_path / "out.ivf")
    assert run.exit_code == 1
    assert "not proven on webgpu (" in message(run)
    assert not (tmp_path / "out.ivf").exists()


def test_without_a_device_nothing_is_opened(on_cpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NO_DEVICE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ToolkitError, match="Failed to get a WebGPU adapter"):
        Pipeline.load(on_cpu, "webgpu", allow_unproven=True)
