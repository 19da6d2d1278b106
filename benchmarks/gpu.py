"""Everything that needs a GPU, in one command: proofs in every GPU profile, latencies, training; one Markdown section.

    python benchmarks/gpu.py DATA BUNDLE... [-o SECTION.md] [--limit N] [--repeats N] [--profile NAME] [--batch N]

For each bundle: error and its ratio to PyTorch's own at that precision, node placement, batch variance, repeatability;
milliseconds of a call end to end, raw integers in host memory to logits in host memory; PyTorch's training throughput.
The proofs are written into the bundles, as by `av1part parity`. Precisions that depend on process-wide switches are
timed in processes of their own. What cannot be run reads "not run" with the reason. Exit 1 where a profile fails.

WebGPU on a software device takes minutes for a frame: `--profile webgpu-fp32 --batch 7 --limit 9 --repeats 1` shows
that all of this runs. The section names a software device as such.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

import click
import numpy as np

FRAME = 8160  # whole 16x16 nodes of 1920x1088
BATCHES = (64, 1024, FRAME)
GOAL = 2.0  # ms a frame, on one H100
PROFILES = ("cuda-strict", "cuda-tf32", "cuda-fp16", "tensorrt", "webgpu-fp32")
TRAINING_BATCH = 1024
NO_GPU = "PyTorch finds no GPU"
Row = list[str]


def median_ms(call: Callable[[], Any], repeats: int) -> float:
    """Median milliseconds of a call; the first three are not counted."""
    times = []
    for index in range(repeats + 3):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1e3 if index >= 3 else np.nan)
    return float(np.nanmedian(times))


def raw_blocks(contract: Any, batch: int) -> tuple[Any, Any]:
    from toolkit.data.blockset import luma_dtype

    rng = np.random.default_rng(0)
    shape = [size if isinstance(size, int) else batch for size in contract.inputs()["luma"]]
    luma = rng.integers(0, 1 << contract.bit_depth, shape).astype(luma_dtype(contract.bit_depth))
    return luma, rng.integers(0, 256, batch).astype(np.uint8)


def time_profile(path: Path, name: str, repeats: int, batches: tuple[int, ...]) -> dict[str, Any]:
    """Milliseconds by batch size, bound and unbound, of a profile's session; needs the profile's switches set.

    Nothing is bound on WebGPU, whose sessions run in processes of their own.
    """
    from bound import BoundModel

    from export.bundle.bundle import Bundle
    from export.graph.float16 import as_float16
    from export.graph.profiles import PROFILES as ALL
    from export.graph.profiles import check_strict
    from export.graph.runtime import RuntimeModel

    bundle, profile, found = Bundle.load(path, with_report=False), ALL[name], {}
    model = as_float16(bundle.model_bytes()) if profile.precision == "float16" else bundle.model_bytes()
    plain = RuntimeModel(model, bundle.contract, profile.provider, options=profile.options)
    check_strict(profile, plain.provider_options, os.environ)
    for batch in batches:
        luma, qindex = raw_blocks(bundle.contract, batch)
        times = {"unbound": median_ms(lambda x=luma, q=qindex: plain.one_call(x, q), repeats)}
        if profile.provider != "webgpu":
            bound = BoundModel(model, bundle.contract, batch, profile.provider, options=profile.options)
            times["bound"] = median_ms(lambda b=bound, x=luma, q=qindex: b.logits(x, q), repeats)
        found[str(batch)] = times
    return found


def time_torch(path: Path, repeats: int, batches: tuple[int, ...]) -> dict[str, Any]:
    """PyTorch on the GPU: milliseconds by batch size in eager float32 without TF32, and training's blocks a second."""
    import torch
    import torch.nn.functional as F

    from export.bundle.bundle import Bundle

    if not torch.cuda.is_available():
        return {"missing": NO_GPU}
    bundle = Bundle.load(path, with_report=False)
    model = bundle.checkpoint().model.cuda()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    found: dict[str, Any] = {"eager": {}}

    def inputs(batch: int) -> tuple[Any, Any]:
        luma, qindex = raw_blocks(bundle.contract, batch)
        return torch.from_numpy(luma).cuda().float(), torch.from_numpy(qindex).cuda().float()[:, None]

    with torch.inference_mode():
        for batch in batches:
            found["eager"][str(batch)] = median_ms(lambda n=batch: model(*inputs(n)).cpu(), repeats)
    model.train()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    luma, qindex = inputs(TRAINING_BATCH)
    target = torch.zeros(TRAINING_BATCH, dtype=torch.long, device="cuda")

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(model(luma, qindex), target).backward()
        optimiser.step()
        torch.cuda.synchronize()

    for precision, allowed in (("float32", False), ("TF32", True)):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
        found[precision] = TRAINING_BATCH / median_ms(step, repeats) * 1e3
    return found


