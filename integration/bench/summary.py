"""Results of a benchmark's encodes: BD-rate, time saving, and each arm's place beside libaom's own presets."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TypedDict

from integration.bench.bd import METHODS, Curve, Place, bd_rate, frontier_loss, time_saving
from integration.bench.config import BenchConfig
from integration.bench.session import NATIVE
from integration.bench.store import Measurement
from integration.media.ssim import ssim_decibels
from integration.pipeline.pipeline_set import PipelineSet
from integration.pipeline.policy import PolicyRecord
from toolkit.errors import ToolkitError
from toolkit.option import Options

FORMAT_VERSION = 3
DEFINITIONS = {
    "time saving": "1 - T_test / T_anchor at equal cq, in percent; T sums process CPU seconds over cqs, repeats (and "
    "clips, for the overall value), a pipeline's inference included",
    "spread": "least and greatest time saving of one repeat by itself",
    "BD-rate": "Bjontegaard delta rate in percent on PSNR-Y against the anchor; overall the mean over clips",
    "frontier": "the straight line between native presets, overall, in the plane of time saving and BD-rate",
    "under the frontier": "the frontier's BD-rate at the arm's time saving less the arm's own; above 0 the presets are "
    "beaten, null outside the presets' range",
    "against its preset": "the same measures with the unmasked preset of that number as the anchor",
    "SSIM": "BD-rate (Akima) on the frames' mean SSIM of luma (FFmpeg's ssim filter), taken as -10 log10(1 - SSIM); "
    "null where that does not rise with the bytes. VMAF is not measured: PyAV's FFmpeg is built without it",
    "all planes": "BD-rate (Akima) on the PSNR of y, u and v weighted 6:1:1; null where a plane is coded without error",
    "wall": "as time saving, but by the clock (encoding and inference, not reading and measuring), with that number of "
    "threads on both sides; libaom may code another stream with more threads. Other work on the machine distorts it, "
    "so CPU time is what counts. The models run on one thread",
    "masked": "nodes at which the mask took something away from the search, of all whole nodes of the sizes that are "
    "masked, searched or not",
    "wrongly": "nodes where the mask forbids what the unmasked encode chose, of those not inside a larger block",
}
Key = tuple[str, int]
"""Label and preset of an arm."""
Clips = dict[str, list[Measurement]]
"""Measurements of one arm by clip."""
Quality = Callable[[Measurement], float]


class CurvePoint(TypedDict):
    """One clip of one arm at one cq; seconds are means over repeats."""

    cq: int
    bytes: int
    psnr_y: float
    ssim_y: float
    seconds: float
    inference_seconds: float


class ClipEntry(TypedDict):
    """One clip of one arm against the anchor: `loss` is BD-rate by method, `saving` time saving, both in percent."""

    loss: dict[str, float]
    loss_ssim: float | None
    loss_yuv: float | None
    saving: float
    points: list[CurvePoint]


class OwnPreset(TypedDict):
    """An arm against the unmasked preset of its own number, in percent."""

    loss: float
    loss_ssim: float | None
    loss_yuv: float | None
    saving: float
    saving_spread: list[float] | None


class Worst(TypedDict):
    """The clip with the greatest BD-rate, in percent."""

    clip: str
    loss: float


class Wall(TypedDict):
    """Times on the clock with one number of threads; savings and BD-rate in percent."""

    wall_seconds: float
    wall_saving: float
    wall_saving_to_own_preset: float
    loss: float


class ArmEntry(TypedDict):
    """One arm over all clips; DEFINITIONS explains the measures. Nodes are shares, `threads` is by their number.

    A pruner, at its `price`, was `asked`, and `skipped` a part of the search, so many times in all encodes.
    """

    name: str
    kind: str
    price: float | None
    cpu_used: int
    loss: dict[str, float]
    loss_ssim: float | None
    loss_yuv: float | None
    saving: float
    saving_spread: list[float] | None
    own_preset: OwnPreset
    under_frontier: float | None
    under_frontier_ssim: float | None
    under_frontier_yuv: float | None
    worst: Worst
    bytes: int
    seconds: float
    inference_seconds: float
    inference_share: float
    threads: dict[str, Wall]
    masked_nodes: float
    kept_nodes: float
    lost_nodes: float
    asked: int
    skipped: int
    clips: dict[str, ClipEntry]


class PipelineEntry(TypedDict):
    """A pipeline that was measured, its networks on `provider`.

    `pruner` and `price` are of what decides beside its masks, None where nothing does.
    """

    node: int
    sha256: str
    provider: str
    stages: list[str]
    policy: PolicyRecord
    learnt_from_cpu_used: int | None
    pruner: str | None
    price: float | None


class Summary(TypedDict):
    """Results of all arms; plain JSON values. `settings` are those of BenchConfig, `clips` their names."""

    format_version: int
    definitions: dict[str, str]
    settings: Options
    anchor: str
    clips: list[str]
    pipelines: list[PipelineEntry]
    arms: list[ArmEntry]


def summarise(measured: Sequence[Measurement], config: BenchConfig, pipelines: PipelineSet | None) -> Summary:
    """Summarise all measurements. Raises ToolkitError where curves give no BD-rate, or repeats gave other streams."""
    found = _by_arm(measured, config.threads[0])
    anchor = found[(NATIVE, config.presets[0])]
    natives = [found[(NATIVE, preset)] for preset in config.presets]
    arms = [_arm(key, clips, anchor, found[(NATIVE, key[1])], natives) for key, clips in found.items()]
    for threads in config.threads:
        found = _by_arm(measured, threads)
        for arm in arms:
            clips, own = (found[kind, arm["cpu_used"]] for kind in (arm["kind"], NATIVE))
            arm["threads"][str(threads)] = _wall(clips, found[(NATIVE, config.presets[0])], own)
    return {
        "format_version": FORMAT_VERSION,
        "definitions": DEFINITIONS,
        "settings": config.settings,
        "anchor": f"{NATIVE} at {config.presets[0]}",
        "clips": list(anchor),
        "pipelines": [
            {
                "node": pipeline.node,
                "sha256": pipeline.sha256,
                "provider": pipeline.provider,
                "stages": list(pipeline.bundles),
                "policy": pipeline.policy.to_dict(),
                "learnt_from_cpu_used": pipeline.encoder.get("cpu_used"),
                "pruner": pipeline.pruner.sha256 if pipeline.pruner else None,
                "price": pipeline.pruner.price if pipeline.pruner else None,
            }
            for pipeline in (pipelines.members if pipelines else ())
        ],
        "arms": arms,
    }


def _by_arm(measured: Sequence[Measurement], threads: int) -> dict[Key, Clips]:
    """Measurements with that number of threads, by arm."""
    found: dict[Key, Clips] = defaultdict(lambda: defaultdict(list))
    for one in measured:
        if one.threads == threads:
            found[(one.kind, one.cpu_used)][one.clip].append(one)
    return found


def _wall(clips: Clips, anchor: Clips, own: Clips) -> Wall:
    """Wall times and BD-rate of an arm, all sides with the same number of threads."""
    spent, anchors, owns = (
        [one.wall_seconds for ones in side.values() for one in ones] for side in (clips, anchor, own)
    )
    return {
        "wall_seconds": sum(spent),
        "wall_saving": time_saving(anchors, spent),
        "wall_saving_to_own_preset": time_saving(owns, spent),
        "loss": _overall(clips, anchor).loss,
    }


def _arm(key: Key, clips: Clips, anchor: Clips, own: Clips, natives: Sequence[Clips]) -> ArmEntry:
    place = _overall(clips, anchor)
    everything = [one for ones in clips.values() for one in ones]
    per_clip = {name: _clip(ones, anchor[name]) for name, ones in clips.items()}
    worst = max(per_clip, key=lambda name: per_clip[name]["loss"]["akima"])
    beside = _overall(clips, own)
    # Either may be 0: a clip may be smaller than a node, or coded in large blocks alone.
    whole, nodes = (
        max(sum(counts), 1) for counts in zip(*((one.whole_nodes, one.nodes) for one in everything), strict=True)
    )
    seconds = sum(_seconds(everything))
    inference = sum(one.inference_seconds for one in everything)
    return {
        "name": f"{key[0]} at {key[1]}",
        "kind": key[0],
        "price": everything[0].price,
        "cpu_used": key[1],
        "loss": {method: fmean(entry["loss"][method] for entry in per_clip.values()) for method in METHODS},
        "loss_ssim": _mean_loss(clips, anchor, _ssim),
        "loss_yuv": _mean_loss(clips, anchor, _yuv),
        "saving": place.saving,
        "saving_spread": _spread(clips, anchor),
        "own_preset": {
            "loss": beside.loss,
            "loss_ssim": _mean_loss(clips, own, _ssim),
            "loss_yuv": _mean_loss(clips, own, _yuv),
            "saving": beside.saving,
            "saving_spread": _spread(clips, own),
        },
        "under_frontier": _under(key, clips, anchor, natives, _psnr),
        "under_frontier_ssim": _under(key, clips, anchor, natives, _ssim),
        "under_frontier_yuv": _under(key, clips, anchor, natives, _yuv),
        "worst": {"clip": worst, "loss": per_clip[worst]["loss"]["akima"]},
        "bytes": sum(one.bytes for one in everything if one.repeat == 0),
        "seconds": seconds,
        "inference_seconds": inference,
        "inference_share": inference / seconds,
        "threads": {},
        "masked_nodes": sum(one.masked_nodes for one in everything) / whole,
        "kept_nodes": sum(one.kept_nodes for one in everything) / whole,
        "lost_nodes": sum(one.lost_nodes for one in everything) / nodes,
        "asked": sum(one.asked for one in everything),
        "skipped": sum(one.skipped for one in everything),
        "clips": per_clip,
    }


def _clip(ones: Sequence[Measurement], anchor: Sequence[Measurement]) -> ClipEntry:
    return {
        "loss": {method: bd_rate(curve(anchor), curve(ones), method) for method in METHODS},
        "loss_ssim": _loss(anchor, ones, _ssim),
        "loss_yuv": _loss(anchor, ones, _yuv),
        "saving": time_saving(_seconds(anchor), _seconds(ones)),
        "points": _points(ones),
    }


def curve(ones: Sequence[Measurement], quality: Quality | None = None) -> Curve:
    """Rate and quality of one clip over its cqs, PSNR-Y by default; ToolkitError where a repeat gave another stream."""
    by_cq: dict[int, set[tuple[int, float]]] = defaultdict(set)
    for one in ones:
        by_cq[one.cq].add((one.bytes, (quality or _psnr)(one)))
    if changed := [cq for cq, results in by_cq.items() if len(results) > 1]:
        raise ToolkitError(
            f"{ones[0].clip}, {ones[0].kind} at {ones[0].cpu_used}: cq {changed[0]} gave different streams when "
            "repeated. Remove the report's folder and measure again."
        )
    results = [next(iter(by_cq[cq])) for cq in sorted(by_cq)]
    return Curve([size for size, _ in results], [value for _, value in results])


def _loss(anchor: Sequence[Measurement], ones: Sequence[Measurement], quality: Quality) -> float | None:
    try:
        return bd_rate(curve(anchor, quality), curve(ones, quality))
    except ToolkitError:  # a flat picture's SSIM may stay or fall where its bytes rise
        return None


def _mean_loss(clips: Clips, anchor: Clips, quality: Quality) -> float | None:
    """Mean over clips; None where one has none."""
    losses = [_loss(anchor[name], ones, quality) for name, ones in clips.items()]
    return None if None in losses else fmean(loss for loss in losses if loss is not None)


def _psnr(one: Measurement) -> float:
    return one.psnr_y


def _yuv(one: Measurement) -> float:
    return math.nan if one.psnr_yuv is None else one.psnr_yuv


def _ssim(one: Measurement) -> float:
    return ssim_decibels(one.ssim_y)


def _under(key: Key, clips: Clips, anchor: Clips, natives: Sequence[Clips], quality: Quality) -> float | None:
    """How far an arm lies under the frontier of the native presets; None for these, and outside their range."""
    loss = _mean_loss(clips, anchor, quality)
    charged = [(_saving(own, anchor), _mean_loss(own, anchor, quality)) for own in natives]
    places = [Place(saving, own) for saving, own in charged if own is not None]
    if key[0] == NATIVE or loss is None or len(places) < len(charged):
        return None
    line = frontier_loss(places, _saving(clips, anchor))
    return None if line is None else line - loss


def _overall(clips: Clips, anchor: Clips) -> Place:
    loss = fmean(bd_rate(curve(anchor[name]), curve(ones)) for name, ones in clips.items())
    return Place(_saving(clips, anchor), loss)


def _saving(clips: Clips, anchor: Clips) -> float:
    return time_saving(
        [s for ones in anchor.values() for s in _seconds(ones)], [s for ones in clips.values() for s in _seconds(ones)]
    )


def _spread(clips: Clips, anchor: Clips) -> list[float] | None:
    """Least and greatest time saving of a repeat by itself; None where there is only one repeat."""
    repeats = sorted({one.repeat for ones in clips.values() for one in ones})
    if len(repeats) < 2:
        return None
    each = [_saving(_only(clips, repeat), _only(anchor, repeat)) for repeat in repeats]
    return [min(each), max(each)]


def _only(clips: Clips, repeat: int) -> Clips:
    return {name: [one for one in ones if one.repeat == repeat] for name, ones in clips.items()}


def _seconds(ones: Sequence[Measurement]) -> list[float]:
    return [one.seconds for one in ones]


def _points(ones: Sequence[Measurement]) -> list[CurvePoint]:
    """Points of the curves that are drawn, one a cq."""
    return [
        {
            "cq": cq,
            "bytes": same[0].bytes,
            "psnr_y": same[0].psnr_y,
            "ssim_y": same[0].ssim_y,
            "seconds": fmean(_seconds(same)),
            "inference_seconds": fmean(one.inference_seconds for one in same),
        }
        for cq in sorted({one.cq for one in ones})
        if (same := [one for one in ones if one.cq == cq])
    ]
