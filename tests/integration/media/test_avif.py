"""AVIF files keep what a picture's file holds, and other decoders read them."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import ExifTags, Image, ImageOps, PngImagePlugin
from support.chromium import CHROMIUM, in_chromium
from support.pictures import CHELSEA
from support.profiles import grey_profile, rgb_profile

from integration.encoding.config import EncodeConfig
from integration.encoding.encode import Report, encode_file
from integration.media.colour import BY_PROFILE, FULL_SRGB, rgb_to_planes
from integration.media.config import StillConfig
from integration.media.still import metadata_of
from integration.media.stills import open_still
from toolkit.cli.main import main
from toolkit.errors import ToolkitError

AVIFDEC = shutil.which("avifdec")


def picture(width: int = 67, height: int = 45, mode: str = "RGB") -> Image.Image:
    """A piece of a photograph, which becomes more transparent from left to right where the mode has opacity."""
    with Image.open(CHELSEA) as image:
        crop = image.convert("L" if mode[0] == "L" else "RGB").crop((100, 60, 100 + width, 60 + height))
    found = Image.fromarray(np.asarray(crop))  # without its profile
    if mode[-1] == "A":
        ramp = np.linspace(0, 255, width).astype(np.uint8)
        found.putalpha(Image.fromarray(np.repeat(ramp[None], height, 0)))
    return found


def coded(source: Path, **settings: Any) -> tuple[Path, Report]:
    """The AVIF file of a picture, and what its encode reports."""
    target = source.with_suffix(".avif")
    config = EncodeConfig(**{"cq": 8, "cpu_used": 6, "usage": "allintra"} | settings)
    return target, encode_file(source, target, config)


def deep_png(path: Path, samples: np.ndarray) -> Path:
    """A PNG of samples (H, W, channels) of 16 bits, which Pillow cannot write in colour."""
    height, width, channels = samples.shape
    head = struct.pack(">2I5B", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples))
    chunks = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
    written = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(written))
    return path


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures' samples."""
    assert (one.size, one.mode) == (other.size, other.mode)
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean())


def told(path: Path) -> dict[str, str]:
    """What avifdec says of a file, by its own names."""
    assert AVIFDEC is not None
    done = subprocess.run([AVIFDEC, "--info", path], check=True, capture_output=True, text=True)
    lines = [line.lstrip(" *").partition(":") for line in done.stdout.splitlines() if line.startswith(" * ")]
    return {name.strip(): value.strip() for name, _, value in lines}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
