"""Masks of a clip, frame by frame, in a file that says what made them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from integration.media.video import Clip
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.policy import ALL
from toolkit.errors import ToolkitError
from toolkit.files import atomic_file, atomic_write_json

SUFFIXES = (".npz", ".npy")


def write_masks(
    pipeline: Pipeline, clip: Clip, qindex: int, output: Path, progress: Callable[[int], None] = lambda frames: None
) -> dict[str, Any]:
    """Write masks uint16 (frames, rows, columns) of a clip coded at `qindex` and return their description.

    .npz holds `masks` and `metadata` (JSON text); .npy holds the masks alone, and the description lies beside it as
    <output>.json. `progress` is called with the number of frames done. Raises ToolkitError on another suffix, another
    bit depth or a clip without frames. `inference_seconds` is CPU time of the whole process.
    """
    if output.suffix not in SUFFIXES:
        raise ToolkitError(f"{output}: expected a name that ends in {' or '.join(SUFFIXES)}.")
    if clip.bit_depth != pipeline.bit_depth:
        raise ToolkitError(
            f"{clip.path} has {clip.bit_depth} bit, {pipeline.path} takes {pipeline.bit_depth}. "
            "Use a pipeline trained on that depth."
        )
    masks, seconds = [], 0.0
    for number, planes in enumerate(clip.frames(), start=1):
        before = time.process_time()
        masks.append(pipeline.mask(planes[0], qindex))
        seconds += time.process_time() - before
        progress(number)
    if not masks:
        raise ToolkitError(f"{clip.path}: holds no frame.")
    array = np.stack(masks)
    description = {
        "clip": clip.path.name,
        "width": clip.width,
        "height": clip.height,
        "bit_depth": clip.bit_depth,
        "frames": len(masks),
        "qindex": qindex,
        "pipeline_sha256": pipeline.sha256,
        "policy": pipeline.policy.to_dict(),
        "node": pipeline.node,
        "restricted": float(((array != 0) & (array != ALL)).mean()),
        "inference_seconds": seconds,
        "mask": f"uint16 (frames, rows, columns) over {pipeline.node}x{pipeline.node} nodes; "
        "bit k allows AV1 partition id k; 0 is unrestricted",
    }
    with atomic_file(output) as temporary:
        if output.suffix == ".npz":
            np.savez_compressed(temporary, masks=array, metadata=np.array(json.dumps(description)))
        else:
            np.save(temporary, array, allow_pickle=False)
    if output.suffix == ".npy":
        atomic_write_json(output.with_name(output.name + ".json"), description)
    return description
