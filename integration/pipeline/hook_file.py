"""`hook.txt`: what C reads of a pipeline's folder, written from its manifest (libaom/pipeline_file.h)."""

import struct
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from export.bundle.bundle import Bundle
from integration.codec.checked_text import checked_text, crc32
from integration.codec.config import USAGES, EncoderSettings
from integration.pipeline.policy import Policy
from toolkit.errors import ToolkitError
from toolkit.files import read_bytes
from toolkit.partition import STAGES

NAME = "hook.txt"
BIT_DEPTHS = (8, 10)
"""Bit depths that the encoder codes."""


def hook_text(manifest: Mapping[str, Any], bundles: Mapping[str, Bundle], policy: Policy) -> bytes | None:
    """Lines of `hook.txt`; None where C cannot use the pipeline.

    C can where the networks were proven on a CPU and learnt from libaom's own decisions at 8 or 10 bit, in 4:2:0 and
    under tune psnr: imported labels do not say which encoder made them.
    """
    encoder = manifest["encoder"]
    if manifest["provider"] != "cpu" or manifest["bit_depth"] not in BIT_DEPTHS or not _is_libaom(encoder):
        return None
    lines = [
        "av1part-pipeline 1",
        f"libaom {encoder['version']}",
        f"bit_depth {manifest['bit_depth']}",
        f"usage {encoder['usage']}",
        f"cpu_used {encoder['cpu_used']}",
        f"four_way {encoder['enable_1to4_partitions']}",
        f"pruner {int('pruner' in manifest)}",
        f"node {next(iter(bundles.values())).contract.window.node}",
        f"ranges {len(policy.ranges)}",
        f"stages {len(bundles)}",
    ]
    for last, thresholds in policy.ranges:
        # The double's own digits: no decimal point that another locale writes otherwise, and nothing is rounded.
        digits = (struct.pack(">d", value).hex() for value in astuple(thresholds))
        lines.append(f"to_qindex {last} {' '.join(digits)}")
    for stage in (key for key in STAGES if key in bundles):
        data = bundles[stage].model_bytes()
        context = bundles[stage].contract.window.context
        lines.append(f"stage {stage} context {context} size {len(data)} crc32 {crc32(data)}")
    return checked_text(lines)


def check_hook_file(path: Path, manifest: Mapping[str, Any], bundles: Mapping[str, Bundle], policy: Policy) -> None:
    """Raise ToolkitError where a pipeline's folder has a `hook.txt` that does not say what its manifest says.

    It may lack one: Python does not need it.
    """
    file = path / NAME
    if file.is_symlink() or (file.exists() and read_bytes(file) != hook_text(manifest, bundles, policy)):
        raise ToolkitError(
            f"{file}: does not say what the manifest says. Build the pipeline again with `av1part pipeline build`."
        )


def _is_libaom(encoder: Mapping[str, Any]) -> bool:
    """Whether these are the settings of an encoder that this hook can be."""
    version, usage = encoder.get("version"), encoder.get("usage")
    cpu_used, four_way = encoder.get("cpu_used"), encoder.get("enable_1to4_partitions")
    if usage not in USAGES or type(cpu_used) is not int or not 0 <= cpu_used <= 9 or four_way not in (0, 1):
        return False
    wanted = EncoderSettings(cpu_used, usage, four_way=bool(four_way)).recorded(str(version))
    del wanted["threads"]
    return encoder.get("tune", "psnr") == "psnr" and all(encoder.get(key) == value for key, value in wanted.items())
