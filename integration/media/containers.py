"""Files that AV1 packets are written to, by the ending of their name."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path

import av

from integration.codec.encoder import EncodedFrame
from integration.media.ivf import IvfWriter
from toolkit.errors import ToolkitError
from toolkit.files import atomic_file

Write = Callable[[EncodedFrame], None]


@contextmanager
def output_file(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Write]:
    """A file for the frames of one encode, in order; call what is yielded with each.

    .ivf; .obu: the low-overhead format of the AV1 specification's section 5, a temporal delimiter before every
    temporal unit; .mp4, .mkv, .webm through FFmpeg, which makes av1C of the first packet's sequence header. Written
    whole or not at all. Raises ToolkitError on another ending, or where the place cannot be written.
    """
    check_ending(path)
    with atomic_file(path) as temporary, WRITERS[path.suffix.lower()](temporary, width, height, rate) as write:
        yield write


def check_ending(path: Path) -> None:
    """Raise ToolkitError where no file of that ending can be written."""
    if path.suffix.lower() not in WRITERS:
        raise ToolkitError(f"{path}: expected a name that ends in {', '.join(WRITERS)}.")


@contextmanager
def _ivf(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Write]:
    with path.open("wb") as file:
        ivf = IvfWriter(file, width, height, rate)
        yield lambda frame: ivf.write(frame.data)
        ivf.finish()


@contextmanager
def _obu(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Write]:
    with path.open("wb") as file:

        def write(frame: EncodedFrame) -> None:
            file.write(frame.data)  # libaom's packets are temporal units, delimiter included

        yield write


@contextmanager
def _container(path: Path, width: int, height: int, rate: Fraction) -> Iterator[Write]:
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_mux_stream("av1", rate=rate, width=width, height=height)

            def write(frame: EncodedFrame) -> None:
                packet = av.Packet(frame.data)
                packet.stream, packet.time_base = stream, 1 / rate
                packet.pts = packet.dts = frame.number  # temporal units come in the order of display
                packet.duration, packet.is_keyframe = 1, frame.key
                container.mux(packet)

            yield write
    except av.error.FFmpegError as error:
        raise ToolkitError(f"{path}: could not be written ({error}). Nothing was changed there.") from None


WRITERS: dict[str, Callable[[Path, int, int, Fraction], AbstractContextManager[Write]]] = {
    ".ivf": _ivf,
    ".obu": _obu,
    ".mp4": _container,
    ".mkv": _container,
    ".webm": _container,
}
