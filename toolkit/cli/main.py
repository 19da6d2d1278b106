"""The console script `av1part`: a table of commands, each imported only when it is used."""

import importlib
import os

import click

from toolkit import __version__

# PyTorch's OpenMP threads spin while they wait for each other, which on shared cores made training 1.4 to 3 times
# slower than threads that sleep (docs/benchmarks.md). Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

COMMANDS = {
    "bench": "Measure in the encoder: BD-rate against CPU time, with masks and without.",
    "bundle": "Verify a bundle, sign it, or show what it is.",
    "compare": "Compare runs: ranking, forgetting, calibration, curves, and whether a difference exceeds the seeds.",
    "data": "Look at a data set, or import an older one.",
    "demo": "The whole main job on the embedded data set.",
    "doctor": "Say what stands between this machine's GPU and a CUDA profile.",
    "encode": "Encode a clip with libaom, with or without the pipeline's masks.",
    "encoder": "Build libaom with the hook, or say what is there.",
    "ensemble": "Make one checkpoint that averages several.",
    "evaluate": "Score a model on any data set, per source and per qindex.",
    "export": "Export a checkpoint to an ONNX bundle, compared before it is written.",
    "import-checkpoint": "Make an older .pt checkpoint exportable.",
    "label": "Code photographs or clips with libaom and record its partitions.",
    "parity": "Prove that ONNX Runtime gives PyTorch's predictions on held-out blocks.",
    "pipeline": "Stage 008: chain proven bundles, evaluate them, make masks.",
    "quantize": "Derive an int8 bundle from a proven one.",
    "policy": "Choose a pipeline's thresholds by what they cost in the encoder.",
    "recipes": "List the named recipes of training.",
    "select": "Choose the best epoch of a run, re-evaluated from its file.",
    "sweep": "Train recipes x seeds, resumable and in parallel, and compare them.",
    "train": "Train one stage of the cascade.",
}


class LazyGroup(click.Group):
    """A group that imports toolkit.cli.<name> (- as _) and takes its attribute <name> when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"toolkit.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table, so that --help imports no command's module.
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="av1part")
def main() -> None:
    """Train an AV1 block-partition classifier, prove its ONNX export, and put it inside a real encoder."""


if __name__ == "__main__":
    main()
