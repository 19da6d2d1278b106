"""Sources: exact code values from every kind of file, and a clear error for every kind of damage."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import EpsImagePlugin, Image
from support.pictures import CHELSEA, frame

from integration.media.colour import rgb_to_planes
from integration.media.planes import fit
from integration.media.raw import RawFormat, better_period, parse_size, raw_layout
from integration.media.video import open_clip
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.sample.attribution import FOLDER as SAMPLE


def y4m(
    path: Path, frames: int, width: int = 34, height: int = 22, bit_depth: int = 8, colour: str = "420jpeg"
) -> Path:
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C{colour}\n".encode())
        for i in range(frames):
            file.write(b"FRAME\n" + b"".join(p.tobytes() for p in frame(width, height, bit_depth, left=100 + i)))
    return path


def raw(path: Path, frames: int, width: int, height: int, bit_depth: int) -> Path:
    with path.open("wb") as file:
        for i in range(frames):
            file.writelines(p.tobytes() for p in frame(width, height, bit_depth, left=100 + i))
    return path


def assert_frames(path: Path, width: int, height: int, bit_depth: int, count: int, **options: object) -> None:
    clip = open_clip(path, **options)
    assert (clip.width, clip.height, clip.bit_depth) == (width, height, bit_depth)
    frames = list(clip.frames())
    assert len(frames) == count
    for i, planes in enumerate(frames):
        for ours, expected in zip(planes, frame(width, height, bit_depth, left=100 + i), strict=True):
            assert ours.dtype == expected.dtype
            np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(("bit_depth", "colour"), [(8, "420jpeg"), (10, "420p10 XYSCSS=420P10")])
@pytest.mark.parametrize(("width", "height"), [(34, 22), (33, 17)])
def test_y4m_is_exact(tmp_path: Path, bit_depth: int, colour: str, width: int, height: int) -> None:
    assert_frames(y4m(tmp_path / "a.y4m", 3, width, height, bit_depth, colour), width, height, bit_depth, 3)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_raw_is_exact_and_can_be_limited(tmp_path: Path, bit_depth: int) -> None:
    path = raw(tmp_path / "a.yuv", 3, 33, 17, bit_depth)
    layout = RawFormat.parse(f"33x17:{bit_depth}")
    assert_frames(path, 33, 17, bit_depth, 3, raw=layout)
    assert_frames(path, 33, 17, bit_depth, 2, raw=layout, limit=2)


def test_frames_can_be_read_again(tmp_path: Path) -> None:
    clip = open_clip(y4m(tmp_path / "a.y4m", 2))
    assert len(list(clip.frames())) == len(list(clip.frames())) == 2


def test_a_photograph_is_one_8_bit_frame_of_its_own_size() -> None:
    clip = open_clip(CHELSEA)
    assert (clip.width, clip.height, clip.bit_depth) == (451, 300, 8)
    ((y, u, v),) = clip.frames()
    assert y.shape == (300, 451)
    assert u.shape == v.shape == (150, 226)
    assert y.dtype == u.dtype == np.uint8


def test_fit_keeps_the_aspect_never_enlarges_and_is_even() -> None:
    assert fit(451, 300, (960, 540)) == (451, 300)
    assert fit(4352, 2448, (960, 540)) == (960, 540)
    assert fit(1000, 1501, (960, 540)) == (358, 540)
    assert fit(33, 17, None) == (33, 17)
    assert fit(5000, 3, (960, 540)) == (960, 2)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_shrinking_keeps_flat_planes_flat_and_the_bit_depth(tmp_path: Path, bit_depth: int) -> None:
    level = 200 << (bit_depth - 8)
    path = tmp_path / "flat.yuv"
    path.write_bytes(np.full(64 * 48 * 3 // 2, level, "<u2" if bit_depth > 8 else np.uint8).tobytes())
    clip = open_clip(path, (32, 32), raw=RawFormat(64, 48, bit_depth))
    ((y, u, v),) = clip.frames()
    assert (y.shape, u.shape, v.shape) == ((24, 32), (12, 16), (12, 16))
    assert (y == level).all()
    assert (u == level).all()


def test_a_photograph_turned_by_its_camera_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to show
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    clip = open_clip(tmp_path / "a.jpg")
    assert (clip.width, clip.height) == (20, 40)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bit_grey_is_read_as_16_bit_rgb_is(tmp_path: Path, ending: str) -> None:
    samples = np.random.default_rng(0).integers(0, 1 << 16, (32, 48)).astype(np.uint16)
    Image.fromarray(samples).save(tmp_path / f"grey{ending}")
    deep = "rgb48be" if ending == ".png" else "rgb48le"
    coder = av.CodecContext.create("png" if ending == ".png" else "tiff", "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = 48, 32, deep, Fraction(1)
    picture = av.VideoFrame.from_ndarray(np.repeat(samples[:, :, None], 3, 2), deep)
    packets = [*coder.encode(picture), *coder.encode(None)]
    (tmp_path / f"rgb{ending}").write_bytes(b"".join(bytes(p) for p in packets))
    (grey,), (rgb,) = (list(open_clip(tmp_path / f"{name}{ending}").frames()) for name in ("grey", "rgb"))
    for ours, theirs in zip(grey, rgb, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(
        grey[0], rgb_to_planes(np.repeat((samples >> 8).astype(np.uint8)[..., None], 3, 2))[0]
    )


@pytest.mark.parametrize("name", ["a.ffconcat", "a.mkv", "a.m3u8"])
def test_a_script_that_names_other_files_is_no_clip(tmp_path: Path, name: str) -> None:
    film(tmp_path / "private.avi", 3, "mjpeg")
    script = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nprivate.avi\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(script if name == "a.m3u8" else "ffconcat version 1.0\nfile private.avi\n")
    with pytest.raises(ToolkitError, match=r"not readable as video.*Read are: matroska,mov"):
        open_clip(tmp_path / name)


def test_postscript_under_another_name_starts_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n")
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *words: started.append(words))
    with pytest.raises(ToolkitError, match="not readable as a photograph"):
        open_clip(path)
    assert not started


def damaged(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    short_y4m = y4m(tmp_path / "short.y4m", 3)
    short_y4m.write_bytes(short_y4m.read_bytes()[:-100])
    short_png = tmp_path / "short.png"
    short_png.write_bytes(CHELSEA.read_bytes()[:100000])
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"not a film" * 100)
    text = tmp_path / "text.jpg"
    text.write_bytes(b"hello")
    Image.new("F", (32, 32)).save(tmp_path / "deep.tif")
    return {
        "missing": (tmp_path / "none.y4m", "no such file"),
        "short y4m": (short_y4m, "cut short"),
        "short png": (short_png, "not readable as a photograph"),
        "junk": (junk, "not readable as video"),
        "text": (text, "not readable as a photograph"),
        "photograph of floats": (tmp_path / "deep.tif", "F samples; photographs of 8 or 16 bit"),
        "4:4:4": (y4m(tmp_path / "c.y4m", 0, colour="444"), "yuv444p, expected 4:2:0"),
        "monochrome": (y4m(tmp_path / "m.y4m", 0, colour="mono"), "gray, expected 4:2:0"),
        "12 bit": (y4m(tmp_path / "d.y4m", 0, colour="420p12 XYSCSS=420P12"), "yuv420p12le, expected 4:2:0"),
        "no frame": (y4m(tmp_path / "e.y4m", 0), "0 frames|not readable"),
        "raw without layout": (raw(tmp_path / "a.yuv", 1, 32, 32, 8), "--raw"),
    }


def test_damage_is_named(tmp_path: Path) -> None:
    for kind, (path, message) in damaged(tmp_path).items():
        with pytest.raises(ToolkitError, match=message):
            pytest.fail(f"{kind}: {len(list(open_clip(path).frames()))} frames were read")


@pytest.mark.parametrize("headers", [(" Ip", " Ip", " Ip"), ("", "", " Ip"), (" XA", "", "")])
def test_y4m_with_parameters_of_frames_is_counted_and_its_cut_seen(tmp_path: Path, headers: tuple[str, ...]) -> None:
    path = y4m(tmp_path / "a.y4m", 3)
    start, *frames = path.read_bytes().split(b"FRAME\n")
    path.write_bytes(start + b"".join(b"FRAME%s\n" % h.encode() + f for h, f in zip(headers, frames, strict=True)))
    assert open_clip(path).count == 3
    assert_frames(path, 34, 22, 8, 3)
    whole = path.read_bytes()
    for cut in (1, len(frames[2]), len(frames[2]) + 4):
        path.write_bytes(whole[:-cut])
        with pytest.raises(ToolkitError, match=r"frame 2, its last, is cut short.*--allow-truncated"):
            open_clip(path)


def film(path: Path, frames: int, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for i in range(frames):
            planes = np.vstack([p.reshape(-1, 128) for p in frame(128, 96, left=100 + i)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, "yuv420p")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("ending", "codec"), [(".avi", "mjpeg"), (".avi", "rawvideo"), (".mkv", "mjpeg")])
@pytest.mark.parametrize("share", [0.55, 0.75, 0.8])
def test_a_short_film_cut_anywhere_is_an_error_unless_that_is_allowed(
    tmp_path: Path, ending: str, codec: str, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    path = film(tmp_path / f"film{ending}", 5, codec)
    whole = [y for y, _, _ in open_clip(path).frames()]
    assert len(whole) == 5
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ToolkitError, match=r"(cut short|damaged).*--allow-truncated"):
        list(open_clip(path).frames())
    assert not caplog.messages
    taken = [y for y, _, _ in open_clip(path, allow_truncated=True).frames()]
    assert 1 <= len(taken) < 5
    np.testing.assert_array_equal(taken, whole[: len(taken)])
    assert len(caplog.messages) == 1
    assert "The frames before are taken." in caplog.messages[0]


def test_a_raw_or_y4m_clip_cut_in_its_last_frame_ends_before_it_where_that_is_allowed(tmp_path: Path) -> None:
    clips = {y4m(tmp_path / "a.y4m", 3): None, raw(tmp_path / "a.yuv", 3, 34, 22, 8): RawFormat(34, 22)}
    for path, layout in clips.items():
        path.write_bytes(path.read_bytes()[:-10])
        assert_frames(path, 34, 22, 8, 2, raw=layout, allow_truncated=True)
        path.write_bytes(path.read_bytes()[:500])
        with pytest.raises(ToolkitError, match="cut short"):
            open_clip(path, raw=layout, allow_truncated=True)


def test_a_film_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(40):
            picture = av.VideoFrame.from_ndarray(
                np.vstack([p.reshape(-1, 64) for p in frame(64, 48, left=i)]), "yuv420p"
            )
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    assert len(list(open_clip(path).frames())) == 40
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(ToolkitError, match="cut short"):
        list(open_clip(path).frames())


def test_a_raw_file_of_another_size_is_refused(tmp_path: Path) -> None:
    path = raw(tmp_path / "a.yuv", 1, 32, 32, 8)
    with pytest.raises(ToolkitError, match="no whole number"):
        open_clip(path, raw=RawFormat(30, 32, 8))


@pytest.mark.parametrize("text", ["960", "960x", "x540", "0x0", "960x540x2", "-960x540", "99999x10"])
def test_bad_sizes_are_refused(text: str) -> None:
    with pytest.raises(ToolkitError, match="expected WIDTHxHEIGHT"):
        parse_size(text)


def test_a_bad_raw_bit_depth_is_refused() -> None:
    with pytest.raises(ToolkitError, match="expected 8 or 10"):
        RawFormat.parse("64x64:12")


def test_rows_of_photographs_look_like_a_picture_and_wrong_layouts_do_not() -> None:
    sample = BlockSet.load(SAMPLE)
    pictures = [np.asarray(sample.luma(i)[0]) for i in range(len(sample.sources))]
    assert [better_period(luma) for luma in pictures] == [None] * len(pictures)
    for luma in pictures:
        height, width = luma.shape
        data = np.concatenate([luma.ravel(), np.full(luma.size // 2, 128, np.uint8)])
        for wrong in (width // 2, 2 * width, width * 3 // 4, width * 4 // 3):
            rows = height * width // wrong
            assert better_period(data[: rows * wrong].reshape(rows, wrong)) is not None, (width, wrong)


def test_what_has_no_structure_raises_no_doubt() -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (360, 640), np.uint8)
    interlaced = np.repeat(np.repeat(noise[::8, ::8], 8, 0), 8, 1)
    interlaced[1::2] = np.roll(interlaced[1::2], 5, 1)
    stripes = np.broadcast_to((np.arange(640) // 8 % 2 * 200).astype(np.uint8), (360, 640))
    for luma in (noise, interlaced, stripes, stripes[::-1].T, np.zeros((360, 640), np.uint8), noise[:2, :2]):
        assert better_period(luma) is None


def test_a_raw_file_that_does_not_look_like_a_picture_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    luma = np.asarray(BlockSet.load(SAMPLE).luma(0)[0])
    height, width = luma.shape
    path = tmp_path / "clip.yuv"
    path.write_bytes((luma.tobytes() + bytes(luma.size // 2)) * 2)
    open_clip(path, raw=RawFormat(width, height))
    assert not caplog.text
    wrong = RawFormat(width // 2, height * 2)  # as many bytes a frame
    assert open_clip(path, raw=wrong).count == 2
    assert "does not look like a picture" in caplog.text
    assert f"{path}: read as {wrong.width}x{wrong.height}" in caplog.text


def test_a_layout_is_checked_against_the_name_and_may_be_given_by_file(tmp_path: Path) -> None:
    path, table = tmp_path / "park_1280x720_50.yuv", tmp_path / "layouts.tsv"
    assert raw_layout(path, "1280x720") == RawFormat(1280, 720)
    assert raw_layout(tmp_path / "a.y4m", "640x360") is None
    assert raw_layout(path, None) is None
    with pytest.raises(ToolkitError, match="name says 1280x720, --raw says 640x360") as caught:
        raw_layout(path, "640x360")
    assert "to insist" in caught.value.message
    table.write_text(f"{path.name}\t640x360:10\n\nb.yuv\t64x48\n")
    assert raw_layout(path, str(table)) == RawFormat(640, 360, 10)
    assert raw_layout(tmp_path / "b.yuv", str(table)) == RawFormat(64, 48)
    with pytest.raises(ToolkitError, match=r"no line for c\.yuv"):
        raw_layout(tmp_path / "c.yuv", str(table))
    for text, error in {
        "a.yuv 64x48\n": "expected a file's name",
        "a.yuv\t6\n": "WIDTHxHEIGHT",
        "\xff": "line",
    }.items():
        table.write_text(text)
        with pytest.raises(ToolkitError, match=error):
            raw_layout(path, str(table))
    table.write_text("a.yuv\t64x48\na.yuv\t64x64\n")
    with pytest.raises(ToolkitError, match="two lines"):
        raw_layout(path, str(table))
    with pytest.raises(ToolkitError, match="neither WxH"):
        raw_layout(path, str(tmp_path / "none.tsv"))


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("command", ["label", "record", "encode", "bench"])
def test_every_command_checks_the_layout_of_a_file(command: str, tmp_path: Path) -> None:
    path = raw(tmp_path / "clip_128x64.yuv", 2, 128, 64, 8)
    words = ["bench", "encoder"] if command == "bench" else [command]
    run = CliRunner().invoke(main, [*words, str(path), "-o", str(tmp_path / "out.mp4"), "--raw", "64x64"])
    assert run.exit_code == 1, run.output
    assert "its name says 128x64, --raw says 64x64" in run.output
    assert not list(tmp_path.glob("*out.mp4/*.*"))
    assert not (tmp_path / "out.mp4").is_file()