def apart(path: Path, what: str, repeats: int, batches: tuple[int, ...]) -> dict[str, Any]:
    """Run `time_profile` or `time_torch` in a process with the profile's switches; {missing: why} where it cannot."""
    from export.graph.profiles import PROFILES as ALL

    switches = (ALL[what].environment or {}) if what in ALL else {}
    environment = {k: v for k, v in {**os.environ, **switches}.items() if v is not None}
    command = [sys.executable, __file__, str(path), str(path), "--only", what, "--repeats", str(repeats)]
    command += [word for batch in batches for word in ("--batch", str(batch))]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = run.stdout.splitlines()
    if run.returncode or not lines:
        return {"missing": (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1][:400]}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def proof_rows(name: str, results: dict[str, Any]) -> list[Row]:
    """Table rows of one bundle's proof, one for each profile."""
    from export.graph.vulkan import describe, identified

    rows = []
    for profile, r in results.items():
        if r["status"] == "not-run":
            rows.append([name, profile, f"not run: {short(r['reason'])}", *[""] * 6])
            continue
        repeats = {k: "to the bit" if v["equal"] else f"{v['largest']:.2g}" for k, v in r["repeatability"].items()}
        variance = max((v for v in r["batch_variance"].values() if v is not None), default=float("nan"))
        error = f"{r['rms']:.3g} ({r.get('ratio', float('nan')):.2f})"
        assumed = ", budget assumed" if r["budget_assumed"] else ""
        nodes = ", ".join(f"{k.removesuffix('ExecutionProvider')} {v}" for k, v in r["placement"].items())
        decisions = f"{r['flips']} ({r.get('near_tie_share', 0):.2%})"
        if identified(r["gpu"]):
            nodes += f", {describe(r['gpu'])}"
        verdict = r["status"] + assumed + (f": {short(r['reason'])}" if r["reason"] else "")
        repeated = ", ".join(f"{k}: {v}" for k, v in repeats.items())
        rows.append([name, profile, verdict, error, f"{r['max']:.3g}", decisions, f"{variance:.2g}", repeated, nodes])
    return rows


def time_rows(name: str, timed: dict[str, dict[str, Any]], eager: dict[str, Any]) -> list[Row]:
    """Table rows for each profile and batch: bound, unbound, PyTorch eager, and the goal for a frame."""
    rows = []
    for profile, found in timed.items():
        if "missing" in found:
            rows.append([name, profile, "", f"not run: {short(found['missing'])}", *[""] * 3])
            continue
        for batch, ms in found.items():
            best = ms.get("bound", ms["unbound"])
            goal = ("met" if best < GOAL else "missed") if batch == str(FRAME) else ""
            torch_ms = eager.get("eager", {}).get(batch)
            beside = f"{torch_ms:.3g} ({torch_ms / best:.2f}x)" if torch_ms else "not run"
            bound = f"{ms['bound']:.3g}" if "bound" in ms else "not offered"
            rows.append([name, profile, batch, bound, f"{ms['unbound']:.3g}", beside, goal])
    return rows


def short(reason: str) -> str:
    """The reason without its advice."""
    return reason.split(" Expected ")[0].removeprefix("Error: ").replace("|", "/")[:240].rstrip(".")


