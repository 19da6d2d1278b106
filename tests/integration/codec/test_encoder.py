"""The typed encoder: what it refuses, and a mask source that may fail but never breaks an encode."""

from contextlib import ExitStack

import av
import numpy as np
import pytest
from support.pictures import frame

from integration.codec.config import CHROMAS
from integration.codec.encoder import Encoder, EncoderConfig
from integration.codec.native import MAX_ENCODERS
from toolkit.errors import ToolkitError

CONFIG = EncoderConfig(64, 48, cq=25)
NODES = (3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width"),
        ({"height": 20000}, "height"),
        ({"bit_depth": 9}, "bit_depth"),
        ({"chroma": 440}, "chroma"),
        ({"cq": 64}, "cq"),
        ({"cq": -1}, "cq"),
        ({"cpu_used": 10}, "cpu_used"),
        ({"threads": 0}, "threads"),
        ({"usage": "realtime"}, "realtime"),
        ({"keyint": 0}, "keyint"),
        ({"keyint": 8, "lag": 49}, "lag"),
        ({"lag": 4}, "keyint above 1"),
        ({"usage": "allintra", "keyint": 9}, "key frames only"),
    ],
)
@pytest.mark.usefixtures("libaom")
def test_settings_out_of_range_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ToolkitError, match=message):
        Encoder(EncoderConfig(**({"width": 64, "height": 48} | change)))


@pytest.mark.usefixtures("libaom")
def test_one_encoder_too_many_is_refused_by_its_number() -> None:
    with ExitStack() as stack:
        for _ in range(MAX_ENCODERS):
            stack.enter_context(Encoder(CONFIG))
        with pytest.raises(ToolkitError, match=r"64 are open in this process already\. Close one first"):
            Encoder(CONFIG)
    Encoder(CONFIG).close()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((4, 3), np.uint16), r"uint16\(4, 3\), expected uint16\(3, 4\)"),
        (np.zeros(12, np.uint16), "expected uint16"),
        (np.zeros(NODES, np.int64), "int64"),
        (np.zeros((1, *NODES), np.uint16), "expected uint16"),
        (np.full(NODES, 1 << 10, np.uint16), "bits beyond 9"),
        ([[0] * 4] * 3, "list"),
        ({32: np.zeros(NODES, np.uint16)}, r"uint16\(3, 4\), expected uint16\(2, 2\), one entry a 32x32 node"),
        ({16: np.zeros(NODES, np.uint16), 32: np.full((2, 2), 1 << 10, np.uint16)}, "bits beyond 9"),
        ({32: np.zeros((2, 2))}, "float64"),
        ({24: np.zeros((1, 1), np.uint16)}, "size 24, expected one of 8, 16, 32, 64, 128"),
    ],
)
@pytest.mark.usefixtures("libaom")
def test_a_mask_of_the_wrong_kind_is_refused(mask: np.ndarray, message: str) -> None:
    with Encoder(CONFIG) as encoder:
        with pytest.raises(ToolkitError, match=message):
            encoder.encode(frame(64, 48), mask)
        assert encoder.encode(frame(64, 48)).data, "the encoder goes on after a refusal"


@pytest.mark.usefixtures("libaom")
def test_frames_of_the_wrong_kind_are_refused() -> None:
    y, u, v = frame(64, 48)
    deep = frame(64, 48, 10)
    wrong = [
        ((y[:47], u, v), "plane 0 has shape"),
        ((y, u[:, :31], v), "plane 1 has shape"),
        ((y, u), "2 planes"),
        ((y / np.float32(255), u, v), "scaled already"),
        (deep, "uint16, expected raw code values as uint8"),
    ]
    with Encoder(CONFIG) as encoder:
        for planes, message in wrong:
            with pytest.raises(ToolkitError, match=message):
                encoder.encode(planes)
    with Encoder(EncoderConfig(64, 48, 10)) as encoder:
        with pytest.raises(ToolkitError, match="10 bit end at 1023"):
            encoder.encode((deep[0] + np.uint16(1000), *deep[1:]))
        with pytest.raises(ToolkitError, match="uint8, expected raw code values as uint16"):
            encoder.encode((y, u, v))


@pytest.mark.parametrize("bit_depth", [8, 10, 12])
@pytest.mark.parametrize("chroma", CHROMAS)
@pytest.mark.usefixtures("libaom")
def test_a_decoder_gives_the_reconstruction_in_every_format_at_odd_sizes(chroma: int, bit_depth: int) -> None:
    config = EncoderConfig(67, 45, bit_depth, 20, 6, "allintra", chroma=chroma)
    drawn = np.random.default_rng(chroma)
    kind = np.uint8 if bit_depth == 8 else np.uint16
    planes = [
        np.clip(np.cumsum(drawn.integers(-9, 10, config.plane_shape(plane)), 1) + 99, 0, 255).astype(kind)
        for plane in range(config.planes)
    ]
    planes = [plane << (bit_depth - 8) for plane in planes]
    with Encoder(config) as encoder:
        coded = encoder.encode(planes)
    decoder = av.CodecContext.create("libdav1d", "r")
    (decoded,) = [*decoder.decode(av.Packet(coded.data)), *decoder.decode(None)]
    names = {420: "yuv420p", 422: "yuv422p", 444: "yuv444p", 400: "gray"}
    assert decoded.format.name == names[chroma] + {8: "", 10: "10le", 12: "12le"}[bit_depth]
    assert len(coded.reconstruction) == len(planes) == len(decoded.planes)
    for plane, ours, given in zip(decoded.planes, coded.reconstruction, planes, strict=True):
        theirs = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]
        np.testing.assert_array_equal(theirs, ours)
        assert np.abs(given.astype(int) - ours).mean() < 12 << (bit_depth - 8)


