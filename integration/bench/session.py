"""Encodes of a benchmark: each is made once and kept as soon as it is done."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.bench.config import InputConfig
from integration.bench.store import Kept, Measurement
from integration.codec.config import NODE_SIZES
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, Mask, MaskSource
from integration.codec.libaom_build import libraries
from integration.encoding.encode import check_masker, code_clip
from integration.media.raw import layout_text
from integration.media.sources import SourceFile
from integration.media.ssim import SsimMeter
from integration.media.video import COLOUR, RESAMPLING, Clip
from integration.pipeline.pipeline_set import PipelineSet
from integration.pipeline.policy import Policy
from integration.pruning.bundle import PrunerBundle
from integration.pruning.encoder import count_decisions, use_pruner
from toolkit.data.blockset import Luma
from toolkit.errors import ToolkitError
from toolkit.files import canonical_json
from toolkit.model.provenance import trained_on
from toolkit.partition import INSIDE_LARGER, NODE, VERT_4

NATIVE, PIPELINE, PRUNER = "native", "pipeline", "pruner"


@dataclass(frozen=True)
class Arm:
    """One way to encode: a preset, and what restricts its search.

    `kind` is native, pipeline, whose pruner counts too if it holds one, or pruner, at a `price`. `overrides` (name and
    value) replace a pruner's own, `policy` a pipeline's own; None: its own. `threads` are the encoder's, whose stream
    may depend on their number.
    """

    kind: str
    cpu_used: int
    policy: Policy | None = None
    threads: int = 1
    price: float | None = None
    overrides: tuple[tuple[str, int], ...] | None = None

    @property
    def label(self) -> str:
        """Kind with what tells it from others of its kind, as in `pruner 0.05`."""
        return self.kind if self.price is None else f"{self.kind} {self.price:g}"

    @property
    def name(self) -> str:
        return f"{self.label} at {self.cpu_used}"


def psnr_of_planes(errors: Sequence[float], bit_depth: int) -> float | None:
    """PSNR in dB of planes y, u and v of those mean squared errors, weighted 6:1:1.

    None where one has no error, and of monochrome.
    """
    if len(errors) < 3 or not all(errors):
        return None
    y, u, v = (10 * math.log10(((1 << bit_depth) - 1) ** 2 / error) for error in errors)
    return (6 * y + u + v) / 8


Labels = dict[int, NDArray[np.uint8]]
"""Choices of an encode (frames, rows, columns) by node size."""


def forbids(mask: Mask, labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the mask forbids the partition that the encoder chose without it, at each node (rows, columns)."""
    known = (labels <= VERT_4) & (mask != 0)
    forbidden: NDArray[np.bool_] = known & (mask >> np.minimum(labels, VERT_4) & 1 == 0)
    return forbidden


