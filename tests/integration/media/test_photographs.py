"""Photographs keep their colours, and what a frame cannot hold of them is told."""

import shlex
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin, TiffImagePlugin
from support.chromium import CHROMIUM, in_chromium
from support.pictures import CHELSEA
from support.profiles import cmyk_profile, grey_profile, rgb_profile

from integration.codec.config import Colour
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import encode_file
from integration.media.colour import SRGB, rgb_to_planes
from integration.media.photographs import Photograph, read_photograph
from integration.media.video import open_clip
from toolkit.cli.main import main
from toolkit.errors import ToolkitError

SETTINGS = EncodeConfig(cq=12, cpu_used=6)
PRIMARIES = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
BARS = [*PRIMARIES, (255, 255, 0), (0, 255, 255), (255, 0, 255), (200, 120, 40), (90, 90, 90)]
LAID_ON_WHITE = "It is transparent in places, which is not coded: it was laid on white."


def bars() -> Image.Image:
    """Eight bars of one colour each, 16x64 pixels."""
    return Image.fromarray(np.repeat(np.repeat(np.array([BARS], np.uint8), 64, 0), 16, 1))


def to_rgb(planes: tuple[np.ndarray, ...]) -> np.ndarray:
    """RGB (H, W, 3) of BT.601 planes in limited range, by the formulas of ITU-T H.273."""
    y, u, v = (p.astype(float) for p in planes)
    height, width = y.shape
    y, u, v = (y - 16) / 219, *((np.repeat(np.repeat(p, 2, 0), 2, 1)[:height, :width] - 128) / 224 for p in (u, v))
    red, blue = y + 1.402 * v, y + 1.772 * u
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(255 * np.stack([red, green, blue], -1), 0, 255)


def colour_of(photograph: Photograph) -> np.ndarray:
    """Colour in the middle of a photograph."""
    rgb = to_rgb(photograph.planes)
    return rgb[rgb.shape[0] // 2, rgb.shape[1] // 2]


def chunk(name: bytes, body: bytes, *, sound: bool = True) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ (not sound))


def png(path: Path, *chunks: bytes, image: Image.Image | None = None) -> Path:
    """A PNG with more chunks behind its header."""
    (image or Image.new("RGB", (64, 48), (200, 60, 60))).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + b"".join(chunks) + data[33:])
    return path


