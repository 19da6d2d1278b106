"""What the encodes of a benchmark say: BD-rate, time saving and their place beside libaom's own presets."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from integration.bench.bd import METHODS, Curve, Place, bd_rate, frontier_loss, time_saving
from integration.bench.config import BenchConfig
from integration.bench.session import NATIVE
from integration.bench.store import Measurement
from integration.media.ssim import ssim_decibels
from integration.pipeline.pipeline_set import Levels
from toolkit.errors import ToolkitError

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
    "wall": "as time saving, but of the time on the clock (encoding and inference, not reading and measuring), with so "
    "many threads on both sides; libaom may code another stream with more threads. Other work on the machine shows in "
    "it, so CPU time is what counts. The models run on one thread",
    "masked": "nodes at which the mask took something away from the search, of all whole nodes of the sizes that are "
    "masked, searched or not",
    "wrongly": "nodes where the mask forbids what the unmasked encode chose, of those not inside a larger block",
}
Key = tuple[str, int]
Clips = dict[str, list[Measurement]]
Quality = Callable[[Measurement], float]


def summarise(measured: Sequence[Measurement], config: BenchConfig, levels: Levels | None) -> dict[str, Any]:
    """The report as plain JSON values. Raises ToolkitError where curves give no BD-rate or streams differ."""
    found = _by_arm(measured, config.threads[0])
    anchor = found[(NATIVE, config.presets[0])]
    places = [_overall(found[(NATIVE, preset)], anchor) for preset in config.presets]
    arms = [_arm(key, clips, anchor, found[(NATIVE, key[1])], places) for key, clips in found.items()]
    for threads in config.threads:
        found = _by_arm(measured, threads)
        for arm in arms:
            clips, own = (found[kind, arm["cpu_used"]] for kind in (arm["kind"], NATIVE))
            arm["threads"][str(threads)] = _wall(clips, found[(NATIVE, config.presets[0])], own)
    return {
        "format_version": FORMAT_VERSION,
        "definitions": DEFINITIONS,
        "settings": asdict(config),
        "anchor": f"{NATIVE} at {config.presets[0]}",
        "clips": list(anchor),
        "pipelines": [
            {
                "node": pipeline.node,
                "sha256": pipeline.sha256,
                "stages": list(pipeline.bundles),
                "policy": pipeline.policy.to_dict(),
                "learnt_from_cpu_used": pipeline.encoder.get("cpu_used"),
            }
            for pipeline in (levels.pipelines if levels else ())
        ],
        "arms": arms,
    }


def _by_arm(measured: Sequence[Measurement], threads: int) -> dict[Key, Clips]:
    """The measurements with so many threads."""
    found: dict[Key, Clips] = defaultdict(lambda: defaultdict(list))
    for one in measured:
        if one.threads == threads:
            found[(one.kind, one.cpu_used)][one.clip].append(one)
    return found


def _wall(clips: Clips, anchor: Clips, own: Clips) -> dict[str, float]:
    """What the clock says, and the BD-rate, against the anchor's encodes with as many threads."""
    spent, anchors, owns = (
        [one.wall_seconds for ones in side.values() for one in ones] for side in (clips, anchor, own)
    )
    return {
        "wall_seconds": sum(spent),
        "wall_saving": time_saving(anchors, spent),
        "wall_saving_to_own_preset": time_saving(owns, spent),
        "loss": _overall(clips, anchor).loss,
    }


def _arm(
    key: Key,
    clips: Clips,
    anchor: Clips,
    own: Clips,
    natives: Sequence[Place],
) -> dict[str, Any]:
    place = _overall(clips, anchor)
    everything = [one for ones in clips.values() for one in ones]
    per_clip: dict[str, dict[str, Any]] = {
        name: {
            "loss": {method: bd_rate(curve(anchor[name]), curve(ones), method) for method in METHODS},
            "loss_ssim": _ssim_loss(anchor[name], ones),
            "saving": time_saving(_seconds(anchor[name]), _seconds(ones)),
            "points": _points(ones),
        }
        for name, ones in clips.items()
    }
    ssim = [entry["loss_ssim"] for entry in per_clip.values()]
    worst = max(per_clip, key=lambda name: per_clip[name]["loss"]["akima"])
    line = frontier_loss(natives, place.saving)
    beside = _overall(clips, own)
    # Neither need be there: a clip may be all of large blocks, or smaller than a node.
    whole, nodes = (
        max(sum(counts), 1) for counts in zip(*((one.whole_nodes, one.nodes) for one in everything), strict=True)
    )
    seconds = sum(_seconds(everything))
    inference = sum(one.inference_seconds for one in everything)
    return {
        "name": f"{key[0]} at {key[1]}",
        "kind": key[0],
        "cpu_used": key[1],
        "loss": {method: fmean(entry["loss"][method] for entry in per_clip.values()) for method in METHODS},
        "loss_ssim": None if None in ssim else fmean(value for value in ssim if value is not None),
        "saving": place.saving,
        "saving_spread": _spread(clips, anchor),
        "own_preset": {"loss": beside.loss, "saving": beside.saving, "saving_spread": _spread(clips, own)},
        "under_frontier": None if line is None or key[0] == NATIVE else line - place.loss,
        "worst": {"clip": worst, "loss": per_clip[worst]["loss"]["akima"]},
        "bytes": sum(one.bytes for one in everything if one.repeat == 0),
        "seconds": seconds,
        "inference_seconds": inference,
        "inference_share": inference / seconds,
        "threads": {},
        "masked_nodes": sum(one.masked_nodes for one in everything) / whole,
        "kept_nodes": sum(one.kept_nodes for one in everything) / whole,
        "lost_nodes": sum(one.lost_nodes for one in everything) / nodes,
        "clips": per_clip,
    }


def curve(ones: Sequence[Measurement], quality: Quality | None = None) -> Curve:
    """Rate and quality (PSNR-Y) of one clip over its cqs; ToolkitError where a repeat gave another stream."""
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


def _ssim_loss(anchor: Sequence[Measurement], ones: Sequence[Measurement]) -> float | None:
    try:
        return bd_rate(curve(anchor, _ssim), curve(ones, _ssim))
    except ToolkitError:  # a flat picture's SSIM may stay or fall where its bytes rise
        return None


def _psnr(one: Measurement) -> float:
    return one.psnr_y


def _ssim(one: Measurement) -> float:
    return ssim_decibels(one.ssim_y)


def _overall(clips: Clips, anchor: Clips) -> Place:
    loss = fmean(bd_rate(curve(anchor[name]), curve(ones)) for name, ones in clips.items())
    return Place(_saving(clips, anchor), loss)


def _saving(clips: Clips, anchor: Clips) -> float:
    return time_saving(
        [s for ones in anchor.values() for s in _seconds(ones)], [s for ones in clips.values() for s in _seconds(ones)]
    )


def _spread(clips: Clips, anchor: Clips) -> list[float] | None:
    """Least and greatest time saving over repeats, each by itself; None of a single one."""
    repeats = sorted({one.repeat for ones in clips.values() for one in ones})
    if len(repeats) < 2:
        return None
    each = [_saving(_only(clips, repeat), _only(anchor, repeat)) for repeat in repeats]
    return [min(each), max(each)]


def _only(clips: Clips, repeat: int) -> Clips:
    return {name: [one for one in ones if one.repeat == repeat] for name, ones in clips.items()}


def _seconds(ones: Sequence[Measurement]) -> list[float]:
    return [one.seconds for one in ones]


def _points(ones: Sequence[Measurement]) -> list[dict[str, float]]:
    """What the curves are drawn from: a point a cq, seconds averaged over repeats."""
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
