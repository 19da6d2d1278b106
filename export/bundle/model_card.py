"""MODEL_CARD.md: intended use and measurements of a bundle, on one page."""

from typing import Any

from toolkit.escaping import markdown
from toolkit.model.provenance import is_known, trained_on
from toolkit.partition import NAMES


def model_card(manifest: dict[str, Any]) -> str:
    """Write the card in Markdown from the manifest alone; it claims only measurements."""
    contract, provenance = manifest["contract"], manifest["provenance"]
    metrics, constant = provenance["metrics"], provenance["baselines"]["best_constant"]
    classes = "\n".join(
        f"| {markdown(c['name'])} | {', '.join(map(str, c['av1_ids']))} | {_f1(metrics, c['name'])} |"
        for c in contract["classes"]
    )
    encoder = "\n".join(
        f"- {markdown(key)}: {markdown(str(value))}" for key, value in sorted(manifest["encoder"].items())
    )
    row, around = contract["window"]["row"], ""
    node = contract["window"]["height"] - 2 * row
    if row:
        around = f"{row} source pixels around it on every side (the frame's outermost repeated beyond its edge), "
    weak = "".join(f"- **Weak model, shipped on demand:** {markdown(reason)}.\n" for reason in manifest["weak"])
    qindex = "and its qindex" if contract["qindex_used"] else "(the qindex input is there and has no effect)"
    inside = contract.get("inside")
    asked = ""
    if inside is not None:
        known = ", ".join(inside["features"])
        asked = (
            f"\n\nIt is asked inside the search of the node, after {inside['point'].upper()}, with the features that "
            f"the hook knows there (table {inside['table']}): {known}. Masks are made before the search, not by it."
        )
    return f"""# AV1 partition classifier, stage {contract["stage"]}

## Intended use

Predicts which partitions an AV1 encoder need not search for a {node}x{node} luma node, from the node's raw
{contract["bit_depth"]}-bit code values, {around}{qindex}. It is to be used inside an encoder with the settings below,
through a pipeline that checks this bundle's parity report, and on nothing else: its answers for other settings,
bit depths or already scaled pixels were not measured.{asked}

| class | AV1 partition ids | validation F1 |
|---|---|---|
{classes}

{_origin(manifest)}

## Measured limits

{weak}- Validation macro-F1 {metrics["macro_f1"]:.4f}, accuracy {metrics["accuracy"]:.4f}. The best constant predictor \
(always {constant["class"]}) has macro-F1 {constant["macro_f1"]:.4f}, accuracy {constant["accuracy"]:.4f}.
- They are of the validation split's nodes whose partition is one of the ids above, from the data set with sha256
  `{provenance["data_sha256"]}`. Nodes cut by the frame's edge, inside larger blocks or of any other partition
  ({_others(contract)}) were left out; the model answers for those too, and nothing was measured of it.
- {_training(provenance)}
- Scores of single decisions do not rank encoders: measure bitrate, quality and time with real encodes.

## Encoder settings of the training labels

{encoder}
"""


def _origin(manifest: dict[str, Any]) -> str:
    """Origin of the weights: one epoch of a network, or the members of an ensemble."""
    provenance = manifest["provenance"]
    chosen = f"Backbone {manifest['backbone']}, epoch {provenance['epoch']} ({provenance['chosen']})."
    if taught_by := provenance.get("taught_by"):
        chosen += f" It learnt from {markdown(str(taught_by.get('name')))}, {taught_by.get('backbone')}."
    members = "\n".join(
        f"- {markdown(m['name'])} (sha256 {m['sha256'][:16]}): {m['backbone']}, epoch {m['epoch']}, "
        f"macro-F1 {m['macro_f1']:.4f}"
        for m in provenance.get("members", ())
    )
    return f"The mean probability of an {manifest['backbone']}:\n\n{members}" if members else chosen


def _others(contract: dict[str, Any]) -> str:
    """Names of the partitions that no class holds."""
    held = {id for c in contract["classes"] for id in c["av1_ids"]}
    return ", ".join(name for id, name in enumerate(NAMES) if id not in held)


def _training(provenance: dict[str, Any]) -> str:
    """Sentence on how far the training data are known."""
    if not is_known(provenance):
        return "An imported model: what it was trained on is not known; it may have seen the blocks of its proofs."
    return f"Trained on {len(trained_on(provenance))} sources, which manifest.json names by sha256; proofs refuse them."


def _f1(metrics: dict[str, Any], name: str) -> str:
    return f"{metrics['per_class'][name]['f1']:.4f}"