def deep_png(path: Path, kind: int, channels: int, *chunks: bytes) -> Path:
    """A PNG of 16 bits a sample, which Pillow cannot write in colour; `kind` is its colour type."""
    rows = np.full((48, 64, channels), 0x8040, ">u2")
    head = struct.pack(">2I5B", 64, 48, 16, kind, 0, 0, 0)
    samples = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [chunk(b"IHDR", head), *chunks, chunk(b"IDAT", samples), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def test_the_samples_of_primary_colours_are_bt601s_in_limited_range() -> None:
    expected = {
        (255, 255, 255): (235, 128, 128),
        (0, 0, 0): (16, 128, 128),
        (255, 0, 0): (81, 90, 240),
        (0, 255, 0): (145, 54, 34),
        (0, 0, 255): (41, 240, 110),
        (128, 128, 128): (126, 128, 128),
    }
    for rgb, samples in expected.items():
        planes = rgb_to_planes(np.full((4, 6, 3), rgb, np.uint8))
        assert tuple(int(p[0, 0]) for p in planes) == samples, rgb
        assert all((p == p[0, 0]).all() for p in planes)


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("ending", [".ivf", ".obu", ".mp4", ".mkv"])
def test_a_photographs_colours_are_described_and_right_for_ffmpeg(tmp_path: Path, ending: str) -> None:
    bars().save(tmp_path / "bars.png")
    output, decoded = tmp_path / f"out{ending}", tmp_path / "decoded.png"
    encode_file(tmp_path / "bars.png", output, SETTINGS)
    with av.open(str(output)) as container:
        codec = container.streams.video[0].codec_context
        next(container.decode(video=0))
        found = [int(v) for v in (codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range)]
    assert found == [1, 13, 6, 1]
    subprocess.run(["ffmpeg", "-v", "error", "-i", output, "-frames:v", "1", decoded], check=True)
    with Image.open(decoded) as image:
        middles = np.asarray(image.convert("RGB"), int)[32, 8::16]
    assert np.abs(middles - BARS).max() <= 4


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.usefixtures("libaom")
def test_a_browser_shows_the_same_colours_in_the_original_and_in_the_encode(tmp_path: Path) -> None:
    bars().save(tmp_path / "bars.png")
    shown = '<img src="bars.png">'
    for ending in (".mp4", ".webm"):
        encode_file(tmp_path / "bars.png", tmp_path / f"out{ending}", SETTINGS)
        shown += f'<video src="out{ending}" muted></video>'
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><style>body {{margin: 0}} body > * {{display: block}}</style><body>{shown}</body>")
    _, image, _ = in_chromium(page, tmp_path)
    original, *decoded = np.asarray(image, int)[[32, 96, 160], 8:128:16]
    np.testing.assert_array_equal(original, BARS)
    for colours in decoded:
        assert np.abs(colours - original).max() <= 4  # by BT.709's matrix blue alone would be off by 20


@pytest.mark.parametrize("size", [(101, 75), (100, 75), (101, 74), (3, 3)])
def test_an_odd_size_loses_no_row_and_no_column(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.asarray(Image.open(CHELSEA).convert("RGB").crop((100, 100, 100 + size[0], 100 + size[1])))
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    y, u, v = read_photograph(tmp_path / "odd.png").planes
    assert y.shape == size[::-1]
    assert u.shape == v.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2)
    edge = rgb_to_planes(np.full((2, 2, 3), pixels[-1, -1], np.uint8))
    if size[0] % 2 and size[1] % 2:
        assert [int(p[-1, -1]) for p in (y, u, v)] == [int(p[0, 0]) for p in edge]


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("size", [(101, 75), (1, 1), (1, 40)])
def test_an_odd_size_is_coded(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.open(CHELSEA).convert("RGB").crop((100, 100, 100 + size[0], 100 + size[1])).save(tmp_path / "odd.png")
    encode_file(tmp_path / "odd.png", tmp_path / "out.mp4", SETTINGS)
    with av.open(str(tmp_path / "out.mp4")) as container:
        picture = next(container.decode(video=0))
    assert (picture.width, picture.height) == size


def test_colours_become_srgb_by_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 48), (200, 60, 60)).save(path, icc_profile=rgb_profile())
    photograph = read_photograph(path)
    np.testing.assert_allclose(colour_of(photograph), (231, 57, 57), atol=2)
    assert (photograph.colour, photograph.notes) == (SRGB, ())
    palette = Image.new("RGB", (64, 48), (200, 60, 60)).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(path, icc_profile=rgb_profile())
    np.testing.assert_allclose(colour_of(read_photograph(path)), (231, 57, 57), atol=2)


def test_a_grey_profile_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    for mode, colour in (("L", 128), ("LA", (128, 255))):
        Image.new(mode, (64, 48), colour).save(path, icc_profile=grey_profile(1.0))
        photograph = read_photograph(path)
        np.testing.assert_allclose(colour_of(photograph), 188, atol=2)  # sRGB of half the light
        assert photograph.notes == ()


def test_cmyk_is_converted_by_its_profile_and_a_guess_without_one(tmp_path: Path) -> None:
    path = tmp_path / "ink.jpg"
    Image.new("CMYK", (64, 48), (0, 255, 0, 0)).save(path, icc_profile=cmyk_profile())
    photograph = read_photograph(path)
    np.testing.assert_allclose(colour_of(photograph), 185, atol=3)  # L* 75
    assert photograph.notes == ()
    Image.new("CMYK", (64, 48), (0, 255, 0, 0)).save(path)
    assert read_photograph(path).notes == ("It is CMYK without a profile: its colours are a guess.",)


