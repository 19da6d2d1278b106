"""Make a pipeline of a proven bundle, ask it for a frame's mask, and encode the frame with and without the mask.

    python examples/mask_frame.py BUNDLE OUT [--data DATA] [--size 256x192] [--cq 32]

BUNDLE is what examples/train_and_export.py made. The frame is the middle of the test source with the most contrast.
"""

import argparse
from pathlib import Path

import numpy as np

import av1part
from av1part import BlockSet, BuildConfig, Encoder, EncoderConfig, Pipeline, Policy, Thresholds, build_pipeline

SAMPLE = av1part.ROOT / "toolkit" / "sample"


def main() -> None:
    """Build the pipeline, print what its mask allows, and print the bytes of both encodes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("output", type=Path, help="Pipeline folder to make.")
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--size", default="256x192")
    parser.add_argument("--cq", type=int, default=32)
    parser.add_argument("--drop-ab-below", type=float, default=0.25, help="Forbid AB where p(AB) is below this.")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))

    policy = Policy(((255, Thresholds(drop_ab_below=options.drop_ab_below)),))  # one range of qindex: 0 to 255
    build_pipeline([options.bundle], options.output, policy, BuildConfig(provider="cpu"))
    pipeline = Pipeline.load(options.output)

    data = BlockSet.load(options.data)
    frames = [data.luma(i)[0] for i, source in enumerate(data.sources) if source["split"] == "test"]
    luma = max(frames, key=np.std)
    top, left = (luma.shape[0] - height) // 2, (luma.shape[1] - width) // 2
    luma = luma[top : top + height, left : left + width]
    grey = np.full((2, (height + 1) // 2, (width + 1) // 2), 1 << (data.bit_depth - 1), luma.dtype)

    mask = pipeline.mask(luma, qindex=128)  # bit k of a node: partition id k may be searched; 0: all may
    print(f"mask: {mask.dtype} {mask.shape}, {np.count_nonzero(mask != 0x3FF)} of {mask.size} nodes restricted")

    config = EncoderConfig(width, height, data.bit_depth, cq=options.cq, cpu_used=1)
    for name, source in (("without masks", None), ("with masks", pipeline.mask)):
        with Encoder(config, source) as encoder:  # asks the source once it knows the frame's true qindex
            frame = encoder.encode((luma, *grey))
        print(f"{name}: {len(frame.data)} bytes at qindex {frame.qindex}, {frame.masked_nodes} nodes masked")


if __name__ == "__main__":
    main()
