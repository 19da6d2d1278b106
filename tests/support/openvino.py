"""OpenVINO's plug-in execution provider, a real provider that runs on a CPU, in a folder of the per-user cache."""

import subprocess
import sys
from pathlib import Path

from toolkit.files import atomic_folder, cache_folder, one_at_a_time

LOCK = Path(__file__).with_name("openvino.lock")
NAME = "OpenVINOExecutionProvider"
IN_FLOAT32 = 'load_config={"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}'
"""Option without which it computes in bfloat16 where the CPU has it."""


def library() -> Path:
    """Path of its library, installed where it is not yet."""
    target = cache_folder() / f"onnxruntime-ep-openvino-{LOCK.read_text().split('==')[1].split()[0]}"
    with one_at_a_time(target.with_name(f"{target.name}.lock"), None):
        if not target.is_dir():
            with atomic_folder(target) as folder:
                words = [
                    *("-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:")
                ]
                words += ["--target", str(folder), "--requirement", str(LOCK)]
                subprocess.run([sys.executable, *words], check=True)
    return target / "onnxruntime_ep_openvino" / "libonnxruntime_providers_openvino_plugin.so"