@pytest.mark.parametrize("profile", [b"no profile", rgb_profile()[:200], grey_profile(2.2), cmyk_profile()])
def test_a_profile_that_cannot_be_used_is_told_and_the_photograph_read(tmp_path: Path, profile: bytes) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 48), (200, 60, 60)).save(path, icc_profile=profile)
    photograph = read_photograph(path)
    (note,) = photograph.notes
    assert note.startswith("Its colour profile cannot be used (")
    np.testing.assert_allclose(colour_of(photograph), (200, 60, 60), atol=2)


def test_a_profile_that_is_not_compressed_as_png_asks_is_told_too(tmp_path: Path) -> None:
    for body in (b"name\0\0no zlib", b"name\0\7unknown"):
        path = png(tmp_path / "a.png", chunk(b"iCCP", body))
        assert "profile" in read_photograph(path).notes[0]


def test_colours_named_by_numbers_are_kept_and_described(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", chunk(b"cICP", bytes([9, 16, 0, 1])))
    photograph = read_photograph(path)
    assert photograph.colour == Colour(9, 16, 6, False)
    np.testing.assert_allclose(colour_of(photograph), (200, 60, 60), atol=2)
    assert open_clip(path).colour == photograph.colour
    with pytest.raises(ToolkitError, match="expected full-range RGB"):
        read_photograph(png(tmp_path / "b.png", chunk(b"cICP", bytes([9, 16, 0, 0]))))


def test_another_gamma_without_a_profile_is_told(tmp_path: Path) -> None:
    srgb = struct.pack(">I", 45455)
    assert read_photograph(png(tmp_path / "a.png", chunk(b"gAMA", srgb))).notes == ()
    linear = chunk(b"gAMA", struct.pack(">I", 100000))
    assert "gAMA" in read_photograph(png(tmp_path / "b.png", linear)).notes[0]
    assert read_photograph(png(tmp_path / "c.png", linear, chunk(b"sRGB", b"\0"))).notes == ()
    wide = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    assert "cHRM" in read_photograph(png(tmp_path / "d.png", chunk(b"cHRM", wide))).notes[0]


def test_what_is_transparent_is_laid_on_white_and_told(tmp_path: Path) -> None:
    clear = {
        "RGBA": Image.new("RGBA", (64, 48), (200, 60, 60, 0)),
        "LA": Image.new("LA", (64, 48), (60, 0)),
        "P": Image.new("RGB", (64, 48), (200, 60, 60)).convert("P", palette=Image.Palette.ADAPTIVE),
        "RGB": Image.new("RGB", (64, 48), (200, 60, 60)),
        "L": Image.new("L", (64, 48), 60),
    }
    keys = {"P": b"\0", "RGB": (200, 60, 60), "L": 60}
    for mode, image in clear.items():
        path = tmp_path / f"{mode}.png"
        image.save(path, **({"transparency": keys[mode]} if mode in keys else {}))
        photograph = read_photograph(path)
        np.testing.assert_allclose(colour_of(photograph), 255, atol=1, err_msg=mode)
        assert photograph.notes == (LAID_ON_WHITE,), mode
    Image.new("RGBA", (64, 48), (200, 60, 60, 255)).save(tmp_path / "opaque.png")
    assert read_photograph(tmp_path / "opaque.png").notes == ()


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_more_than_8_bits_are_told(tmp_path: Path, kind: int, channels: int) -> None:
    photograph = read_photograph(deep_png(tmp_path / "deep.png", kind, channels))
    assert photograph.notes[0] == "It has 16 bits a sample, of which the upper 8 are coded."
    if channels < 4 and channels != 2:
        np.testing.assert_allclose(colour_of(photograph), 128, atol=1)


def test_a_transparent_colour_of_16_bits_is_told(tmp_path: Path) -> None:
    for kind, channels in ((0, 1), (2, 3)):
        key = chunk(b"tRNS", struct.pack(">H", 0x8040) * channels)
        notes = read_photograph(deep_png(tmp_path / "deep.png", kind, channels, key)).notes
        assert notes[1].startswith("Its transparent colour is not looked for")


def test_of_several_pictures_the_first_is_taken_and_told(tmp_path: Path) -> None:
    shades = [Image.new("RGB", (64, 48), (40 * i, 60, 60)) for i in range(3)]
    for ending in (".png", ".webp", ".gif", ".tif", ".avif"):
        path = tmp_path / f"several{ending}"
        shades[0].save(path, save_all=True, append_images=shades[1:])
        photograph = read_photograph(path)
        assert "It holds 3 pictures, of which the first alone is coded." in photograph.notes
        np.testing.assert_allclose(colour_of(photograph), (0, 60, 60), atol=6, err_msg=ending)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AVIF of 2x2 tiles of a photograph, 10 bit, with Display P3's numbers."""
    folder = tmp_path_factory.mktemp("grid")
    with Image.open(CHELSEA) as image:
        Image.fromarray(np.asarray(image.convert("RGB"))[:128, :128]).save(folder / "cat.png")
    words = ["avifenc", "--grid", "2x2", "-s", "8", "-y", "420", "-d", "10", "--min", "4", "--max", "8"]
    words += ["--cicp", "12/13/6", str(folder / "cat.png"), str(folder / "grid.avif")]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "grid.avif"


def test_tiles_become_one_picture(grid: Path) -> None:
    photograph = read_photograph(grid)
    whole = read_photograph(grid.with_name("cat.png"))
    assert photograph.planes[0].shape == (128, 128)
    assert np.abs(photograph.planes[0].astype(int) - whole.planes[0]).mean() < 4
    assert photograph.colour == Colour(12, 13, 6, False)
    assert photograph.notes == ("It has 10 bits a sample, of which the upper 8 are coded.",)


def test_tiles_of_heic_are_refused_and_a_heic_without_is_read(tmp_path: Path, grid: Path) -> None:
    shutil.copy(grid, tmp_path / "my phone's.heic")
    with pytest.raises(ToolkitError, match="made of 4 tiles, which are not put together") as caught:
        open_clip(tmp_path / "my phone's.heic")
    assert shlex.split(caught.value.message.partition("heif-convert ")[2]) == ["my phone's.heic", "my phone's.png"]
    words = ["avifenc", "-s", "8", "-y", "420", str(grid.with_name("cat.png")), str(tmp_path / "one.avif")]
    subprocess.run(words, check=True, capture_output=True)
    clip = open_clip((tmp_path / "one.avif").rename(tmp_path / "one.heic"))
    assert (clip.width, clip.height) == (128, 128)


def exif(orientation: bytes = b"\6\0", kind: int = 3, count: int = 1, resolution: tuple[int, int] = (72, 1)) -> bytes:
    """An EXIF block: an orientation, `count` values of that TIFF type given as bytes, and a resolution."""
    values, place = (
        (b"", orientation.ljust(4, b"\0")) if len(orientation) <= 4 else (orientation, struct.pack("<I", 46))
    )
    entries = struct.pack("<2HI", 0x0112, kind, count) + place + struct.pack("<2H2I", 0x011A, 5, 1, 38)
    directory = struct.pack("<H", 2) + entries + bytes(4)
    return b"Exif\0\0II*\0\x08\0\0\0" + directory + struct.pack("<2i", *resolution) + values


def save_with(path: Path, block: bytes) -> Path:
    Image.new("RGB", (64, 48)).save(path, exif=block)
    return path


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
def test_a_rational_that_no_number_is_turns_no_picture_away(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    if ending == ".tif":
        Image.new("RGB", (64, 48)).save(path, tiffinfo={0x0112: 6, 0x011A: TiffImagePlugin.IFDRational(7, 1)})
        data = path.read_bytes()
        path.write_bytes(data.replace(struct.pack("<2I", 7, 1), struct.pack("<2i", -1, 0)))
    else:
        save_with(path, exif(resolution=(-1, 0)))
    assert read_photograph(path).planes[0].shape == (64, 48)


def test_an_orientation_that_is_none_leaves_the_picture_as_it_lies(tmp_path: Path) -> None:
    short, rational = struct.Struct("<2H").pack, struct.Struct("<2i").pack
    found = {"-1/0": (rational(-1, 0), 10, 1), "6/0": (rational(6, 0), 5, 1), "0": (short(0, 0), 3, 1)}
    found |= {"99": (short(99, 0), 3, 1), "six": (b"six\0", 2, 4), "none": (b"", 3, 0)}
    for what, value in found.items():
        photograph = read_photograph(save_with(tmp_path / "a.jpg", exif(*value)))
        assert photograph.planes[0].shape == (48, 64), what
    for block in (b"", b"nothing", exif()[:20], b"MM\0*\0\0\0\x08\xff\xff" + bytes(30)):
        path = save_with(tmp_path / "a.jpg", b"Exif\0\0" + block)
        assert read_photograph(path).planes[0].shape == (48, 64), block


def test_a_png_whose_texts_are_damaged_is_read_and_told(tmp_path: Path) -> None:
    raw_profile = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  8\nno hexadecimal\n"))
    assert "EXIF is damaged" in read_photograph(png(tmp_path / "a.png", raw_profile)).notes[0]
    too_long = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(PngImagePlugin.MAX_TEXT_CHUNK + 1)))
    for number, damage in enumerate(
        (too_long, chunk(b"tEXt", b"key\0value", sound=False), chunk(b"iTXt", b"key\0\1\7"))
    ):
        photograph = read_photograph(png(tmp_path / f"{number}.png", damage))
        np.testing.assert_allclose(colour_of(photograph), (200, 60, 60), atol=2)
        assert len(photograph.notes) <= 1
        assert all("texts" in note for note in photograph.notes)


