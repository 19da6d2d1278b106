"""Table of the commands for libaom, labelling, pipelines and encodes. Importing it imports none of their modules."""

COMMANDS = {
    "bench": (
        "integration.commands.bench",
        "Measure in the encoder: BD-rate against CPU time, with masks or a pruner and without.",
    ),
    "demo": (
        "integration.commands.demo",
        "Run the whole main job on the embedded data set.",
    ),
    "doctor": (
        "integration.commands.doctor",
        "Say which encoder is used, and what stands between a GPU and a CUDA profile.",
    ),
    "encode": (
        "integration.commands.encode",
        "Encode a clip with libaom, made faster by a pruner or by masks.",
    ),
    "encoder": (
        "integration.commands.encoder",
        "Build libaom with the hook, install it for other encoders, or show the build.",
    ),
    "env": (
        "integration.commands.env",
        "Print the variables with which any encoder of libaom prunes.",
    ),
    "fit": (
        "integration.commands.fit",
        "From a record to a pruner, or from labels to masks: proven, and tried in encodes.",
    ),
    "label": (
        "integration.commands.label",
        "Code photographs or clips with libaom and record its partitions.",
    ),
    "pipeline": (
        "integration.commands.pipeline",
        "Chain proven bundles into a pipeline (stage 008), and evaluate it.",
    ),
    "policy": (
        "integration.commands.policy",
        "Choose a pipeline's thresholds by what they cost in the encoder.",
    ),
    "pruner": (
        "integration.commands.pruner",
        "Learn what libaom's search may skip, prove it, and look at it.",
    ),
    "record": (
        "integration.commands.record",
        "Code photographs or clips and keep what libaom's search knew and found.",
    ),
    "run": (
        "integration.commands.run",
        "Run ffmpeg, avifenc or another encoder with pruners inside its libaom.",
    ),
    "zoo": (
        "integration.commands.zoo",
        "List the trained pruners in the box, and print their cards.",
    ),
}
"""Module and line in --help of each command, by its name; in the module it has that name, with _ for -."""

KEPT = {
    "bench": "Finished encodes are kept in the report folder. Give the same command again to go on.",
    "demo": "What it has made is still there. The same command makes it anew.",
    "fit": "What is finished is kept beside the output. Give the same command again to go on.",
    "label": "Finished encodes are kept beside the output. Give the same command again to go on.",
    "policy": "Finished encodes are kept beside the output. Give the same command again to go on.",
    "record": "Finished encodes are kept beside the output. Give the same command again to go on.",
}
"""What an interrupted command keeps and how to go on, of the commands that keep anything."""
