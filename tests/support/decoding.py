"""Streams decoded by another decoder than libaom's."""

import io
from fractions import Fraction

import av
import numpy as np

from integration.codec.encoded_frame import EncodedFrame
from integration.codec.encoder import EncoderConfig
from integration.media.containers import IvfWriter


def decode(packets: list[bytes], config: EncoderConfig) -> list[list[np.ndarray]]:
    """The planes of every frame as another decoder (dav1d) shows them."""
    file = io.BytesIO()
    ivf = IvfWriter(file, config.width, config.height, Fraction(30))
    for packet in packets:
        ivf.write(packet)
    ivf.finish()
    file.seek(0)
    kind = np.dtype(np.uint8 if config.bit_depth == 8 else "<u2")
    frames = []
    with av.open(file, format="ivf") as container:
        assert container.streams.video[0].codec_context.codec.name == "libdav1d"
        for decoded in container.decode(video=0):
            planes = []
            for index, plane in enumerate(decoded.planes):
                height, width = config.plane_shape(index)
                rows = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
                planes.append(rows[:height, :width].copy())
            frames.append(planes)
    return frames


def assert_decodes(result: EncodedFrame, config: EncoderConfig) -> None:
    """The encoder's reconstruction is what another decoder shows."""
    (planes,) = decode([result.data], config)
    for ours, theirs in zip(result.reconstruction, planes, strict=True):
        np.testing.assert_array_equal(ours, theirs)
