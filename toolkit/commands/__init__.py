"""Commands of data, training, selection and comparison. Importing this package imports none of them."""

COMMANDS = {
    "compare": (
        "toolkit.commands.compare",
        "Compare runs: ranking, forgetting, calibration, curves, and whether a difference exceeds the seeds.",
    ),
    "data": (
        "toolkit.commands.data",
        "Look at a data set, merge several, or import an older one.",
    ),
    "ensemble": (
        "toolkit.commands.ensemble",
        "Make one checkpoint that averages several.",
    ),
    "evaluate": (
        "toolkit.commands.evaluate",
        "Score a model on any data set, per source and per qindex.",
    ),
    "import-checkpoint": (
        "toolkit.commands.import_checkpoint",
        "Make an older .pt checkpoint exportable.",
    ),
    "recipes": (
        "toolkit.commands.recipes",
        "List the named recipes of training.",
    ),
    "select": (
        "toolkit.commands.select",
        "Choose the best epoch of a run, re-evaluated from its file.",
    ),
    "sweep": (
        "toolkit.commands.sweep",
        "Train recipes x seeds, resumable and in parallel, and compare them.",
    ),
    "train": (
        "toolkit.commands.train",
        "Train one stage of the cascade.",
    ),
}
"""Module and line of --help of each command, by its name. In the module, the command has this name with _ for -."""

KEPT = {
    "sweep": "Finished runs and epochs are kept. Give the same command again to go on.",
    "train": "Finished epochs are kept. Give the same command again with --resume to go on.",
}
"""What an interrupted command keeps and how to go on, of the commands that keep anything."""
