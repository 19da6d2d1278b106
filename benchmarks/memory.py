"""Peak memory and load time of a large BlockSet: 450,000 blocks by default, 10 bit, a fifth of them for validation.

    python benchmarks/memory.py [--blocks N] [--backbone NAME] [--steps N]

The set is made of noise in a temporary folder. A fresh process then loads it, trains `--steps` batches, evaluates the
whole validation split while the training blocks are still there, and prints its peak resident memory.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

import click

GOAL_GIB, GOAL_SECONDS = 3.0, 5.0


def peak_gib() -> float:
    """Peak resident memory of this process (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def inside(folder: Path, data: Path, backbone: str, steps: int) -> dict[str, float]:
    """What the fresh process measures."""
    from toolkit.data.blockset import BlockSet  # loaded before the clock runs
    from toolkit.model.config import ModelConfig
    from toolkit.model.network import PartitionNet
    from toolkit.training.config import TrainConfig
    from toolkit.training.data import validation_blocks
    from toolkit.training.run_folder import RunFolder
    from toolkit.training.selection import evaluate
    from toolkit.training.train import train

    class Enough(Exception):
        pass

    found = {"GiB, imports": peak_gib()}
    begun, cpu = time.perf_counter(), time.process_time()
    blocks = BlockSet.load(data)
    found |= {"s, load": time.perf_counter() - begun, "s of CPU time, load": time.process_time() - cpu}
    found["GiB, loaded"] = peak_gib()
    model = ModelConfig("2", backbone, bit_depth=blocks.bit_depth)

    def stop(what: str, done: int, total: int) -> None:
        found.setdefault("s, until the first step", time.perf_counter() - begun)
        if done == min(steps, total):
            found.update({"s, until the last step": time.perf_counter() - begun, "GiB, trained": peak_gib()})
            val = validation_blocks(blocks, model, None)
            evaluate(PartitionNet(model), val)
            found.update({"s, until evaluated": time.perf_counter() - begun, "GiB, evaluated": peak_gib()})
            raise Enough

    try:
        config = TrainConfig(init="random", epochs=1, device="cpu")
        train(blocks, RunFolder(folder / "run"), model, config, on_step=stop)
    except Enough:
        return found
    raise AssertionError("training never reached its last step")


@click.command()
@click.option("--blocks", default=450_000, show_default=True)
@click.option("--backbone", default="small", show_default=True)
@click.option("--steps", default=50, show_default=True)
@click.option("--inside", "folder", type=click.Path(path_type=Path), hidden=True)
def main(blocks: int, backbone: str, steps: int, folder: Path | None) -> None:
    """Print one Markdown table."""
    if folder is not None:
        print(json.dumps(inside(folder, folder / "data", backbone, steps)))
        return
    from synthetic import write_noise

    with tempfile.TemporaryDirectory() as name:
        write_noise(Path(name) / "data", blocks - blocks // 5, blocks // 5, bit_depth=10)
        options = ["--backbone", backbone, "--steps", str(steps), "--inside", name]
        done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    print(f"| {blocks:,} blocks of 10 bit, {backbone} | |\n|---|---|")
    for key, value in found.items():
        print(f"| {key} | {value:.2f} |")
    for key, goal in (("GiB, evaluated", GOAL_GIB), ("s, load", GOAL_SECONDS)):
        print(f"| {key}: at most {goal:g} | {'met' if found[key] <= goal else 'missed'} |")


if __name__ == "__main__":
    main()
