"""Run the tests marked `numeric` under several arithmetics: the last bits of a result differ, no verdict may.

    .venv/bin/python benchmarks/portable.py [pytest's words]

PyTorch, oneDNN, MKL and OpenBLAS choose their kernels by the CPU. Environment variables make them choose others, so
that one machine computes as several CPUs would. Each setting first computes a few numbers, and runs the tests if no
setting before it gave the same numbers. One that this CPU cannot compute, or that changes nothing here, reads "not
run". Exit status 1 where a test fails. Tests marked `long` are left out: `make test-long` runs them once. Words for
pytest take the place of the choice of tests.
"""

import os
import subprocess
import sys
import time

SETTINGS = (
    "",
    "ATEN_CPU_CAPABILITY=default",
    "ATEN_CPU_CAPABILITY=avx2",
    "ATEN_CPU_CAPABILITY=avx512",
    "ONEDNN_MAX_CPU_ISA=SSE41",
    "ONEDNN_MAX_CPU_ISA=AVX2",
    "OPENBLAS_CORETYPE=Haswell",
    "MKL_CBWR=COMPATIBLE",
)
"""Environment variables, each tried with all others unset; "" is what the machine does by itself."""
PROBE = """
import hashlib, numpy, torch
import torch.nn.functional as F
if torch.backends.cpu.get_cpu_capability() == "AVX512" and not torch.cpu.get_capabilities()["avx512_f"]:
    raise SystemExit("this CPU has no AVX-512")
draw = numpy.random.default_rng(0)
def tensor(*shape):
    return torch.from_numpy(draw.normal(size=shape).astype(numpy.float32)).requires_grad_()
x, kernel, weight, matrix = tensor(64, 32, 16, 16), tensor(64, 32, 3, 3), tensor(10, 64), draw.normal(size=(200, 200))
y = F.linear(F.silu(F.conv2d(x, kernel)).mean((2, 3)), weight).log_softmax(1)
y.square().sum().backward()
numbers = [t.detach().numpy() for t in (y, x.grad, kernel.grad, weight.grad)] + [matrix @ matrix]
print(hashlib.sha256(b"".join(n.tobytes() for n in numbers)).hexdigest())
"""


def environment_of(setting: str) -> dict[str, str]:
    """This process's environment with one setting, and one thread: with more, the order of sums may vary."""
    names = {s.partition("=")[0] for s in SETTINGS}
    name, _, value = setting.partition("=")
    kept = {k: v for k, v in os.environ.items() if k not in names}
    return kept | {"OMP_NUM_THREADS": "1"} | ({name: value} if name else {})


def numbers_of(setting: str) -> tuple[str, str]:
    """Hash of the numbers that a setting computes, and why it computes none; one of the two is empty."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment_of(setting), capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return done.stdout.strip(), ""
    return "", (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]


def main(words: list[str]) -> int:
    """Run the tests under every setting, print a line for each; return the exit status."""
    seen: dict[str, str] = {}
    failed = False
    for setting in SETTINGS:
        label = setting or "as the machine does it"
        numbers, reason = numbers_of(setting)
        if numbers in seen:
            reason = f"the same numbers as: {seen[numbers]}"
        if reason:
            print(f"{label:30} not run: {reason}", flush=True)
            continue
        seen[numbers] = label
        command = [sys.executable, "-m", "pytest", *words]
        begun = time.monotonic()
        done = subprocess.run(command, env=environment_of(setting), stdout=subprocess.PIPE, text=True, check=False)
        failed |= done.returncode != 0
        result = (done.stdout.strip().splitlines() or ["no answer"])[-1].strip("= ")
        verdict = "passed" if done.returncode == 0 else "FAILED"
        print(f"{label:30} {verdict}: {result} ({time.monotonic() - begun:.0f} s)", flush=True)
        if done.returncode != 0:
            print(done.stdout, flush=True)
    print(f"{len(seen)} arithmetics were tried.")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["-m", "numeric and not long", "-n", "2", "--dist", "loadfile"]))
