"""Encodes for a benchmark: each made once, kept as soon as it is done, and never made again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.bench.config import InputConfig
from integration.bench.control_masks import dealt, forbids, oracle
from integration.bench.store import Kept, Measurement
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, Mask, MaskSource
from integration.codec.libaom_build import libraries
from integration.encoding.encode import check_masker, code_clip
from integration.media.sources import SourceFile
from integration.media.ssim import SsimMeter
from integration.media.video import COLOUR, RESAMPLING, Clip, RawFormat, open_clip, parse_size
from integration.pipeline.pipeline_set import Levels
from integration.pipeline.policy import Policy
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.model.provenance import trained_on
from toolkit.partition import INSIDE_LARGER, NODE, NODES

NATIVE, CNN_OFF, PIPELINE, ORACLE = "native", "cnn-off", "pipeline", "oracle "


@dataclass(frozen=True)
class Arm:
    """One way to encode: a preset and what restricts its search.

    `kind` is native, cnn-off, pipeline, random, variance, or oracle and its stages (`oracle 2`). `policy` takes the
    place of the pipeline's own. `threads` are the encoder's, whose stream may depend on them.
    """

    kind: str
    cpu_used: int
    policy: Policy | None = None
    threads: int = 1

    @property
    def name(self) -> str:
        return f"{self.kind} at {self.cpu_used}"


@dataclass(frozen=True)
class Reference:
    """What an unmasked encode chose: by node size labels (frames, rows, columns), and qindex (frames,)."""

    labels: dict[int, NDArray[np.uint8]]
    qindex: NDArray[np.uint8]


class Session:
    """Encodes kept in `folder`, keyed by all that decides them.

    Raises ToolkitError for a pipeline of another bit depth or encoder, and for clips that its models were trained on.
    """

    def __init__(self, folder: Path, config: InputConfig, levels: Levels | None = None) -> None:
        self.folder, self.config, self.levels = folder, config, levels
        self._build = libraries().hook.parent.name
        self._kept = Kept(folder)

    @property
    def reused(self) -> int:
        """Measurements taken from an earlier session: their seconds are of another time."""
        return self._kept.reused

    def open(self, file: SourceFile) -> Clip:
        """The clip's frames as every arm codes them."""
        size = parse_size(self.config.size) if self.config.size else None
        raw = RawFormat.parse(self.config.raw) if self.config.raw else None
        return open_clip(file.path, size, self.config.frames, raw)

    def check(self, files: Sequence[SourceFile]) -> None:
        """Refuse clips that do not suit the pipeline, before anything is encoded."""
        for file in files:
            clip = self.open(file)
            if self.levels is None:
                continue
            for stage, bundle in (item for pipeline in self.levels.pipelines for item in pipeline.bundles.items()):
                if file.sha256 in trained_on(bundle.manifest["provenance"]):
                    raise ToolkitError(f"{file.path}: Stage {stage} was trained on it. Use clips that it has not seen.")
            if min(clip.width, clip.height) < max(self.nodes):
                size = f"{max(self.nodes)}x{max(self.nodes)}"
                raise ToolkitError(f"{file.path}: {clip.width}x{clip.height} has no whole {size} node to mask.")
            # The preset is what a benchmark varies: the pipeline's own is as good as any.
            own = self._encoder_config(clip, 32, Arm(NATIVE, int(self.levels.encoder.get("cpu_used", 0))))
            with Encoder(own) as encoder:
                check_masker(self.levels, own, encoder.version, self.config.any_settings)

    def measure(self, file: SourceFile, cq: int, arm: Arm, repeat: int) -> Measurement:
        """One encode, or what is known of it already."""
        return self._kept.measurement(self._key(file, cq, arm, repeat), lambda: self._encode(file, cq, arm, repeat))

    def _encoder_config(self, clip: Clip, cq: int, arm: Arm) -> EncoderConfig:
        return EncoderConfig(clip.width, clip.height, clip.bit_depth, cq, arm.cpu_used, self.config.usage, arm.threads)

    def _key(self, file: SourceFile, cq: int, arm: Arm, repeat: int) -> str:
        own: list[Any] = []
        if arm.kind in (PIPELINE, "random", "variance"):
            for pipeline in self._needed(arm).pipelines:
                own += [pipeline.manifest["bundles"], pipeline.manifest["provider"], pipeline.policy.to_dict()]
        elif arm.kind.startswith(ORACLE):
            own = list(self.nodes)
        config = self.config
        source = [file.sha256, config.size, config.frames, config.raw, COLOUR, RESAMPLING]
        parts = [*source, config.usage, self._build, cq, arm.kind, arm.cpu_used, arm.threads, repeat, own]
        return hashlib.sha256(canonical_json(parts)).hexdigest()[:24]

    @property
    def nodes(self) -> tuple[int, ...]:
        """Sizes of the nodes that the arms with masks restrict."""
        return self.levels.nodes if self.levels else (NODE,)

    def _needed(self, arm: Arm) -> Levels:
        """The pipelines, the only one under the arm's policy where it has one."""
        if self.levels is None:
            raise ToolkitError(f"{arm.name}: needs a pipeline. Pass --pipeline.")
        if arm.policy is None:
            return self.levels
        (pipeline,) = self.levels.pipelines
        return Levels((replace(pipeline, policy=arm.policy),))

    def reference(self, file: SourceFile, cq: int, cpu_used: int, threads: int = 1) -> Reference:
        """What the unmasked encode chose; encoded for it where that is not known."""
        kept = self._arrays(file, cq, Arm(NATIVE, cpu_used, threads=threads))
        return Reference({node: kept[f"labels{node}"] for node in NODES}, kept["qindex"])

    def made_masks(self, file: SourceFile, cq: int, arm: Arm) -> dict[int, Mask]:
        """The masks (frames, rows, columns) of a pipeline's arm; encoded for them where they are not known."""
        kept = self._arrays(file, cq, arm)
        return {node: kept[f"masks{node}"] for node in self.nodes}

    def _arrays(self, file: SourceFile, cq: int, arm: Arm) -> dict[str, NDArray[Any]]:
        return self._kept.arrays(self._key(file, cq, arm, 0), lambda: self._encode(file, cq, arm, 0))

    def given_masks(self, file: SourceFile, cq: int, arm: Arm) -> list[dict[int, Mask]]:
        """Masks that cost nothing to make, those of a frame by node size, of an arm that is no pipeline."""
        reference = self.reference(file, cq, arm.cpu_used, arm.threads)
        if arm.kind.startswith(ORACLE):
            stages, labels = arm.kind.removeprefix(ORACLE), reference.labels
            return [{n: oracle(labels[n][i], stages) for n in self.nodes} for i in range(len(reference.qindex))]
        levels = self._needed(arm)
        masks = []
        for number, (planes, qindex) in enumerate(zip(self.open(file).frames(), reference.qindex, strict=True)):
            made = levels.mask(planes[0], int(qindex))
            masks.append(dealt(made, planes[0], levels.bit_depth, arm.kind, number))
        return masks

    def _encode(self, file: SourceFile, cq: int, arm: Arm, repeat: int) -> Measurement:
        clip = self.open(file)
        free = arm.kind in (NATIVE, CNN_OFF)
        masks: list[dict[int, Mask]] = [] if free or arm.kind == PIPELINE else self.given_masks(file, cq, arm)
        given = masks or None
        source = self._source(arm, masks) if arm.kind == PIPELINE else None
        chosen: dict[int, list[NDArray[np.uint8]]] = {node: [] for node in NODES}
        meter, originals = SsimMeter(clip.width, clip.height, clip.bit_depth), clip.frames()

        def each(count: int, frame: EncodedFrame) -> None:
            chosen[NODE].append(frame.labels)
            chosen[32].append(frame.labels32)
            meter.add(next(originals)[0], frame.reconstruction[0])

        with Encoder(self._encoder_config(clip, cq, arm), source) as encoder:
            if arm.kind == CNN_OFF:
                encoder.disable_cnn()
            report = code_clip(clip, encoder, each, given)
        if report.failed_masks:
            raise ToolkitError(f"{file.path}: {report.failed_masks} frames without a mask: {report.mask_errors}")
        if report.psnr_y is None:
            raise ToolkitError(f"{file.path}: coded without any error at cq {cq}; use higher cq levels.")
        labels = {node: np.stack(frames) for node, frames in chosen.items()}
        if arm.kind == NATIVE:
            arrays = {f"labels{node}": frames for node, frames in labels.items()}
            self._keep(file, cq, arm, qindex=np.array(report.qindex, np.uint8), **arrays)
        elif not free:
            labels = self.reference(file, cq, arm.cpu_used, arm.threads).labels
        made = {} if free else {node: np.stack([frame[node] for frame in masks]) for node in self.nodes}
        if arm.kind == PIPELINE:
            self._keep(file, cq, arm, **{f"masks{node}": frames for node, frames in made.items()})
        return Measurement(
            clip=file.name, cq=cq, kind=arm.kind, cpu_used=arm.cpu_used, threads=arm.threads, repeat=repeat,
            frames=report.frames, bytes=report.bytes, psnr_y=report.psnr_y, ssim_y=meter.mean,
            encode_seconds=report.encode_seconds, inference_seconds=report.inference_seconds,
            wall_seconds=report.wall_seconds,
            masked_nodes=report.masked_blocks, kept_nodes=report.kept_blocks,
            whole_nodes=report.frames * sum((clip.width // node) * (clip.height // node) for node in self.nodes),
            nodes=sum(int((labels[node] != INSIDE_LARGER).sum()) for node in self.nodes),
            lost_nodes=sum(int(forbids(mask, labels[node]).sum()) for node, mask in made.items()),
        )  # fmt: skip

    def _keep(self, file: SourceFile, cq: int, arm: Arm, **arrays: NDArray[Any]) -> None:
        self._kept.keep(self._key(file, cq, arm, 0), **arrays)

    def _source(self, arm: Arm, made: list[dict[int, Mask]]) -> MaskSource:
        """The pipelines under the arm's policy, called by the hook; their masks are kept in `made`."""
        levels = self._needed(arm)

        def source(luma: Luma, qindex: int) -> dict[int, Mask]:
            made.append(levels.mask(luma, qindex))
            return made[-1]

        return source