class Session:
    """Encodes kept in `folder`, under keys made of everything that decides their results."""

    def __init__(
        self,
        folder: Path,
        config: InputConfig,
        pipelines: PipelineSet | None = None,
        pruner: PrunerBundle | None = None,
    ) -> None:
        self.folder, self.config, self.pipelines, self.pruner = folder, config, pipelines, pruner
        built = libraries()
        self._build, self.libaom = built.name, built.version
        self._kept = Kept(folder)
        self._under: dict[Policy, PipelineSet] = {}

    @property
    def reused(self) -> int:
        """Number of measurements taken over from an earlier session, which timed them at another time."""
        return self._kept.reused

    def open(self, file: SourceFile) -> Clip:
        """Open a clip, its frames as every arm codes them."""
        return self.config.open(file.path)

    def check(self, files: Sequence[SourceFile]) -> list[Clip]:
        """The clips as they are coded, opened; ToolkitError where one does not suit the pipelines.

        A clip has to be of their bit depth, hold at least one whole node, and not be one that a model was trained on;
        the encoder's settings have to be those that the models learnt from. All are opened before anything is encoded.
        """
        clips = [self.open(file) for file in files]
        for file, clip in zip(files, clips, strict=True):
            for pruner in (self.pruner, self.pipelines.pruner if self.pipelines else None):
                if pruner is None:
                    continue
                if file.sha256 in pruner.manifest["learnt"]["train_sources"]:
                    raise ToolkitError(f"{file.path}: the pruner was trained on it. Use clips that it has not seen.")
                with Encoder(self._encoder_config(clip, 32, Arm(NATIVE, 0))) as encoder:
                    use_pruner(encoder, pruner)
            if self.pipelines is None:
                continue
            if self.config.keyint > 1:
                raise ToolkitError("A pipeline masks key frames: it is measured with these alone. Leave --keyint at 1.")
            for stage, bundle in (item for pipeline in self.pipelines.members for item in pipeline.bundles.items()):
                if file.sha256 in trained_on(bundle.manifest["provenance"]):
                    raise ToolkitError(f"{file.path}: Stage {stage} was trained on it. Use clips that it has not seen.")
            if min(clip.width, clip.height) < max(self.nodes):
                size = f"{max(self.nodes)}x{max(self.nodes)}"
                raise ToolkitError(f"{file.path}: {clip.width}x{clip.height} has no whole {size} node to mask.")
            # A benchmark varies the preset, so the pipeline's own is used for this check.
            own = self._encoder_config(clip, 32, Arm(NATIVE, int(self.pipelines.encoder.get("cpu_used", 0))))
            with Encoder(own) as encoder:
                check_masker(self.pipelines, own, encoder.version, self.config.any_settings)
        return clips

    def measure(self, file: SourceFile, cq: int, arm: Arm, repeat: int) -> Measurement:
        """Measurement of one encode, which is made unless its measurement is kept already."""
        kept = self._kept.measurement(self._key(file, cq, arm, repeat), lambda: self._encode(file, cq, arm, repeat))
        return replace(kept, price=arm.price)  # older ones do not say it

    def _encoder_config(self, clip: Clip, cq: int, arm: Arm) -> EncoderConfig:
        return self.config.coded(arm.cpu_used, arm.threads).at(clip.width, clip.height, clip.bit_depth, cq, clip.chroma)

    def _key(self, file: SourceFile, cq: int, arm: Arm, repeat: int) -> str:
        own: list[Any] = []
        if arm.kind == PIPELINE:
            for pipeline in self._needed(arm).members:
                own += [pipeline.manifest["bundles"], pipeline.provider, pipeline.policy.to_dict()]
                own += [pipeline.pruner.sha256] if pipeline.pruner else []
        elif arm.kind == PRUNER:
            own = [self._needed_pruner(arm).sha256, *([] if arm.overrides is None else [list(arm.overrides)])]
        config = self.config
        source = [file.sha256, config.size_text, config.frames, layout_text(file.path, config.raw), COLOUR, RESAMPLING]
        source += ["truncated"] if config.allow_truncated else []
        source += [value for value in (config.chroma, config.tune) if value not in (420, "psnr")]
        parts = [
            *source,
            config.usage,
            config.four_way,
            config.keyint,
            config.lag,
            self._build,
            cq,
            arm.label,
            arm.cpu_used,
            arm.threads,
            repeat,
            own,
        ]
        return hashlib.sha256(canonical_json(parts)).hexdigest()[:24]

    @property
    def nodes(self) -> tuple[int, ...]:
        """Node sizes that the masks restrict."""
        return self.pipelines.nodes if self.pipelines else (NODE,)

    def _needed(self, arm: Arm) -> PipelineSet:
        """The pipelines; under the arm's policy, which only a single pipeline can take, where it has one."""
        if self.pipelines is None:
            raise ToolkitError(f"{arm.name}: needs a pipeline. Pass --pipeline.")
        if arm.policy is None:
            return self.pipelines
        if arm.policy not in self._under:
            (pipeline,) = self.pipelines.members
            self._under[arm.policy] = PipelineSet((replace(pipeline, policy=arm.policy),))
        return self._under[arm.policy]

    def _needed_pruner(self, arm: Arm) -> PrunerBundle:
        if self.pruner is None:
            raise ToolkitError(f"{arm.name}: needs a pruner. Pass --pruner.")
        return self.pruner

    def _decide(self, encoder: Encoder, arm: Arm) -> None:
        """Let what decides inside an arm's search do so: the pruner that is judged, or the pipelines' own."""
        if arm.kind == PRUNER:
            overrides = None if arm.overrides is None else dict(arm.overrides)
            use_pruner(encoder, self._needed_pruner(arm), arm.price, overrides)
        elif arm.kind == PIPELINE and (own := self._needed(arm).pruner):
            use_pruner(encoder, own)

    def _choices(self, file: SourceFile, cq: int, cpu_used: int, threads: int) -> Labels:
        """Choices of the unmasked encode, which is made unless they are kept already."""
        arm = Arm(NATIVE, cpu_used, threads=threads)
        kept = self._kept.arrays(self._key(file, cq, arm, 0), lambda: self._encode(file, cq, arm, 0))
        return {node: kept[f"labels{node}"] for node in NODE_SIZES}

    def _encode(self, file: SourceFile, cq: int, arm: Arm, repeat: int) -> Measurement:
        clip = self.open(file)
        masks: list[dict[int, Mask]] = []
        source = self._source(arm, masks) if arm.kind == PIPELINE else None
        chosen: dict[int, list[NDArray[np.uint8]]] = {node: [] for node in NODE_SIZES}
        meter, originals = SsimMeter(clip.width, clip.height, clip.bit_depth), clip.frames()
        errors: dict[int, list[float]] = defaultdict(list)  # of each plane, frame by frame

        def each(count: int, frame: EncodedFrame) -> None:
            for node, labels in frame.labels.items():
                chosen[node].append(labels)
            original = next(originals)
            meter.add(original[0], frame.reconstruction[0])
            for index, (plane, coded) in enumerate(zip(original, frame.reconstruction, strict=True)):
                errors[index].append(float(np.square(plane.astype(np.int64) - coded).mean()))

        with Encoder(self._encoder_config(clip, cq, arm), source) as encoder:
            self._decide(encoder, arm)
            report = code_clip(clip, encoder, each)
            decisions = count_decisions(encoder)
        if report.failed_masks:
            raise ToolkitError(f"{file.path}: {report.failed_masks} frames without a mask: {report.mask_errors}")
        if report.psnr_y is None:
            raise ToolkitError(f"{file.path}: coded without any error at cq {cq}; use higher cq levels.")
        labels = {node: np.stack(frames) for node, frames in chosen.items()}
        if arm.kind == NATIVE and self.config.keyint == 1:  # choices that masks are held against
            self._kept.keep(self._key(file, cq, arm, 0), **{f"labels{node}": own for node, own in labels.items()})
        elif masks:
            labels = self._choices(file, cq, arm.cpu_used, arm.threads)
        made = {node: np.stack([frame[node] for frame in masks]) for node in self.nodes} if masks else {}
        return Measurement(
            clip=file.name, cq=cq, kind=arm.label, price=arm.price, cpu_used=arm.cpu_used, threads=arm.threads,
            repeat=repeat, frames=report.frames, bytes=report.bytes, psnr_y=report.psnr_y, ssim_y=meter.mean,
            psnr_yuv=psnr_of_planes([fmean(plane) for plane in errors.values()], clip.bit_depth),
            encode_seconds=report.encode_seconds, inference_seconds=report.inference_seconds,
            wall_seconds=report.wall_seconds,
            masked_nodes=report.masked_nodes, kept_nodes=report.kept_nodes,
            whole_nodes=report.frames * sum((clip.width // node) * (clip.height // node) for node in self.nodes),
            nodes=sum(int((labels[node] != INSIDE_LARGER).sum()) for node in self.nodes),
            lost_nodes=sum(int(forbids(mask, labels[node]).sum()) for node, mask in made.items()),
            asked=sum(count.asked for count in decisions), skipped=sum(count.skipped for count in decisions),
        )  # fmt: skip

    def _source(self, arm: Arm, made: list[dict[int, Mask]]) -> MaskSource:
        """Mask source that asks the pipelines under the arm's policy, and appends each frame's masks to `made`."""
        pipelines = self._needed(arm)
        pipelines.masker  # noqa: B018  opened here, where no clock runs

        def source(luma: Luma, qindex: int) -> dict[int, Mask]:
            made.append(pipelines.mask(luma, qindex))
            return made[-1]

        return source
