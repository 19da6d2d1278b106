"""What this machine is fast in: the precision to train in, and options that make training slower here.

PyTorch is asked first. Where its answer does not tell, steps of training are timed for about a second.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from toolkit.model.config import ModelConfig
from toolkit.model.network import PartitionNet
from toolkit.option import Options
from toolkit.training.config import TrainConfig
from toolkit.training.execution import Execution, fabric_on
from toolkit.training.losses import make_loss

SECONDS = 1.0
"""Time for the steps that are compared, the first step of each side not counted."""
GAIN, LOSS = 1.15, 0.95
"""Ratios of speed from which bf16 is chosen, and below which an option is called slower: timings waver by less."""
BATCH = 128
_FLAGS: Options = {"channels_last": False, "fused": False}


def stepper(model_config: ModelConfig, config: TrainConfig, device: str) -> Callable[[], Any]:
    """Training step of a new network on a batch of noise, run on `device` as `train` runs it with the config."""
    fabric = fabric_on(device, 1, config.precision)
    model = PartitionNet(model_config).to(device).train()
    model.backbone.eval()
    optimizer: Any = fabric.setup_optimizers(torch.optim.AdamW(model.parameters(), 1e-4, fused=config.fused or None))
    module = Execution(fabric, model, config).begin()
    size, classes = model_config.window.size, len(model_config.classes)
    luma = torch.randint(0, 256, (BATCH, 1, size, size)).float().to(device)
    qindex = torch.full((BATCH, 1), 128.0, device=device)
    target = torch.randint(0, classes, (BATCH,)).to(device)
    loss_function = make_loss("cb-focal", torch.ones(classes, dtype=torch.int64), 0.9999, 2.0, 0.0).to(device)

    def step() -> None:
        loss = loss_function(module(luma, qindex), target)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        loss.item()

    return step


def choose_precision(model: ModelConfig, config: TrainConfig) -> str:
    """`bf16-mixed` where it is clearly faster than `32-true` for this network here, else `32-true`.

    With several devices nothing is timed, because all processes must choose alike: PyTorch's word counts.
    """
    device = device_of(config)
    if native_bf16(device) is False:
        return "32-true"
    if config.devices > 1:
        return "bf16-mixed" if device == "cuda" else "32-true"
    plain, bf16 = _times(model, [replace(config, precision=p) for p in ("32-true", "bf16-mixed")], device)
    return "bf16-mixed" if plain / bf16 >= GAIN else "32-true"


def slower_options(model: ModelConfig, config: TrainConfig) -> list[str]:
    """Warnings about given options that make a step of this network slower here than it is without them."""
    device = device_of(config)
    warnings, plain = [], {k: v for k, v in _FLAGS.items() if getattr(config, k) != v}
    if config.precision != "32-true":
        if device == "cpu" and (config.precision == "16-mixed" or native_bf16(device) is False):
            warnings.append(
                f"--precision {config.precision}: this CPU has no such arithmetic, and emulating it takes several "
                "times as long as 32-true. Take --precision auto."
            )
            config = replace(config, precision="32-true")
        else:
            plain["precision"] = "32-true"
    if plain:
        sides = [config, *(replace(config, **{k: v}) for k, v in plain.items())]
        own, *others = _times(model, sides, device)
        for name, other in zip(plain, others, strict=True):
            if other / own < LOSS:
                word = name.replace("_", "-")
                warnings.append(f"--{word} makes a step {own / other:.1f} times as long here. Leave it away.")
    return warnings


def device_of(config: TrainConfig) -> str:
    """Device that Fabric takes for the config: cuda, mps or cpu."""
    if config.device in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"
    return "mps" if config.device in ("auto", "mps") and torch.backends.mps.is_available() else "cpu"


def native_bf16(device: str) -> bool | None:
    """Whether the device computes in bf16, as PyTorch knows it; None where it does not tell."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "mps":
        return False  # nothing is known to be gained there
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):
        return False
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # private, so it may go
    if asked is None or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return None  # Arm, for example
    return bool(asked())


def _times(model: ModelConfig, configs: Sequence[TrainConfig], device: str) -> list[float]:
    """Least time of a training step under each config, in turn.

    On a CPU that is CPU time: it is steadier where cores are shared.
    """
    clock = time.process_time if device == "cpu" else time.perf_counter
    with torch.random.fork_rng():
        steps = [stepper(model, config, device) for config in configs]
        for step in steps:
            step()
        least, end = [float("inf")] * len(steps), time.perf_counter() + SECONDS
        for rounds in range(1000):
            if rounds >= 2 and time.perf_counter() > end:
                break
            for side, step in enumerate(steps):
                begun = clock()
                step()
                least[side] = min(least[side], clock() - begun)
    return least
