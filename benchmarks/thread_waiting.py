"""What spinning OpenMP threads cost where cores are shared: training steps with and without, alone and beside a load.

    python benchmarks/thread_waiting.py

Prints the time of one training step of EfficientNet-Lite0 (batch 128) for OMP_WAIT_POLICY ACTIVE (PyTorch's own
default behaviour) and PASSIVE, each in its own process, interleaved, and the ratio.
"""

import os
import statistics
import subprocess
import sys

REPEATS, STEPS = 3, 4
STEP = f"""
import time, torch
from toolkit.model.network import PartitionNet
from toolkit.model.config import ModelConfig
model = PartitionNet(ModelConfig(backbone="efficientnet-lite0"))
luma, qindex = torch.rand(128, 1, 16, 16) * 255, torch.rand(128, 1) * 255
model(luma, qindex).sum().backward()
begun = time.perf_counter()
for _ in range({STEPS}):
    model(luma, qindex).sum().backward()
print((time.perf_counter() - begun) / {STEPS})
"""


def seconds(policy: str | None) -> float:
    """Seconds a step under a policy, None for PyTorch's own behaviour."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    done = subprocess.run([sys.executable, "-c", STEP], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    for busy in (0, os.cpu_count() or 1):
        load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            pairs = [(seconds(None), seconds("PASSIVE")) for _ in range(REPEATS)]
        finally:
            for process in load:
                process.kill()
        default, passive = (statistics.median(column) for column in zip(*pairs, strict=True))
        beside = f"beside {busy} busy processes" if busy else "alone"
        print(f"{beside}: default {default:.2f} s a step, PASSIVE {passive:.2f} s, ratio {default / passive:.1f}")


if __name__ == "__main__":
    main()
