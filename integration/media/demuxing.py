"""Files that FFmpeg reads: opened, and the one stream of them that is the clip."""

from pathlib import Path

import av
from av.stream import Disposition

CONTAINERS = "matroska,mov,yuv4mpegpipe,ivf,obu,av1,avi,mpegts,mpeg,flv,ogg,asf,mxf,nut,h264,hevc,mpegvideo,m4v"
"""FFmpeg's demuxers that a clip may need. Others, such as concat and hls, would open further files."""
_DEFAULT_TRACK = 5_000_000
"""Pixels that a track marked as the default one may be smaller by, as in ffmpeg's choice."""


def demux(path: Path) -> av.container.InputContainer:
    """Open a file with FFmpeg, which may use the listed demuxers alone and open no other file."""
    # With "file:", because FFmpeg would take `a` in `a:b.y4m` for a protocol.
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    return av.open(f"file:{path}", container_options=options)


def is_cover(stream: av.VideoStream) -> bool:
    """Whether a video stream is a picture that stands for the file, such as cover art."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def video_of(container: av.container.InputContainer) -> av.VideoStream | None:
    """The stream that is the clip, None where there is none but cover art.

    Of several it is the one that ffmpeg takes: the largest, where a default one may be somewhat smaller.
    """
    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    return max(streams, key=_rank, default=None)


def _rank(stream: av.VideoStream) -> int:
    decoder = stream.codec_context
    pixels = decoder.width * decoder.height if decoder else -1
    return pixels + _DEFAULT_TRACK * bool(stream.disposition & Disposition.default)
