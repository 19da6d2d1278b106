"""Train a Stage-2 model, choose its best epoch, export it to an ONNX bundle and prove the bundle.

    python examples/train_and_export.py OUT [--data DATA] [--epochs 4] [--limit-train 8000]

OUT gets two folders: `run`, the training run, and `bundle`, what examples/mask_frame.py takes.
"""

import argparse
from pathlib import Path

import av1part
from av1part import (
    BlockSet,
    ModelConfig,
    ParityConfig,
    RunFolder,
    TrainConfig,
    choose_checkpoint,
    prove,
    train,
    write_bundle,
)

SAMPLE = av1part.ROOT / "toolkit" / "sample"


def main() -> None:
    """Run the four steps and print the result of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--limit-train", type=int, default=8000)
    parser.add_argument("--limit-val", type=int, default=2000)
    parser.add_argument("--blocks", type=int, default=500, help="Held-out blocks that the proof compares.")
    options = parser.parse_args()

    data = BlockSet.load(options.data)
    run = RunFolder(options.output / "run")
    model = ModelConfig(stage="2", backbone="small", bit_depth=data.bit_depth, node=data.node)
    limits = {"epochs": options.epochs, "limit_train": options.limit_train, "limit_val": options.limit_val}
    config = TrainConfig(init="random", lr=2e-3, device="cpu", augment="dihedral", **limits)
    for epoch in train(data, run, model, config):
        print(f"epoch {epoch['epoch']}: loss {epoch['loss']:.3f}, validation macro-F1 {epoch['macro_f1']:.3f}")

    chosen = choose_checkpoint(run.path)  # evaluates the best epoch again, from its file
    bundle = write_bundle(chosen, options.output / "bundle")
    print(f"{bundle.path}: {chosen.path.name}, {', '.join(bundle.classes)}")

    proof = prove(bundle.path, options.data, ParityConfig(limit=options.blocks, batches=(1, 64), providers=("cpu",)))
    result = proof["providers"]["cpu"]
    print(f"proof: {result['status']}, {result['flips']} decisions differ, RMS error {result['rms']:.2g}")


# choose_checkpoint starts a fresh Python process, which imports this file: the guard keeps it from training again.
if __name__ == "__main__":
    main()