@pytest.mark.usefixtures("libaom")
def test_a_closed_encoder_says_so() -> None:
    encoder = Encoder(CONFIG)
    encoder.close()
    encoder.close()
    with pytest.raises(ToolkitError, match="closed"):
        encoder.encode(frame(64, 48))


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.usefixtures("libaom")
def test_planes_need_not_be_contiguous(bit_depth: int) -> None:
    y, u, v = frame(65, 49, bit_depth)
    wide = np.zeros((49, 200), y.dtype)
    wide[:, 7:72] = y
    config = EncoderConfig(65, 49, bit_depth)
    with Encoder(config) as first, Encoder(config) as second:
        assert first.encode((y, u, v)).data == second.encode((wide[:, 7:72], u, np.asfortranarray(v))).data


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.usefixtures("libaom")
def test_the_mask_source_sees_the_frame_and_its_true_qindex_once(bit_depth: int) -> None:
    seen: list[tuple[np.ndarray, int]] = []

    def source(luma: np.ndarray, qindex: int) -> np.ndarray:
        seen.append((luma, qindex))
        return np.full((4, 5), 1 << 3, np.uint16)

    frames = [frame(69, 59, bit_depth, left=left) for left in (100, 130)]
    with Encoder(EncoderConfig(69, 59, bit_depth, cq=40), source) as encoder:
        results = [encoder.encode(planes) for planes in frames]
        assert encoder.mask_seconds > 0
    assert [q for _, q in seen] == [r.qindex for r in results]
    for (luma, _), planes in zip(seen, frames, strict=True):
        assert luma.dtype == planes[0].dtype
        np.testing.assert_array_equal(luma, planes[0])
    with Encoder(EncoderConfig(69, 59, bit_depth, cq=40)) as encoder:
        again = encoder.encode(frames[0], np.full((4, 5), 1 << 3, np.uint16))
    assert again.data == results[0].data, "a mask given with the frame acts as the source's"


def raises(luma: np.ndarray, qindex: int) -> np.ndarray:
    raise ValueError("no model")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (raises, "ValueError: no model"),
        (lambda luma, qindex: np.zeros((3, 5), np.uint16), "expected uint16"),
        (lambda luma, qindex: np.zeros(NODES), "float64"),
        (lambda luma, qindex: {16: np.full(NODES, 8, np.uint16), 32: np.zeros((3, 2), np.uint16)}, "32x32 node"),
        (lambda luma, qindex: None, "gave none"),
    ],
)
@pytest.mark.usefixtures("libaom")
def test_a_failing_mask_source_leaves_the_frame_unmasked_and_counted(source: object, message: str) -> None:
    with Encoder(CONFIG) as encoder:
        plain = encoder.encode(frame(64, 48))
    with Encoder(CONFIG, source) as encoder:
        result = encoder.encode(frame(64, 48))
        assert encoder.failed_masks == 1
    assert result.data == plain.data
    assert result.masked_nodes == 0
    assert result.mask_error is not None
    assert message in result.mask_error


@pytest.mark.usefixtures("libaom")
def test_an_interrupt_in_the_mask_source_is_raised_after_the_frame() -> None:
    def interrupted(luma: np.ndarray, qindex: int) -> np.ndarray:
        raise KeyboardInterrupt

    with Encoder(CONFIG, interrupted) as encoder, pytest.raises(KeyboardInterrupt):
        encoder.encode(frame(64, 48))


@pytest.mark.usefixtures("libaom")
def test_an_encoder_may_run_inside_anothers_mask_source_but_not_itself() -> None:
    def nested(luma: np.ndarray, qindex: int) -> np.ndarray:
        with Encoder(CONFIG) as inner:
            bits = np.left_shift(1, inner.encode(frame(64, 48)).labels[16] % 16).astype(np.uint16)
        return np.where(bits >= 1 << 10, 0, bits).astype(np.uint16)

    with Encoder(CONFIG, nested) as outer:
        result = outer.encode(frame(64, 48))
    assert result.mask_error is None
    assert result.masked_nodes > 0

    def itself(luma: np.ndarray, qindex: int) -> np.ndarray:
        encoder.encode(frame(64, 48))
        return np.zeros(NODES, np.uint16)

    with Encoder(CONFIG, itself) as encoder:
        result = encoder.encode(frame(64, 48))
    assert result.mask_error is not None
    assert "called while encoding" in result.mask_error


@pytest.mark.usefixtures("libaom")
def test_libaoms_own_cnn_can_be_switched_off_where_it_is_used() -> None:
    def coded(cpu_used: int, size: tuple[int, int], off: bool) -> bytes:
        with Encoder(EncoderConfig(*size, cq=32, cpu_used=cpu_used)) as encoder:
            if off:
                encoder.disable_cnn()
            return encoder.encode(frame(*size)).data

    assert coded(2, (320, 192), off=True) != coded(2, (320, 192), off=False)
    assert coded(0, (64, 64), off=True) == coded(0, (64, 64), off=False)
