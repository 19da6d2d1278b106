"""A host in C: the example program, built as its heading says, encodes without Python."""

import re
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from support.hosts import privileged, telltale
from support.pictures import frame
from support.pipelines import LIBAOM, random_pipeline
from support.pruners import toy_folder, toy_pruner

from integration import zoo
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import SOURCES, Libraries
from integration.codec.masker import onnx_runtime
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import encode_file
from integration.media.video import open_clip
from integration.pipeline.pipeline import Pipeline
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import use_pruner
from toolkit.cli.main import main

EXAMPLE = SOURCES / "examples" / "encode.c"


def y4m(path: Path, frames: int, bit_depth: int = 8) -> Path:
    """Frames of 73x55: two flat nodes in the first row, a pan over the cat elsewhere."""
    colour = "420jpeg" if bit_depth == 8 else "420p10 XYSCSS=420P10"
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W73 H55 F25:1 Ip A1:1 C{colour}\n".encode())
        for number in range(frames):
            y, u, v = frame(73, 55, bit_depth, left=100 + 8 * number)
            y = y.copy()
            y[:16, :32] = 80
            file.write(b"FRAME\n" + b"".join(p.tobytes() for p in (y, u, v)))
    return path


@pytest.fixture(scope="module")
def program(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, with every warning an error."""
    found = CliRunner().invoke(main, ["encoder", "info", "--flags"])
    assert found.exit_code == 0, found.output
    path = tmp_path_factory.mktemp("host") / "encode"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["cc", *flags, str(EXAMPLE), *found.stdout.split(), "-o", str(path)], check=True)
    return path


def run(program: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    # Nothing of Python's environment: the program finds its library by itself.
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, env=variables, check=False)


@pytest.mark.parametrize(("bit_depth", "keyint", "keys"), [(8, 1, 4), (10, 3, 2), (8, 30, 1)])
def test_it_encodes_with_masks(program: Path, tmp_path: Path, bit_depth: int, keyint: int, keys: int) -> None:
    clip, output = y4m(tmp_path / "clip.y4m", 4, bit_depth), tmp_path / "out.ivf"
    done = run(program, clip, output, 30, keyint)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"4 frames, {keys} masked, ")
    assert int(done.stdout.split()[4]) >= 2 * keys, "at least the flat nodes lose partitions"
    with av.open(str(output)) as container:
        assert container.streams.video[0].frames == 4
        decoded = list(container.decode(video=0))
    kind = np.dtype(np.uint8 if bit_depth == 8 else "<u2")
    for number, (picture, source) in enumerate(zip(decoded, open_clip(clip).frames(), strict=True)):
        assert picture.time == pytest.approx(number / 25)
        luma = np.frombuffer(memoryview(picture.planes[0]), kind).reshape(
            -1, picture.planes[0].line_size // kind.itemsize
        )
        error = luma[:55, :73].astype(int) - source[0]
        assert np.abs(error).mean() < 3 << (bit_depth - 8)


def test_where_nothing_is_masked_it_writes_what_the_command_writes(program: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.y4m"
    frames = [b"FRAME\n" + b"".join(p.tobytes() for p in frame(64, 48, left=100 + 8 * i)) for i in range(2)]
    clip.write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n" + b"".join(frames))
    done = run(program, clip, tmp_path / "c.ivf", 2)
    assert done.stdout == "2 frames, 2 masked, 0 blocks restricted\n", done.stderr
    encode_file(clip, tmp_path / "python.ivf", EncodeConfig(cq=2, cpu_used=2))
    assert (tmp_path / "c.ivf").read_bytes() == (tmp_path / "python.ivf").read_bytes()


def test_its_errors_leave_no_file(program: Path, tmp_path: Path) -> None:
    clip, output = y4m(tmp_path / "clip.y4m", 2), tmp_path / "out.ivf"
    assert "usage" in run(program).stderr
    assert "cannot be opened" in run(program, tmp_path / "none.y4m", output).stderr
    assert "cq: expected 0 to 63" in run(program, clip, output, 64).stderr
    clip.write_bytes(clip.read_bytes()[:-5])
    done = run(program, clip, output)
    assert (done.returncode, done.stderr) == (1, "frame: cut short or damaged\n")
    assert not output.exists()


@pytest.mark.parametrize("linked", [False, True])
def test_it_neither_replaces_nor_removes_a_file_that_is_there(program: Path, tmp_path: Path, linked: bool) -> None:
    clip = y4m(tmp_path / "clip.y4m", 2)
    output = tmp_path / "out.ivf" if linked else clip
    if linked:
        output.symlink_to(clip)
    before = clip.read_bytes()
    done = run(program, clip, output)
    assert (done.returncode, done.stderr) == (1, f"{output}: exists already\n")
    assert clip.read_bytes() == before
    assert output.is_symlink() == linked


def test_the_header_is_c_plus_plus_too(tmp_path: Path) -> None:
    source = tmp_path / "host.cc"
    source.write_text(
        '#include "av1part_hook.h"\nint main() { return av1part_api_version() != AV1PART_API_VERSION; }\n'
    )
    subprocess.run(["c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{SOURCES}", str(source)], check=True)


def test_it_prunes_with_a_model_of_the_box(program: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.y4m"
    y, u, v = frame(192, 128)
    clip.write_bytes(b"YUV4MPEG2 W192 H128 F25:1 C420jpeg\nFRAME\n" + b"".join(p.tobytes() for p in (y, u, v)))
    done = run(program, clip, tmp_path / "out.ivf", 43, 1, zoo.FOLDER / "photo-8bit")
    assert (done.returncode, done.stderr) == (0, "")
    with Encoder(EncoderConfig(192, 128, cq=43, cpu_used=2, four_way=True)) as encoder:
        use_pruner(encoder, PrunerBundle.load(zoo.FOLDER / "photo-8bit"))
        expected = encoder.encode((y, u, v)).data
    assert (tmp_path / "out.ivf").read_bytes()[44:] == expected, "as Python encodes, behind IVF's headers"
    done = run(program, y4m(tmp_path / "deep.y4m", 1, 10), tmp_path / "10.ivf", 43, 1, zoo.FOLDER / "photo-8bit")
    assert (done.returncode, done.stderr) == (0, ""), "one pruner serves 8 and 10 bit"
    done = run(program, clip, tmp_path / "deep.ivf", 43, 1, zoo.FOLDER / "photo-allintra")
    assert done.returncode == 1
    assert (
        "av1part_load_pruner: the pruner serves all_intra 1, each cpu_used of 234 at this bit depth, chroma and tune"
        in done.stderr
    )
    assert not (tmp_path / "deep.ivf").exists()


def test_a_pruner_of_inter_frames_wants_some(program: Path, libaom: Libraries, tmp_path: Path) -> None:
    stops = toy_pruner([(side, "stop") for side in (8, 16, 32, 64)], loss=-9.0, time=9.0)
    made = toy_folder(tmp_path / "inter", libaom, stops, frame_kind="inter")
    clip = y4m(tmp_path / "clip.y4m", 4)
    done = run(program, clip, tmp_path / "key.ivf", 43, 1, made)
    assert (done.returncode, done.stdout) == (1, "")
    assert "made for inter frames, and keyint is 1" in done.stderr
    streams = {}
    for name in ("plain", "pruned"):
        words = [made] if name == "pruned" else []
        done = run(program, clip, tmp_path / f"{name}.ivf", 43, 30, *words)
        assert (done.returncode, done.stderr) == (0, "")
        with av.open(str(tmp_path / f"{name}.ivf")) as container:
            streams[name] = [bytes(packet) for packet in container.demux() if packet.size]
    assert len(streams["pruned"]) == 4
    assert streams["pruned"] != streams["plain"]


def test_it_masks_by_trained_networks(program: Path, exported: Path, blockset_8: Path, tmp_path: Path) -> None:
    clip, planes = tmp_path / "clip.y4m", frame(200, 136)
    clip.write_bytes(b"YUV4MPEG2 W200 H136 F25:1 C420jpeg\nFRAME\n" + b"".join(p.tobytes() for p in planes))
    settings = LIBAOM | {"cpu_used": 2}
    checkpoint, stages = exported / "checkpoint.pt", {"1": 0, "2": 0}
    pipe = random_pipeline(tmp_path / "pipe", checkpoint, blockset_8, planes[0], stages, encoder=settings)
    runtime, home = str(onnx_runtime()), tmp_path / "home"
    home.mkdir()
    for number, pruner in enumerate(("-", zoo.FOLDER / "photo-8bit")):
        output = tmp_path / f"{number}.ivf"
        done = run(program, clip, output, 28, 1, pruner, pipe, AV1PART_ONNXRUNTIME=runtime, HOME=str(home))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("1 frames, 1 masked, ")
        with Encoder(EncoderConfig(200, 136, cq=28, cpu_used=2), Pipeline.load(pipe, threads=1).mask) as encoder:
            if number:
                use_pruner(encoder, PrunerBundle.load(zoo.FOLDER / "photo-8bit"))
            expected = encoder.encode(planes)
        assert output.read_bytes()[44:] == expected.data, "as Python encodes, behind IVF's headers"
        assert done.stdout.endswith(f", {expected.masked_nodes} blocks restricted\n")
    assert not list(home.iterdir()), "ONNX Runtime's telemetry is off"
    done = run(program, clip, tmp_path / "none.ivf", 28, 1, "-", pipe, AV1PART_ONNXRUNTIME="/none/libonnxruntime.so")
    assert done.returncode == 1
    assert done.stderr.startswith("av1part_load_pipeline: no ONNX Runtime (/none/libonnxruntime.so: cannot open")
    done = run(program, y4m(tmp_path / "deep.y4m", 1, 10), tmp_path / "deep.ivf", 28, 1, "-", pipe)
    assert (
        "av1part_load_pipeline: the pipeline serves 4:2:0, tune psnr, bit_depth 8, all_intra 0, cpu_used 2"
        in done.stderr
    )
    assert not list(tmp_path.glob("none.ivf")) + list(tmp_path.glob("deep.ivf"))
    library, made = telltale(tmp_path)
    if trusted := privileged(program):
        done = run(trusted, clip, tmp_path / "none.ivf", 28, 1, "-", pipe, AV1PART_ONNXRUNTIME=str(library))
        assert "no ONNX Runtime (libonnxruntime.so.1" in done.stderr
        assert not made.exists(), "a program with more rights than its user loads no library that the user names"
    run(program, clip, tmp_path / "none.ivf", 28, 1, "-", pipe, AV1PART_ONNXRUNTIME=str(library))
    assert made.exists()


@pytest.mark.parametrize(("name", "count"), [("av1part_hook.h", 37), ("av1part_record.h", 2)])
def test_the_header_says_of_every_function_what_it_gives_and_who_may_call_it(name: str, count: int) -> None:
    text = (SOURCES / name).read_text()
    functions = re.findall(
        r"(/\*(?:(?!\*/).)*\*/)\n(?:enum[^\n]*\n\n)?AV1PART_API (.*?)(av1part_\w+)\(", text, re.DOTALL
    )
    assert len(functions) == text.count("AV1PART_API ") - text.count("#define AV1PART_API ") == count
    for comment, result, function in functions:
        said = set(re.findall(r"@\w+", comment))
        assert "@thread" in said, function
        assert ("@return" in said) == (result.strip() != "void"), function
