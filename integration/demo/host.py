"""One encode by a host of libaom, measured from outside: its CPU time, bytes and PSNR-Y."""

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np

from integration.demo.table import Encoded


def ffmpeg_command(clip: Path, size: str, cq: int, cpu_used: int, output: Path) -> list[str]:
    """Command by which ffmpeg encodes a raw 8-bit frame of WxH with libaom, on one thread."""
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", size, "-i", str(clip)]
    codec = ["-c:v", "libaom-av1", "-usage", "good", "-cpu-used", str(cpu_used), "-crf", str(cq), "-b:v", "0"]
    return ["ffmpeg", "-loglevel", "error", "-y", *source, *codec, "-threads", "1", str(output)]


def measure(run: Callable[[], None], clip: Path, size: str, output: Path) -> Encoded:
    """What `av1part encode --json` says of an encode, found from outside of the process that `run` starts.

    `encode_seconds` is the user CPU time of that process, its start included.
    """
    from integration.media.video import open_clip

    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    run()
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    width, height = map(int, size.split("x"))
    source = np.fromfile(clip, np.uint8, width * height).reshape(height, width)
    error = ((next(open_clip(output).frames())[0].astype(float) - source) ** 2).mean()
    return {
        "bytes": output.stat().st_size,
        "psnr_y": float(10 * np.log10(255**2 / error)),
        "encode_seconds": seconds,
        "inference_seconds": 0.0,
        "masked_blocks": 0,
    }