@pytest.mark.usefixtures("libaom")
def test_colours_and_opacity_of_an_odd_size_come_back(mode: str, tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    given = picture(mode=mode)
    given.save(source)
    target, report = coded(source)
    with Image.open(target) as image:
        read = image.convert(mode)
        assert image.has_transparency_data == (mode[-1] == "A")
    assert difference(read, given) < 2.5
    assert bool(report.alpha_bytes) == (mode[-1] == "A")
    assert report.bytes < target.stat().st_size < report.bytes + 600, "all but the streams is small"


@pytest.mark.skipif(AVIFDEC is None, reason="no avifdec (package libavif-bin)")
@pytest.mark.parametrize("depth", [None, 8, 10, 12])
@pytest.mark.parametrize("chroma", [None, 420, 422, 444, 400])
@pytest.mark.usefixtures("libaom")
def test_avifdec_finds_every_format_that_is_asked_for(chroma: int | None, depth: int | None, tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    picture(mode="RGBA").save(source)
    target, _ = coded(source, chroma=chroma or 420, own_chroma=chroma is None, depth=depth)
    found = told(target)
    assert found["Resolution"] == "67x45"
    assert found["Format"] == f"YUV{chroma or 444}"
    assert found["Bit Depth"] == str(depth or 8)
    assert found["Alpha"] == "Not premultiplied"
    assert [found[name] for name in ("Color Primaries", "Transfer Char.", "Matrix Coeffs.")] == ["1", "13", "6"]
    assert found["Range"] == "Full"


def camera_exif() -> bytes:
    """EXIF of a camera that lay on its side, with a time and a place."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "A camera", 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2020:01:02 03:04:05"}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    return exif.tobytes()


def raw_profile(name: str, data: bytes, length: int | None = None) -> PngImagePlugin.PngInfo:
    """A profile as ImageMagick writes it into a PNG."""
    lines = [data.hex()[at : at + 72] for at in range(0, 2 * len(data), 72)]
    text = PngImagePlugin.PngInfo()
    text.add_text(f"Raw profile type {name}", "\n".join(["", name, f"{length or len(data):8}", *lines, ""]), zip=True)
    return text


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("kind", ["tiff", "exif", "APP1"])
def test_exif_of_a_tiff_and_of_imagemagick_s_png_is_kept(kind: str, tmp_path: Path) -> None:
    source = tmp_path / ("in.tiff" if kind == "tiff" else "in.png")
    given: dict[str, object] = (
        {"exif": camera_exif()} if kind == "tiff" else {"pnginfo": raw_profile(kind, camera_exif())}
    )
    picture(80, 48).save(source, **given)
    target, _ = coded(source)
    with Image.open(target) as image:
        assert image.size == (48, 80), "upright"
        found = image.getexif()
        assert found[ExifTags.Base.Make] == "A camera"
        assert found.get(ExifTags.Base.Orientation, 1) == 1
        assert found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2020:01:02 03:04:05"
        assert found.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert not {ExifTags.Base.StripOffsets, ExifTags.Base.ImageWidth} & set(found)


def test_what_imagemagick_keeps_in_a_png_is_told_where_it_is_damaged_or_has_no_place(tmp_path: Path) -> None:
    for name, data, length, expected in (
        ("exif", camera_exif(), 7, "Its EXIF is damaged, and left out."),
        ("iptc", b"\x1c\x02\x78", None, "Its IPTC data are left out."),
        ("xmp", b"<x/>", None, ""),
    ):
        file = tmp_path / f"{name}.png"
        picture(16, 16).save(file, pnginfo=raw_profile(name, data, length))
        with Image.open(file) as image:
            notes: list[str] = []
            image.load()
            assert metadata_of(image.info, notes) == (b"", data if name == "xmp" else b"")
            assert notes == ([expected] if expected else [])


@pytest.mark.usefixtures("libaom")
def test_profile_exif_and_xmp_are_kept_and_can_be_left_out(tmp_path: Path) -> None:
    source, profile, xmp = tmp_path / "in.png", rgb_profile(), b'<x tiff:Orientation="6"/>'
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "A camera", 6
    given = picture()
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    given.save(source, icc_profile=profile, exif=exif, pnginfo=text)
    target, report = coded(source)
    assert report.carried == ["colour description", "colour profile", "EXIF", "XMP"]
    with Image.open(target) as image:
        assert image.info["icc_profile"] == profile
        assert image.getexif()[0x010F] == "A camera"
        assert image.getexif().get(0x0112, 1) == 1, "it is upright already"
        assert image.info["xmp"] == xmp.replace(b"6", b"1")
        assert difference(image.convert("RGB"), given.transpose(Image.Transpose.ROTATE_270)) < 2.5
    assert open_still(source, StillConfig()).colour == BY_PROFILE
    still = open_still(source, StillConfig(metadata=False)).still
    assert still
    assert (still.icc, still.exif, still.xmp) == (profile, b"", b"")


def test_a_profile_of_another_colour_space_is_applied_and_not_kept(tmp_path: Path) -> None:
    grey, colours = tmp_path / "grey.png", tmp_path / "colours.png"
    picture(mode="L").save(grey, icc_profile=grey_profile(2.2))
    picture().save(colours, icc_profile=rgb_profile())
    for source, chroma, kept in ((grey, None, True), (grey, 444, False), (colours, 444, True), (colours, 400, False)):
        clip = open_still(source, StillConfig(chroma=chroma or 420, own_chroma=chroma is None))
        assert clip.still
        assert bool(clip.still.icc) == kept
        assert clip.colour == (BY_PROFILE if kept else FULL_SRGB)


@pytest.mark.parametrize(("subsampling", "chroma"), [(0, 444), (1, 422), (2, 420)])
@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_keeps_its_chroma_and_is_turned_once(
    orientation: int, size: tuple[int, int], subsampling: int, chroma: int, tmp_path: Path
) -> None:
    source, exif = tmp_path / "in.jpg", Image.Exif()
    exif[0x0112] = orientation
    picture(*size).save(source, quality=97, subsampling=subsampling, exif=exif)
    clip = open_still(source, StillConfig())
    assert clip.chroma == chroma
    with Image.open(source) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    (planes,) = clip.frames()
    assert (clip.height, clip.width) == upright.shape[:2]
    for plane, wanted in zip(planes, rgb_to_planes(upright, chroma=chroma, full_range=True), strict=True):
        assert plane.shape == wanted.shape
        assert np.abs(plane.astype(int) - wanted).mean() < 1.5
    (grey,) = next(open_still(source, StillConfig(chroma=400, own_chroma=False)).frames())
    assert np.abs(grey.astype(int) - planes[0]).mean() < 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_samples_of_16_bits_become_10_and_not_8_with_their_opacity(channels: int, tmp_path: Path) -> None:
    drawn = np.random.default_rng(channels).integers(0, 65536, (45, 67, channels), np.uint16)
    source = deep_png(tmp_path / "in.png", drawn)
    clip = open_still(source, StillConfig())
    (planes,) = clip.frames()
    assert clip.bit_depth == 10
    assert clip.chroma == (400 if channels < 3 else 444)
    drawn = drawn.astype(float)
    luma = drawn[..., :-1] if channels in (2, 4) else drawn
    expected = luma @ [0.299, 0.587, 0.114] if channels > 2 else luma[..., 0]
    assert np.abs(planes[0] - expected * 1023 / 65535).max() <= 0.51
    assert clip.still
    if channels in (2, 4):
        assert clip.still.alpha is not None
        assert np.abs(clip.still.alpha - drawn[..., -1] * 1023 / 65535).max() <= 0.5
    small = open_still(source, StillConfig(size=(32, 32)))
    assert (small.width, small.height, next(small.frames())[0].dtype) == (32, 20, np.uint16)


def test_a_tiff_of_16_bits_is_turned_once(tmp_path: Path) -> None:
    samples = np.zeros((48, 64), np.uint16)
    samples[:8] = 60000
    Image.fromarray(samples).save(tmp_path / "in.tif", tiffinfo={0x0112: 6})
    clip = open_still(tmp_path / "in.tif", StillConfig())
    (planes,) = clip.frames()
    luma = planes[0]
    assert luma.shape == (64, 48)
    assert luma[:, -8:].min() > 2 * luma[:, :-8].max(), "what was above is at the right"


def test_what_avif_cannot_hold_is_refused(tmp_path: Path) -> None:
    source, wide, clip = tmp_path / "in.png", tmp_path / "wide.png", tmp_path / "clip.y4m"
    picture(8, 8).save(source)
    Image.new("L", (16385, 1)).save(wide)
    clip.write_bytes(b"YUV4MPEG2 W4 H4 F25:1 C420jpeg\n" + 2 * (b"FRAME\n" + bytes(24)))
    with pytest.raises(ToolkitError, match=r"wide\.png: 16385x1 pixels; at most 16384 a side"):
        open_still(wide, StillConfig())
    with pytest.raises(ToolkitError, match=r"holds one picture. --frames 1 takes its first frame"):
        open_still(clip, StillConfig())
    assert open_still(clip, StillConfig(frames=1)).count == 1
    with pytest.raises(ToolkitError, match="samples are coded as they are"):
        open_still(clip, StillConfig(frames=1, depth=10))
    with pytest.raises(ToolkitError, match=r"chosen for \.avif alone"):
        encode_file(source, tmp_path / "out.ivf", EncodeConfig(depth=10))
    with pytest.raises(ToolkitError, match="one key frame"):
        encode_file(source, tmp_path / "out.avif", EncodeConfig(keyint=8))
    assert not list(tmp_path.glob("out*"))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.usefixtures("libaom")
def test_chromium_shows_the_colours_upright_and_through_the_opacity(tmp_path: Path) -> None:
    halves = np.zeros((40, 80, 4), np.uint8)
    halves[:, :40], halves[:, 40:] = (200, 30, 60, 255), (200, 30, 60, 128)
    source, turned = tmp_path / "halves.png", tmp_path / "turned.jpg"
    Image.fromarray(halves).save(source)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), (20, 90, 200)).save(turned, exif=exif, quality=95)
    for path in (source, turned):
        coded(path)
    body = "<img src=halves.avif style='position:absolute;left:0;top:0'>"
    body += "<img src=turned.avif style='position:absolute;left:100px;top:0'>"
    page = tmp_path / "page.html"
    page.write_text(f"<body style='margin:0;background:white'>{body}")
    shown = in_chromium(page, tmp_path)[1]
    for place, colour in (((20, 20), (200, 30, 60)), ((60, 20), (227, 142, 157)), ((120, 60), (20, 90, 200))):
        assert np.abs(np.array(shown.getpixel(place)) - colour).max() <= 4
    assert shown.getpixel((150, 20)) == (255, 255, 255), "the turned picture is 40 pixels wide"


@pytest.mark.usefixtures("libaom")
def test_encode_codes_a_picture_as_avifenc_does_by_default(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    picture().save(source)
    done = CliRunner().invoke(main, ["encode", str(source), "-o", str(tmp_path / "out.avif"), "--no-pipeline"])
    assert done.exit_code == 0, done.output
    _, report = coded(source, cq=25)
    assert f"bytes: {report.bytes}\n" in done.output
    assert (tmp_path / "out.avif").read_bytes() == (tmp_path / "in.avif").read_bytes()
    words = ["encode", str(source), "-o", str(tmp_path / "fast.avif"), "--cpu-used", "7"]
    assert "Stock libaom: in all-intra usage libaom searches no partitions" in CliRunner().invoke(main, words).output
