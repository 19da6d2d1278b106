"""The commands of libaom, labelling, pipelines and encodes. Importing this imports none of them."""

COMMANDS = {
    "bench": (
        "integration.commands.bench",
        "Measure in the encoder: BD-rate against CPU time, with masks and without.",
    ),
    "demo": (
        "integration.commands.demo",
        "The whole main job on the embedded data set.",
    ),
    "encode": (
        "integration.commands.encode",
        "Encode a clip with libaom, with or without the pipeline's masks.",
    ),
    "encoder": (
        "integration.commands.encoder",
        "Build libaom with the hook, or say what is there.",
    ),
    "label": (
        "integration.commands.label",
        "Code photographs or clips with libaom and record its partitions.",
    ),
    "pipeline": (
        "integration.commands.pipeline",
        "Stage 008: chain proven bundles, evaluate them, make masks.",
    ),
    "policy": (
        "integration.commands.policy",
        "Choose a pipeline's thresholds by what they cost in the encoder.",
    ),
}
"""Name of each command: the module that holds it, under the same name with _ for -, and its line in --help."""
