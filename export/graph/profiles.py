"""Profiles: provider and precision of a run, each proven apart. Light: imports neither torch nor onnxruntime."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.errors import ToolkitError

TF32_SWITCH = "NVIDIA_TF32_OVERRIDE"
"""Environment variable; 0 forbids TF32 to every NVIDIA library of a process. A session's `use_tf32` only tries."""


PROVIDERS = ("cpu", "cuda", "webgpu")
"""Values of --provider: each stands for its strict profile, and a pipeline may ask for it."""


@dataclass(frozen=True)
class Profile:
    """One way to run a bundle.

    `provider`: a key of runtime.PROVIDERS; `precision`: float32, tf32, float16 or int8; `options`: the provider's, over
    runtime's own; `environment`: the switches (None: unset) that a process of its own starts with, None where this
    process will do; `proves`: the provider that a pipeline may then use, if any.
    """

    name: str
    provider: str
    precision: str
    summary: str
    options: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str | None] | None = None
    proves: str | None = None
    library: str = ""

    @property
    def strict(self) -> bool:
        """Whether the profile promises float32 where TF32 is possible."""
        return self.provider in ("cuda", "tensorrt") and self.precision == "float32"

    @property
    def budget_assumed(self) -> bool:
        """Whether its budget's factors (4 and 8) are an assumption: they were measured only on CPUs.

        On a software device WebGPU runs on a CPU too, where they were measured; `prove` then says that they are not.
        """
        return self.provider != "cpu"


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("cpu-fp32", "cpu", "float32", "float32 on the CPU", proves="cpu"),
        Profile(
            "cuda-strict",
            "cuda",
            "float32",
            "float32 on the GPU, TF32 off",
            options={"use_tf32": "0"},
            environment={TF32_SWITCH: "0"},
            proves="cuda",
        ),
        Profile(
            "cuda-tf32",
            "cuda",
            "tf32",
            "float32 stored, multiplied as TF32, on the GPU",
            options={"use_tf32": "1"},
            environment={TF32_SWITCH: None},
        ),
        Profile(
            "cuda-fp16",
            "cuda",
            "float16",
            "a float16 copy of the graph on the GPU",
            environment={TF32_SWITCH: None},
        ),
        Profile("cpu-int8", "cpu", "int8", "an int8 bundle of `av1part quantize` on the CPU", proves="cpu"),
        Profile(
            "tensorrt",
            "tensorrt",
            "float32",
            "float32 through TensorRT, TF32 off",
            options={"trt_fp16_enable": "0"},
            environment={TF32_SWITCH: "0"},
        ),
        Profile("webgpu-fp32", "webgpu", "float32", "float32 on any GPU, through WebGPU", proves="webgpu"),
    )
}


OTHERS = re.compile(r"\w+ExecutionProvider(\.\w+)?")
"""ONNX Runtime's own names of providers, by which those beside PROVIDERS are asked for; each is its profile's name."""


def of_other(name: str, library: str = "", options: Mapping[str, str] | None = None) -> Profile:
    """Profile of a provider that is asked for by ONNX Runtime's name: float32, in a process of its own."""
    return Profile(name, name, "float32", f"float32 through {name}", options or {}, environment={}, library=library)


def is_profile(name: str) -> bool:
    """Whether a result may bear this name."""
    return name in PROFILES or OTHERS.fullmatch(name) is not None


def profile_of(provider: str, *, int8: bool) -> str:
    """Name of the profile that `--provider` stands for, of a float32 or an int8 bundle; of any other, its own name."""
    if provider == "cpu":
        return "cpu-int8" if int8 else "cpu-fp32"
    return {"cuda": "cuda-strict", "webgpu": "webgpu-fp32"}.get(provider, provider)


def unfit(profile: Profile, *, int8: bool) -> str:
    """Reason why a bundle of that kind cannot run in the profile; empty where it can."""
    if int8 and profile.precision != "int8":
        return f"The bundle is int8; {profile.name} runs float32 bundles. Prove the one that it was made from."
    if profile.precision == "int8" and not int8:
        return "The bundle is float32. Make an int8 one of it with `av1part quantize BUNDLE DATA -o BUNDLE8`."
    return ""


def check_strict(profile: Profile, options: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Raise ToolkitError where its session's options or its process let a strict profile compute in TF32."""
    if not profile.strict:
        return
    if environment.get(TF32_SWITCH) != "0":
        found = environment.get(TF32_SWITCH, "unset")
        raise ToolkitError(f"{profile.name}: {TF32_SWITCH} is {found}, expected 0: strict float32 could be TF32.")
    if profile.provider == "cuda" and options.get("use_tf32") != "0":
        found = options.get("use_tf32", "unset, so 1")
        raise ToolkitError(f"{profile.name}: the session's use_tf32 is {found}, expected 0: it would compute in TF32.")
    if profile.provider == "tensorrt" and options.get("trt_fp16_enable", "0") not in ("0", "False"):
        raise ToolkitError(f"{profile.name}: trt_fp16_enable is on, expected off: it would compute in float16.")
