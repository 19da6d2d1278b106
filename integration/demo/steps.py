"""The demo's steps: each is a command of av1part, printed before it runs so that a user can repeat it alone."""

import contextlib
import io
import json
import shlex
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from integration.codec.config import four_way_of
from integration.demo.config import DemoConfig
from integration.demo.host import ffmpeg_command, measure
from integration.demo.table import Encoded, Row, print_summary
from toolkit import sample
from toolkit.cli.main import main
from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from integration.pipeline.score import Scores

SAMPLE = Path(sample.__file__).parent
MARKER = ".av1part-demo"
# Name, stage and init of each run. The pipeline takes the better of the two Stage 2 runs.
RUNS = (
    ("s1", "1", "imagenet"),
    ("s2-from-s1", "2", "stage1"),
    ("s2-from-imagenet", "2", "imagenet"),
    ("s3-rect", "3-rect", "stage1"),
    ("s3-ab", "3-ab", "stage1"),
)


class Demo:
    """One demo in one folder. `run` raises ToolkitError where a step fails that has to work."""

    def __init__(self, output: Path, data: Path | None, config: DemoConfig) -> None:
        self.output, self.data, self.config = output, data or SAMPLE, config
        self.rows: list[Row] = []
        self.started = time.monotonic()

    def run(self) -> None:
        """Run every step and print the closing tables."""
        self._prepare()
        backbone = self._backbone()
        self.command("data", "info", self.data, "--preview", self.output / "pictures" / "data.png")
        for name, stage, init in RUNS:
            self.rows.append(self._train_and_prove(name, stage, init, backbone))
        pipe, chosen = self._pipeline()
        options = ["--split", "test", "--limit", self.config.limit_val]
        scores = cast("Scores", self.json("pipeline", "eval", pipe, self.data, *options))
        encodes = self._encode(pipe)
        print_summary(self.rows, chosen, backbone, scores, encodes, time.monotonic() - self.started)
        click.echo(f"Pictures: {self.output / 'pictures'}")

    def command(self, *words: object) -> None:
        """Print a command and run it in this process; ToolkitError where its exit code is not 0."""
        arguments = [str(w) for w in words]
        click.secho(f"\n$ av1part {shlex.join(arguments)}", bold=True, err=True)
        code = main.main(arguments, prog_name="av1part", standalone_mode=False)
        if isinstance(code, int) and code != 0:
            raise ToolkitError(f"`av1part {arguments[0]}` ended with exit code {code}; its own words are above.")

    def json(self, *words: object) -> Any:
        """Run a command with --json, as `command` does, and return the JSON that it prints."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.command(*words, "--json")
        return json.loads(printed.getvalue())

    def _prepare(self) -> None:
        if self.output.exists() and any(self.output.iterdir()):
            if not (self.output / MARKER).exists():
                raise ToolkitError(f"{self.output} holds something that is no demo's. Choose another folder with -o.")
            shutil.rmtree(self.output)
        (self.output / "pictures").mkdir(parents=True)
        (self.output / MARKER).touch()

    def _backbone(self) -> str:
        """Choose a backbone whose ImageNet weights are on this machine: comparing the inits needs them, offline too."""
        from toolkit.model.pretrained import imagenet_at_hand

        if imagenet_at_hand("resnet18-se"):
            return "resnet18-se"
        click.echo(
            "ResNet-18's ImageNet weights are not on this machine: every run uses EfficientNet-Lite0, whose weights "
            "are installed with the package. Nothing below is a result about ResNet-18."
        )
        return "efficientnet-lite0"

    def _train_and_prove(self, name: str, stage: str, init: str, backbone: str) -> Row:
        c, run, bundle = self.config, self.output / name, self.output / f"{name}.bundle"
        begun = time.monotonic()
        source = ["--from", self.output / "s1"] if init == "stage1" else []
        # The Stage 3 heads learn on the Stage-1 backbone unchanged, which is quick; little depends on them.
        frozen = c.epochs if stage.startswith("3") else min(c.freeze_epochs, c.epochs)
        options = ["--epochs", c.epochs, "--freeze-epochs", frozen]
        options += ["--lr-backbone", c.lr_backbone, "--limit-train", c.limit_train, "--limit-val", c.limit_val]
        self.command(
            "train", self.data, "-o", run, "--stage", stage, "--backbone", backbone, "--init", init, *source, *options
        )
        selected = self.json("select", run)
        # A demo may show a weak head, as long as the table and the bundle say that it is weak.
        weak = [] if selected["beats_baseline"] else ["--allow-weak"]
        self.command("export", run, "--epoch", selected["epoch"], "-o", bundle, *weak)
        held_out = ["--split", "test", "--provider", "cpu", "--limit", c.parity_blocks]
        parity = self.json("parity", bundle, self.data, *held_out)
        for picture in ("curves", "confusion"):
            shutil.copy(run / f"{picture}.png", self.output / "pictures" / f"{name}-{picture}.png")
        return Row(name, stage, init, bundle, time.monotonic() - begun, selected, parity)

    def _pipeline(self) -> tuple[Path, str]:
        pipe = self.output / "cascade.pipe"
        arms = [row for row in self.rows if row.stage == "2"]
        best = max(arms, key=lambda row: row.select["macro_f1"])
        bundles = [row.bundle for row in self.rows if row.stage != "2" or row is best]
        policy = [word for setting in self.config.policy for word in ("--policy", setting)]
        self.command("pipeline", "build", *bundles, "-o", pipe, *policy)
        return pipe, best.name

    def _encode(self, pipe: Path) -> dict[str, Encoded] | None:
        """Encode one frame of the test split with masks, with the pruner in the box, and without either.

        None where libaom is not built. Masks and pruner have each their own plain encode to be set beside, at their
        own speed and with or without 4-way partitions as they were made.
        """
        try:
            self.command("encoder", "info")
        except click.ClickException as error:
            click.echo(f"No encode: {error.message}", err=True)
            return None
        clip, size = self._write_clip()
        words = ["encode", clip, "--raw", size, "--cq", self.config.cq]
        masks = [*words, "--cpu-used", self.config.cpu_used, self._four_way()]
        pruned = [*words, "--cpu-used", self.config.pruner_cpu_used]
        encodes = {
            "without masks": self.json(*masks, "--no-pipeline", "-o", self.output / "plain.ivf"),
            "with masks": self.json(*masks, "--pipeline", pipe, "-o", self.output / "masked.ivf"),
        }
        if ":" not in size:  # the pruner in the box is for 8 bit
            pruner = self.config.pruner
            encodes["without a pruner"] = self.json(*pruned, "--no-pipeline", "-o", self.output / "stock.ivf")
            encodes[f"pruner {pruner}"] = self.json(*pruned, "--pruner", pruner, "-o", self.output / "pruned.ivf")
            encodes |= self._in_ffmpeg(clip, size)
        return encodes

    def _in_ffmpeg(self, clip: Path, size: str) -> dict[str, Encoded]:
        """The same frame by ffmpeg with our libaom, without and with the pruner; empty where there is no ffmpeg."""
        if shutil.which("ffmpeg") is None:
            click.echo("No encode by ffmpeg: it is not installed (`make system` installs it).", err=True)
            return {}
        encodes = {}
        pruner = self.config.pruner
        arms = {"by ffmpeg without it": ["--no-pipeline"], f"by ffmpeg with {pruner}": ["--pipeline", pruner]}
        for name, options in arms.items():
            output = self.output / f"{name.replace(' ', '-')}.ivf"
            words = ffmpeg_command(clip, size, self.config.cq, self.config.pruner_cpu_used, output)
            encodes[name] = measure(partial(self.command, "run", *options, "--", *words), clip, size, output)
        return encodes

    def _four_way(self) -> str:
        """Option of `encode` for 4-way partitions as the data set, and so the pipeline, was made."""
        from toolkit.data.blockset import BlockSet

        return "--four-way" if four_way_of(None, BlockSet.load(self.data).manifest["encoder"]) else "--no-4way"

    def _write_clip(self) -> tuple[Path, str]:
        """Write the first frame of the first test source as raw 4:2:0; return its path and its layout for --raw.

        Chroma is neutral, because a data set holds luma alone.
        """
        import numpy as np

        from toolkit.data.blockset import BlockSet

        blocks = BlockSet.load(self.data)
        index = next(i for i, s in enumerate(blocks.sources) if s["split"] == "test")
        luma = blocks.luma(index)[0]
        height, width = (n - n % 2 for n in luma.shape)
        chroma = np.full((2, height // 2, width // 2), 1 << (blocks.bit_depth - 1), luma.dtype)
        path = self.output / "frame.yuv"
        path.write_bytes(luma[:height, :width].tobytes() + chroma.tobytes())
        return path, f"{width}x{height}" + (f":{blocks.bit_depth}" if blocks.bit_depth > 8 else "")
