"""Masks made in C: they are Python's, node by node, whatever the stages, contexts, bit depth and node sizes."""

import shutil
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.libaom import EARLIER, IN_USE
from support.masks import cut_nodes, frame_mask, masker_of_folders, numpy_masks
from support.pictures import frame
from support.pipelines import LIBAOM, load_in_c, random_pipeline

from integration.codec.config import NODE_SIZES, EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries
from integration.codec.masker import Masker, Network, onnx_runtime
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import PipelineSet
from integration.pipeline.policy import Policy, Thresholds, bits
from integration.pipeline.stages import Cascade
from toolkit.errors import ToolkitError
from toolkit.partition import NONE, SPLIT
from toolkit.windows import Window

QINDEX = 120
WIDTH, HEIGHT = 200, 136
MakePipeline = Callable[..., Path]


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    library = onnx_runtime()
    assert library is not None
    monkeypatch.setenv("AV1PART_ONNXRUNTIME", str(library))


@pytest.fixture(scope="module")
def make(
    exported: Path,
    blockset_8: Path,
    blockset_10: Path,
    make_blockset: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> MakePipeline:
    """Function that makes a pipeline of stages and contexts, once for each set of arguments."""
    root, made = tmp_path_factory.mktemp("native"), {}
    others = {
        node: make_blockset(root / str(node), node=node, size=size)
        for node, size in {8: (64, 72), 32: (128, 160), 64: (256, 320), 128: (512, 640)}.items()
    }

    def pipeline(bit_depth: int = 8, node: int = 16, **contexts: int) -> Path:
        key = (bit_depth, node, *contexts.items())
        if key not in made:
            data = others.get(node, blockset_8 if bit_depth == 8 else blockset_10)
            luma = np.tile(frame(WIDTH, HEIGHT, bit_depth)[0], (3, 3) if node > 32 else (1, 1))
            stages = {name.replace("s", "").replace("_", "-"): context for name, context in contexts.items()}
            made[key] = random_pipeline(
                root / f"pipe{len(made)}", exported / "checkpoint.pt", data, luma, stages, qindex=QINDEX
            )
        return made[key]

    return pipeline


def config(bit_depth: int = 8, **settings: int) -> EncoderConfig:
    return EncoderConfig(WIDTH, HEIGHT, bit_depth, **{"cq": 28, "cpu_used": 1} | settings)


@pytest.mark.parametrize(
    ("bit_depth", "node", "contexts"),
    [
        (8, 16, {"s2": 0}),
        (8, 16, {"s1": 0, "s2": 8, "s3_rect": 0, "s3_ab": 4}),
        (10, 16, {"s1": 0, "s2": 0}),
        (8, 32, {"s2": 16, "s3_rect": 0}),
        (8, 8, {"s1": 0, "s2": 4, "s3_rect": 0}),
        (8, 64, {"s1": 0, "s2": 0, "s3_rect": 0, "s3_ab": 8}),
        (8, 128, {"s1": 0, "s2": 0}),
    ],
    ids=["alone", "whole", "10bit", "32", "8", "64", "128"],
)
def test_c_and_python_decide_alike(
    libaom: Libraries, make: MakePipeline, bit_depth: int, node: int, contexts: dict[str, int]
) -> None:
    """At every node of a picture larger than a batch of the networks, and at the qindexes on both sides of a range's
    end. The policy's thresholds lie halfway between two answers, so that no rounding decides."""
    path = make(bit_depth, node, **contexts)
    loaded, large = Pipeline.load(path, threads=1), frame(451, 300, bit_depth, top=0, left=0)[0]
    larger = large if node == 8 else np.tile(large, (2, 2))
    noise = np.random.default_rng(0).integers(0, 1 << bit_depth, (70, 90)).astype(large.dtype)
    by_numpy, of_folder = numpy_masks([loaded]), masker_of_folders([path], bit_depth)
    for luma in (frame(WIDTH, HEIGHT, bit_depth)[0], larger, noise, noise[:10, :10]):
        for qindex in (QINDEX, QINDEX + 1, 255, 0):
            found, expected = of_folder.masks(luma, qindex), by_numpy(luma, qindex)[node]
            np.testing.assert_array_equal(found[node], expected)
            np.testing.assert_array_equal(loaded.mask(luma, qindex), expected)
            assert not any(found[size].any() for size in NODE_SIZES if size != node), "no pipeline for these"
    tiled = np.tile(frame(WIDTH, HEIGHT, bit_depth)[0], (3, 3))
    assert len(np.unique(loaded.mask(tiled, QINDEX))) > (3 if node < 128 else 2), "12 nodes are few"


def test_nodes_inside_a_larger_one_that_may_not_be_split_are_not_asked_about(
    libaom: Libraries, make: MakePipeline
) -> None:
    paths = [make(s1=0, s2=0), make(node=32, s2=0), make(node=64, s1=0, s2=0)]
    luma = np.tile(frame(WIDTH, HEIGHT)[0], (3, 3))
    loaded = [Pipeline.load(path, threads=1) for path in paths]
    expected, of_folders = numpy_masks(loaded)(luma, QINDEX), masker_of_folders(paths).masks(luma, QINDEX)
    found = PipelineSet(loaded).mask(luma, QINDEX)
    assert list(found) == list(expected) == [64, 32, 16]
    for size in expected:
        np.testing.assert_array_equal(found[size], expected[size])
        np.testing.assert_array_equal(of_folders[size], expected[size])
    alone = Pipeline.load(paths[0], threads=1).mask(luma, QINDEX)
    assert ((expected[16] == 0) & (alone != 0)).any()
    # A node two sizes below one that is not split is not asked about either, although the one between has no mask.
    barred = (expected[64] != 0) & (expected[64] & 1 << SPLIT == 0)
    assert barred.any()
    assert not expected[16][barred.repeat(4, 0).repeat(4, 1)[: expected[16].shape[0], : expected[16].shape[1]]].any()


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_a_loaded_pipeline_masks_as_a_mask_source_does(libaom: Libraries, make: MakePipeline, bit_depth: int) -> None:
    path, planes = make(bit_depth, s1=0, s2=0), frame(WIDTH, HEIGHT, bit_depth)
    with Encoder(config(bit_depth), numpy_masks([Pipeline.load(path, threads=1)])) as encoder:
        expected = encoder.encode(planes)
    with Encoder(config(bit_depth)) as encoder:
        plain = encoder.encode(planes)
        load_in_c(encoder, path)
        found = encoder.encode(planes)
        again = encoder.encode(planes)
    assert found.data == expected.data == again.data != plain.data
    assert found.masked_nodes == expected.masked_nodes > 0


def test_several_encoders_at_once(libaom: Libraries, make: MakePipeline) -> None:
    paths, planes = (make(s1=0, s2=0), make(s2=0)), frame(WIDTH, HEIGHT)
    with Encoder(config()) as first, Encoder(config()) as second:
        for encoder, path in zip((first, second), paths, strict=True):
            load_in_c(encoder, path)
        streams = [encoder.encode(planes).data for encoder in (first, second, first, second)]
        load_in_c(second, paths[0])
        assert second.encode(planes).data == streams[0], "the second of a node size replaces the first"
    assert streams[:2] == streams[2:]
    assert streams[0] != streams[1]


def test_what_it_was_not_made_for_is_refused(libaom: Libraries, make: MakePipeline) -> None:
    path = make(s2=0)
    cases = (
        config(10),
        config(cpu_used=2),
        EncoderConfig(WIDTH, HEIGHT, cpu_used=1, usage="allintra"),
        EncoderConfig(WIDTH, HEIGHT, cpu_used=1, four_way=False),
        EncoderConfig(WIDTH, HEIGHT, cpu_used=1, tune="iq"),
    )
    for settings in cases:
        with (
            Encoder(settings) as encoder,
            pytest.raises(ToolkitError, match="serves 4:2:0, tune psnr, bit_depth 8, all_intra 0, cpu_used 1"),
        ):
            load_in_c(encoder, path)


def test_damage_is_refused(libaom: Libraries, make: MakePipeline, tmp_path: Path) -> None:
    def damaged(name: str, file: str, old: bytes, new: bytes, *, sealed: bool = False) -> Path:
        shutil.copytree(make(s2=0), tmp_path / name)
        target = tmp_path / name / file
        data = target.read_bytes()
        assert old in data
        data = data.replace(old, new, 1)
        if sealed:  # as whoever edits it by hand would
            body = data[: data.rindex(b"check ")]
            data = body + b"check %08x\n" % zlib.crc32(body)
        target.write_bytes(data)
        return tmp_path / name

    model = (make(s2=0) / "bundles" / "2" / "model.onnx").read_bytes()
    middle = model[len(model) // 2 :][:8]
    text = (make(s2=0) / "hook.txt").read_text()
    threshold, size = text.split("to_qindex 120 ")[1][:16].encode(), b"size %d" % len(model)
    two = struct.pack(">d", 2.0).hex().encode()
    not_a_number = struct.pack(">d", float("nan")).hex().encode()
    folders = {
        tmp_path / "none": "none/hook.txt: No such file",
        damaged("a", "bundles/2/model.onnx", middle, middle[::-1]): "model.onnx: changed since it was made",
        damaged("b", "hook.txt", b"cpu_used 1", b"cpu_used 2"): "hook.txt: not as it was written",
        damaged("c", "hook.txt", b"check", b"chick"): "hook.txt: not as it was written",
        damaged(
            "d", "hook.txt", IN_USE.encode(), EARLIER.encode(), sealed=True
        ): f"for libaom {EARLIER}, this is {IN_USE}",
        damaged("e", "hook.txt", threshold, two, sealed=True): "hook.txt: not as it was written",
        damaged("f", "hook.txt", threshold, not_a_number, sealed=True): "hook.txt: not as it was written",
        damaged("g", "hook.txt", b"to_qindex 120", b"to_qindex 255", sealed=True): "hook.txt: not as it was written",
        damaged("h", "hook.txt", b"ranges 2", b"ranges 1", sealed=True): "hook.txt: not as it was written",
        damaged("i", "hook.txt", b"stages 1", b"stages 2", sealed=True): "hook.txt: not as it was written",
        damaged("j", "hook.txt", b"stage 2 ", b"stage ../2 ", sealed=True): "hook.txt: not as it was written",
        damaged("k", "hook.txt", size, b"size 99", sealed=True): "larger than 99 bytes",
        damaged("l", "hook.txt", b"node 16", b"node 24", sealed=True): "hook.txt: not as it was written",
    }
    shutil.copytree(make(s2=0), tmp_path / "m")
    (tmp_path / "m" / "bundles" / "2" / "model.onnx").unlink()
    folders[tmp_path / "m"] = "model.onnx: No such file"
    with Encoder(config()) as encoder:
        before = encoder.encode(frame(WIDTH, HEIGHT)).data
        for folder, reason in folders.items():
            with pytest.raises(ToolkitError, match=reason):
                load_in_c(encoder, folder)
        assert encoder.encode(frame(WIDTH, HEIGHT)).data == before


def test_python_refuses_a_hook_file_that_says_something_else(make: MakePipeline, tmp_path: Path) -> None:
    shutil.copytree(make(s2=0), tmp_path / "pipe")
    (tmp_path / "pipe" / "hook.txt").unlink()
    Pipeline.load(tmp_path / "pipe")  # as an earlier version built it
    (tmp_path / "pipe" / "hook.txt").write_text("av1part-pipeline 1\n")
    with pytest.raises(ToolkitError, match=r"hook\.txt: does not say what the manifest says"):
        Pipeline.load(tmp_path / "pipe")


def test_only_what_c_can_use_gets_a_hook_file(
    exported: Path, blockset_8: Path, make: MakePipeline, tmp_path: Path
) -> None:
    assert (make(s2=0) / "hook.txt").is_file()
    luma = frame(WIDTH, HEIGHT)[0]
    others = (
        {"imported": {"labels": "text"}},
        LIBAOM | {"deltaq_mode": 1},
        {"name": "synthetic"},
        LIBAOM | {"tune": "ssim"},
    )
    for number, other in enumerate(others):
        checkpoint, path = exported / "checkpoint.pt", tmp_path / str(number)
        random_pipeline(path, checkpoint, blockset_8, luma, {"2": 0}, encoder=other)
        assert not (path / "hook.txt").exists()
        Pipeline.load(path)


def test_the_policy_of_c_has_python_s_thresholds_to_the_bit(make: MakePipeline) -> None:
    path = make(s1=0, s2=0)
    policy = Pipeline.load(path).policy
    lines = [line.split() for line in (path / "hook.txt").read_text().splitlines() if line.startswith("to_qindex")]
    for (last, thresholds), (_, to_qindex, *digits) in zip(policy.ranges, lines, strict=True):
        assert int(to_qindex) == last
        assert [struct.unpack(">d", bytes.fromhex(d))[0] for d in digits] == list(vars(thresholds).values())


class Counted:
    """A Stage 2 in Python that counts its windows, and fails where it is told to."""

    window = Window(16, 4)

    def __init__(self, error: BaseException | None = None) -> None:
        self.seen, self.error = [], error

    def logits(self, luma: np.ndarray, qindex: np.ndarray) -> np.ndarray:
        self.seen.append((luma, qindex))
        if self.error:
            raise self.error
        return np.tile(np.array([4, 0, 0], np.float32), (len(luma), 1))


def engine(model: Counted) -> Masker:
    masker = Masker(10)
    masker.add(16, [(255, astuple(Thresholds()))], {"2": Network(4, model.logits)})
    return masker


def test_a_network_that_c_cannot_run_is_asked_in_python(libaom: Libraries) -> None:
    """C cuts the windows and applies the policy all the same."""
    model, luma = Counted(), frame(100, 70, 10)[0]
    found = engine(model).masks(luma, 77)[16]
    ((windows, qindex),) = model.seen
    row, column = np.indices((4, 6)).reshape(2, -1)
    np.testing.assert_array_equal(windows, cut_nodes(luma, model.window, row, column))
    assert (windows.dtype, set(qindex)) == (np.uint16, {77})
    np.testing.assert_array_equal(found, frame_mask(Cascade({"2": model}), Policy(), luma, 77, 10))
    assert (found[:4, :6] == bits(NONE, SPLIT)).all()


@pytest.mark.parametrize("error", [RuntimeError("session lost"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_what_a_network_raises_in_python_comes_out_of_the_masks(libaom: Libraries, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        engine(Counted(error)).masks(frame(64, 64, 10)[0], 77)
    assert caught.value is error


def test_several_threads_ask_one_engine_at_once(libaom: Libraries, make: MakePipeline) -> None:
    loaded, luma = Pipeline.load(make(s1=0, s2=0), threads=1), frame(WIDTH, HEIGHT)[0]
    expected = {qindex: loaded.mask(luma, qindex) for qindex in range(100, 140)}
    with ThreadPoolExecutor(4) as pool:
        for qindex, mask in zip(expected, pool.map(lambda q: loaded.mask(luma, q), expected), strict=True):
            np.testing.assert_array_equal(mask, expected[qindex])


def test_what_the_engine_cannot_use_is_refused(libaom: Libraries, make: MakePipeline) -> None:
    luma, good = frame(WIDTH, HEIGHT)[0], [(255, astuple(Thresholds()))]
    masker, network = Masker(8), {"2": Network(0, b"no graph")}
    with pytest.raises(ToolkitError, match="no pipeline was added"):
        masker.masks(luma, QINDEX)
    cases: list[tuple[Any, Any, Any, str]] = [
        (24, good, network, "node_size: expected 8, 16, 32, 64 or 128"),
        (16, [(200, good[0][1])], network, "ranges of qindex that rise to 255"),
        (16, [(255, (2.0, *good[0][1][1:]))], network, "thresholds of 0 to 1"),
        (16, good, {"1": network["2"]}, "expected one for Stage 2"),
        (16, good, {"2": Network(17, b"no graph")}, "context of 0 to 16"),
        (8, good, network | {"3-ab": network["2"]}, "nodes of 8x8 have no AB"),
        (16, good, network, "ONNX Runtime: "),
    ]
    for node, ranges, networks, message in cases:
        with pytest.raises(ToolkitError, match=message):
            masker.add(node, ranges, networks)
    masker = masker_of_folders([make(s2=0)])
    with pytest.raises(ToolkitError, match="expected 8, as of the pipeline that is there"):
        masker_of_folders([make(s2=0), make(10, s1=0, s2=0)])
    with pytest.raises(ToolkitError, match="qindex 256, expected 0 to 255"):
        masker.masks(luma, 256)
    with pytest.raises(ToolkitError, match="shape"):
        masker.masks(luma[None], QINDEX)
    with pytest.raises(ToolkitError, match="luma is uint16"):
        masker.masks(luma.astype(np.uint16), QINDEX)