def table(head: str, rows: list[Row]) -> str:
    cells = head.split(" | ")
    return "\n".join(f"| {' | '.join(row)} |" for row in [cells, ["---"] * len(cells), *rows])


def section(health: dict[str, Any], proofs: list[Row], times: list[Row], training: list[Row]) -> str:
    """Markdown section of `examine`'s result and the three tables."""
    from export.bundle.write import versions

    gpu = ", ".join(health["driver"]["devices"]) or "none"
    found = [*health["problems"], *health["warnings"]] or ["no problem" if health["gpu"] else "no NVIDIA driver here"]
    problems = [f"- doctor: {text}" for text in found]
    packages = ", ".join(f"{k} {v}" for k, v in versions().items() if k in ("torch", "onnxruntime-gpu", "onnx"))
    return "\n\n".join(
        [
            "## On a GPU",
            f"`python benchmarks/gpu.py DATA BUNDLE...`; GPU: {gpu}; {packages}.",
            "\n".join(problems),
            "### Proofs",
            table(
                "bundle | profile | verdict | RMS error (times PyTorch's own) | largest | flips (near-ties) | "
                "largest difference between batch sizes | repeated | nodes",
                proofs,
            ),
            f"### Milliseconds a call, end to end (goal: under {GOAL:g} for {FRAME:,} blocks on one H100)",
            table("bundle | profile | blocks | IO binding | without | PyTorch eager (ratio) | goal", times),
            f"### Training, blocks a second (PyTorch, forward, backward and AdamW, batches of {TRAINING_BATCH:,})",
            table("bundle | float32 | TF32", training),
        ]
    )


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("bundles", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also write the section there.")
@click.option("--limit", default=2000, show_default=True, help="Blocks of a proof.")
@click.option("--repeats", default=50, show_default=True, help="Of each timed call.")
@click.option(
    "--profile", "profiles", multiple=True, type=click.Choice(PROFILES), default=PROFILES, help="These alone."
)
@click.option("--batch", "batches", multiple=True, type=int, help=f"Blocks of a call.  [default: {BATCHES}]")
@click.option("--only", hidden=True, help="Print one child's times: a profile, or torch.")
@click.pass_context
def main(
    ctx: click.Context, data: Path, bundles: tuple[Path, ...], output: Path | None, limit: int, repeats: int,
    profiles: tuple[str, ...], batches: tuple[int, ...], only: str | None,
) -> None:  # fmt: skip
    """Print a Markdown section on everything of these bundles that needs a GPU."""
    if only:
        sizes = batches or BATCHES
        found = time_torch(data, repeats, sizes) if only == "torch" else time_profile(data, only, repeats, sizes)
        click.echo(json.dumps(found))
        return
    from export.proof.config import ParityConfig
    from export.proof.doctor import examine
    from export.proof.prove import prove

    sizes: dict[str, Any] = {"batches": batches} if batches else {}
    health, proofs, times, training, failed = examine(), [], [], [], False
    for path in bundles:
        click.echo(f"{path}: proofs", err=True)
        result = prove(path, data, ParityConfig(profiles=profiles, limit=limit, **sizes))
        failed |= any(r["status"] == "failed" for r in result["profiles"].values())
        proofs += proof_rows(path.name, result["profiles"])
        click.echo(f"{path}: times", err=True)
        torch_times = apart(path, "torch", repeats, batches)
        timed = {}
        for name in profiles:
            proof = result["profiles"][name]
            missing = {"missing": proof["reason"]}
            timed[name] = missing if proof["status"] == "not-run" else apart(path, name, repeats, batches)
        times += time_rows(path.name, timed, torch_times)
        trained = [f"{torch_times[p]:,.0f}" for p in ("float32", "TF32")] if "missing" not in torch_times else None
        training.append([path.name, *(trained or [f"not run: {short(torch_times['missing'])}", ""])])
    text = section(health, proofs, times, training)
    click.echo(text)
    if output:
        output.write_text(text + "\n")
    if failed:
        ctx.exit(1)


if __name__ == "__main__":
    main()
