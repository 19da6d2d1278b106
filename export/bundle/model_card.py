"""MODEL_CARD.md: intended use and measurements of a bundle, on one page."""

from collections.abc import Sequence

from export.graph.contract import Contract
from toolkit.escaping import markdown
from toolkit.model.checkpoint import Checkpoint
from toolkit.model.provenance import Provenance, is_known, trained_on
from toolkit.partition import NAMES


def model_card(checkpoint: Checkpoint, chosen: str, weaknesses: Sequence[str]) -> str:
    """Write the card in Markdown from the checkpoint that ships; it claims only measurements.

    `chosen` says why its epoch was, `weaknesses` why the model is not worth shipping.
    """
    contract, provenance = Contract.of(checkpoint.config), checkpoint.provenance
    metrics, constant = checkpoint.metrics, checkpoint.baselines["best_constant"]
    classes = "\n".join(
        f"| {markdown(name)} | {', '.join(map(str, ids))} | {metrics['per_class'][name]['f1']:.4f} |"
        for name, ids in zip(contract.classes, contract.groups, strict=True)
    )
    encoder = "\n".join(
        f"- {markdown(key)}: {markdown(str(value))}" for key, value in sorted(checkpoint.encoder.items())
    )
    row, around = contract.window.context, ""
    node = contract.window.node
    if row:
        around = f"{row} source pixels around it on every side (the frame's outermost repeated beyond its edge), "
    weak = "".join(f"- **Weak model, shipped on demand:** {markdown(reason)}.\n" for reason in weaknesses)
    qindex = "and its qindex" if contract.qindex else "(the qindex input is there and has no effect)"
    return f"""# AV1 partition classifier, stage {contract.stage}

## Intended use

Predicts which partitions an AV1 encoder need not search for a {node}x{node} luma node, from the node's raw
{contract.bit_depth}-bit code values, {around}{qindex}. It is to be used inside an encoder with the settings below,
through a pipeline that checks this bundle's parity report, and on nothing else: its answers for other settings,
bit depths or already scaled pixels were not measured.

| class | AV1 partition ids | validation F1 |
|---|---|---|
{classes}

{_origin(checkpoint, chosen)}

## Measured limits

{weak}- Validation macro-F1 {metrics["macro_f1"]:.4f}, accuracy {metrics["accuracy"]:.4f}. The best constant predictor \
(always {constant["class"]}) has macro-F1 {constant["macro_f1"]:.4f}, accuracy {constant["accuracy"]:.4f}.
- They are of the validation split's nodes whose partition is one of the ids above, from the data set with sha256
  `{checkpoint.data_sha256}`. Nodes cut by the frame's edge, inside larger blocks or of any other partition
  ({_others(contract)}) were left out; the model answers for those too, and nothing was measured of it.
- {_training(provenance)}
- Scores of single decisions do not rank encoders: measure bitrate, quality and time with real encodes.

## Encoder settings of the training labels

{encoder}
"""


def _origin(checkpoint: Checkpoint, chosen: str) -> str:
    """Origin of the weights: one epoch of a network, or the members of an ensemble."""
    provenance, backbone = checkpoint.provenance, checkpoint.config.backbone
    text = f"Backbone {backbone}, epoch {checkpoint.epoch} ({chosen})."
    if taught_by := provenance.get("taught_by"):
        text += f" It learnt from {markdown(taught_by['name'])}, {taught_by['backbone']}."
    members = "\n".join(
        f"- {markdown(m['name'])} (sha256 {m['sha256'][:16]}): {m['backbone']}, epoch {m['epoch']}, "
        f"macro-F1 {m['macro_f1']:.4f}"
        for m in provenance.get("members", ())
    )
    return f"The mean probability of an {backbone}:\n\n{members}" if members else text


def _others(contract: Contract) -> str:
    """Names of the partitions that no class holds."""
    held = {id for group in contract.groups for id in group}
    return ", ".join(name for id, name in enumerate(NAMES) if id not in held)


def _training(provenance: Provenance) -> str:
    """Sentence on how far the training data are known."""
    if not is_known(provenance):
        return "An imported model: what it was trained on is not known; it may have seen the blocks of its proofs."
    return f"Trained on {len(trained_on(provenance))} sources, which manifest.json names by sha256; proofs refuse them."
