"""ONNX Runtime against PyTorch on one stage: both sides in one run, interleaved, so that their ratio means something.

    python benchmarks/runtime.py [--backbone NAME]... [--threads N]... [--batch N]... [--repeats N] [--options]

Times raw integer blocks in, logits out, as each side would be used. PyTorch eager runs a batch in one call, and cut
into calls of 256, whichever is faster counts. torch.compile is left out, and says why, where there is no compiler.
Prints medians with the quartiles, and the ratio of each round's times. `--options`: session options against the
product's, on the largest batch. On CUDA the same, or "not run" where there is none. IO binding: inputs and output in
buffers on the device, luma copied there as raw integers and cast there (benchmarks/bound.py). benchmarks/gpu.py has
the goal for a frame on a GPU, with real bundles and every CUDA profile.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

import click
import numpy as np
import torch
from bound import BoundModel
from numpy.typing import NDArray

from export.graph.contract import Contract
from export.graph.export import export_onnx
from export.graph.runtime import MAX_BATCH, ProviderUnavailable, RuntimeModel, feed, ort
from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet, predict

Run = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Any]
FRAME = 8160  # whole 16x16 nodes of 1920x1088
CUT = 256
PAUSE, SHORTEST = 0.05, 0.05  # seconds: threads of the last run go to sleep; one measurement lasts at least
OPTIONS: dict[str, Callable[[ort.SessionOptions], None]] = {
    "threads spin": lambda o: o.add_session_config_entry("session.intra_op.allow_spinning", "1"),
    "threads sleep": lambda o: o.add_session_config_entry("session.intra_op.allow_spinning", "0"),
    "graph level extended": lambda o: setattr(o, "graph_optimization_level", ort.GraphOptimizationLevel(2)),
    "graph level basic": lambda o: setattr(o, "graph_optimization_level", ort.GraphOptimizationLevel(1)),
    "no memory arena": lambda o: setattr(o, "enable_cpu_mem_arena", False),
    "no memory pattern": lambda o: setattr(o, "enable_mem_pattern", False),
}


def eager(model: PartitionNet, device: str = "cpu") -> Run:
    """PyTorch eager in one call a batch or in calls of CUT blocks, whichever is faster at the first call."""
    model = model.to(device)
    choices: dict[int, Run] = {size: lambda x, q, size=size: predict(model, x, q, batch=size) for size in (FRAME, CUT)}
    best: dict[int, Run] = {}

    def run(luma: NDArray[np.uint8], qindex: NDArray[np.uint8]) -> Any:
        if len(luma) not in best:
            best[len(luma)] = min(choices.values(), key=lambda choice: seconds(choice, luma, qindex))
        return best[len(luma)](luma, qindex)

    return run


def compiled(model: PartitionNet, device: str = "cpu") -> Run:
    """torch.compile in one program for all batches above 1, in calls of CUT blocks."""
    torch._dynamo.reset()
    program: Any = torch.compile(model.to(device), dynamic=True)

    @torch.inference_mode()
    def run(luma: NDArray[np.uint8], qindex: NDArray[np.uint8]) -> Any:
        x = torch.from_numpy(luma).to(device).float().split(CUT)
        q = torch.from_numpy(qindex).to(device).float()[:, None].split(CUT)
        return torch.cat([program(a, b) for a, b in zip(x, q, strict=True)]).cpu()

    return run


def product(data: bytes, contract: Contract, threads: int) -> Run:
    """ONNX Runtime as a pipeline runs a bundle."""
    return RuntimeModel(data, contract, threads=threads).logits


def with_options(data: bytes, threads: int, change: Callable[[ort.SessionOptions], None]) -> Run:
    """A bare session that differs from ONNX Runtime's defaults in one option."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    change(options)
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(luma: NDArray[np.uint8], qindex: NDArray[np.uint8]) -> Any:
        for start in range(0, len(luma), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            session.run(["logits"], feed(luma[part], qindex[part]))

    return run


def bound(data: bytes, contract: Contract, batch: int, provider: str, threads: int | None = None) -> Run:
    """ONNX Runtime with inputs and output bound to buffers on the device, where raw integers are cast."""
    return BoundModel(data, contract, batch, provider, threads).logits


def on_cuda(data: bytes, contract: Contract, model: PartitionNet, batch: int) -> dict[str, Run]:
    """The sides on CUDA in strict float32; ProviderUnavailable without CUDA."""
    sides = {"ONNX Runtime, IO binding": bound(data, contract, batch, "cuda")}
    sides["ONNX Runtime"] = RuntimeModel(data, contract, "cuda").one_call
    return sides | ({"PyTorch eager": eager(model, "cuda")} if torch.cuda.is_available() else {})


def seconds(run: Run, luma: NDArray[np.uint8], qindex: NDArray[np.uint8]) -> float:
    """Mean seconds of a call over at least SHORTEST seconds of calls; the first call is not counted."""
    run(luma, qindex)
    time.sleep(PAUSE)
    calls, begun = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - begun < SHORTEST:
        run(luma, qindex)
        calls += 1
    return (time.perf_counter() - begun) / calls


def measure(sides: dict[str, Run], batch: int, repeats: int, title: str) -> None:
    """Print a row for each side: milliseconds, and how many times faster the first side is."""
    rng = np.random.default_rng(0)
    luma = rng.integers(0, 256, (batch, 1, 16, 16)).astype(np.uint8)
    qindex = rng.integers(0, 256, batch).astype(np.uint8)
    rounds = np.array([[seconds(run, luma, qindex) for run in sides.values()] for _ in range(repeats)])
    for name, times in zip(sides, rounds.T, strict=True):
        low, middle, high = np.percentile(times * 1e3, (25, 50, 75))
        slow, ratio, fast = np.percentile(times / rounds[:, 0], (25, 50, 75))
        cells = (
            title,
            f"{batch:,}",
            name,
            f"{middle:.3g} ({low:.3g}–{high:.3g})",
            f"{ratio:.2f} ({slow:.2f}–{fast:.2f})",
        )
        print("| " + " | ".join(cells) + " |", flush=True)


@click.command()
@click.option("--backbone", "backbones", multiple=True, default=("small", "resnet18-se"), show_default=True)
@click.option("--threads", "counts", type=int, multiple=True, default=(1, 2), show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 64, 1024, FRAME), show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--options", is_flag=True, help="Session options instead, on the largest batch.")
@click.option("--no-compile", is_flag=True, help="Leave torch.compile out: it takes a minute a model and thread count.")
def main(
    backbones: tuple[str, ...], counts: tuple[int, ...], batches: tuple[int, ...], repeats: int, options: bool,
    no_compile: bool,
) -> None:  # fmt: skip
    """Print one Markdown table; the ratio is a side's time over the first side's, round by round."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    print(f"torch {torch.__version__}, ONNX Runtime {ort.__version__}, {os.cpu_count()} cores", file=sys.stderr)
    if not compiler:
        print("torch.compile is left out: no C++ compiler on this machine.", file=sys.stderr)
    print("| backbone, threads | batch | side | ms (quartiles) | ratio to the first side (quartiles) |")
    print("|---|---|---|---|---|")
    for backbone in backbones:
        model = PartitionNet(ModelConfig("2", backbone)).eval()
        data, contract = export_onnx(model), Contract.of(model.config)
        for threads in counts:
            torch.set_num_threads(threads)
            title = f"{backbone}, {threads}"
            sides = {"ONNX Runtime": product(data, contract, threads)}
            if options:
                sides |= {name: with_options(data, threads, change) for name, change in OPTIONS.items()}
                measure(sides, max(batches), repeats, title)
                continue
            sides["PyTorch eager"] = eager(model)
            if compiler and not no_compile:
                sides["torch.compile"] = compiled(model)
            for batch in batches:
                sides["ONNX Runtime, IO binding"] = bound(data, contract, batch, "cpu", threads)
                measure(sides, batch, repeats, title)
        if options:
            continue
        for batch in batches:
            try:
                measure(on_cuda(data, contract, model, batch), batch, repeats, f"{backbone}, CUDA")
            except ProviderUnavailable as error:
                reason = error.message.split(": ", 1)[-1].split(". ")[0]
                print(f"| {backbone}, CUDA | {batch:,} | ONNX Runtime, IO binding | not run: no CUDA ({reason}) | |")


if __name__ == "__main__":
    main()
