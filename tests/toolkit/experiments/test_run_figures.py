"""Pictures of a run: whole epochs, legends off the curves, titles that name run and stage, rows in percent."""

from pathlib import Path

import pytest

from toolkit.training.report import draw_confusion, draw_curves
from toolkit.training.run_folder import RunFolder


@pytest.mark.parametrize("epochs", [1, 2])
def test_curves_have_whole_epochs_named_axes_and_legends_below(trained: Path, epochs: int) -> None:
    run = RunFolder.open(trained)
    figure = draw_curves("mine, stage 2", run.read(), run.history()[:epochs])
    figure.draw_without_rendering()
    assert figure.get_suptitle() == "mine, stage 2"
    loss = run.read()["train"]["loss"]
    assert [axes.get_ylabel() for axes in figure.axes] == [f"{loss} loss", "F1 (validation)"]
    for axes in figure.axes:
        assert all(float(tick).is_integer() for tick in axes.get_xticks())
        legend = axes.get_legend()
        assert legend is not None
        assert not legend.get_window_extent().overlaps(axes.bbox)


def test_rows_of_the_confusion_are_percentages() -> None:
    axes = draw_confusion("mine", [[3, 1], [0, 0]], ("A", "B")).axes[0]
    assert [text.get_text() for text in axes.texts] == ["75%\n3", "25%\n1", "0%\n0", "0%\n0"]
    assert axes.get_title().startswith("mine")
    assert axes.get_ylabel() == "true class (a row is 100%)"
