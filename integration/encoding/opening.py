"""What `--pipeline` and `--pruner` name: folders of pipelines and pruners, and names of the zoo, told apart and opened.

Light until something is opened: an encode with a pruner alone imports no ONNX Runtime.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from integration import zoo
from toolkit.errors import ToolkitError
from toolkit.extras import advice
from toolkit.folders import PIPELINE, PRUNER, check_folder, kind_of

if TYPE_CHECKING:
    from integration.pipeline.pipeline_set import PipelineSet
    from integration.pruning.bundle import PrunerBundle


class Named(NamedTuple):
    """Folders that an encode was given: of `pipelines`, and of the `pruner`, None where no option names one."""

    pipelines: tuple[Path, ...]
    pruner: Path | None

    def masks(self, threads: int, provider: str | None = None) -> "PipelineSet | None":
        """The pipelines, opened and verified, each on so many threads; None where there is none.

        `provider`: of their models, the one that each was built for if None. Raises ToolkitError as `Pipeline.load`,
        and where ONNX Runtime is not installed.
        """
        if not self.pipelines:
            if provider:
                raise ToolkitError(f"--provider {provider}: a pipeline's networks run on it. Name one by --pipeline.")
            return None
        try:
            from integration.pipeline.pipeline import Pipeline
            from integration.pipeline.pipeline_set import PipelineSet
        except ModuleNotFoundError as error:
            if text := advice(error, "masks"):
                raise ToolkitError(text) from None
            raise
        found = PipelineSet([Pipeline.load(path, provider, threads) for path in self.pipelines])
        found.masker  # noqa: B018  a network that cannot be opened is an error now, not at the first frame
        return found

    def decider(self) -> "PrunerBundle | None":
        """The pruner that an option names, opened and verified; None where none does."""
        if self.pruner is None:
            return None
        from integration.pruning.bundle import PrunerBundle

        return PrunerBundle.load(self.pruner)


def named(pipelines: Sequence[Path], pruner: Path | None) -> Named:
    """Tell pipelines from pruners, which `--pipeline` takes too: a pruner there is one that `--pruner` names.

    Raises ToolkitError on a folder that is neither, and on two pruners.
    """
    inside = [zoo.find(pruner)] if pruner else []
    masks = []
    for path in pipelines:
        if not path.exists() and str(path) in zoo.names():
            inside.append(zoo.find(path))
        elif kind_of(path) == PRUNER:
            inside.append(path)
        else:
            check_folder(path, PIPELINE)
            masks.append(path)
    if len(inside) > 1:
        raise ToolkitError(f"{' and '.join(map(str, inside))}: two pruners. An encode has one; name one of them.")
    return Named(tuple(masks), inside[0] if inside else None)