def test_adobe_rgb_that_exif_alone_names_is_told(tmp_path: Path) -> None:
    block = Image.Exif()
    block.get_ifd(0x8769)[0xA005] = {1: "R03"}
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 48)).save(path, exif=block)
    assert "Adobe RGB" in read_photograph(path).notes[0]
    Image.new("RGB", (64, 48)).save(path, exif=block, icc_profile=rgb_profile())
    assert read_photograph(path).notes == ()


def test_notes_are_logged_once_with_the_files_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGBA", (64, 48)).save(tmp_path / "clear.png")
    for _ in range(2):
        open_clip(tmp_path / "clear.png")
    (line,) = caplog.messages
    assert (
        line == f"Warning: {tmp_path}/clear.png: It is transparent in places, which is not coded: it was laid on white."
    )


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("command", ["label", "record"])
def test_one_bad_picture_of_a_folder_is_named_before_any_is_coded(tmp_path: Path, command: str) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (64, 64), (0, 0, number)).save(folder / f"{number}.png")
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:60])
    run = CliRunner().invoke(main, [command, str(folder), "-o", str(tmp_path / "out")])
    assert run.exit_code == 1
    assert f"{folder}/1.png: not readable as a photograph" in run.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photographs"]


@pytest.mark.parametrize(("chroma", "down", "across"), [(444, 1, 1), (422, 1, 2), (420, 2, 2)])
def test_a_chroma_sample_is_the_mean_of_the_pixels_it_stands_for(chroma: int, down: int, across: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    full, found = rgb_to_planes(rgb, 444), rgb_to_planes(rgb, chroma)
    np.testing.assert_array_equal(found[0], full[0])
    for plane, whole in zip(found[1:], full[1:], strict=True):
        mean = whole.reshape(6 // down, down, 8 // across, across).mean(axis=(1, 3))
        np.testing.assert_allclose(plane, mean, atol=1)


def test_monochrome_is_the_luma_alone() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    (y,) = rgb_to_planes(rgb, 400)
    np.testing.assert_array_equal(y, rgb_to_planes(rgb)[0])
