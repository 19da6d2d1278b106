"""Losses against their formulas, and augmentation against the partition's geometry."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from toolkit.errors import ToolkitError
from toolkit.model.augment import draw_views, turn, turn_each, turned_labels, views
from toolkit.partition import rectangles
from toolkit.training.losses import class_balanced_weights, make_loss


def test_class_balanced_weights_follow_cui() -> None:
    counts = torch.tensor([100, 2000, 50000])
    raw = (1 - 0.9999) / (1 - 0.9999 ** counts.double())
    expected = raw * 3 / raw.sum()
    assert torch.allclose(class_balanced_weights(counts, 0.9999).double(), expected, atol=1e-6)


def test_focal_with_gamma_0_is_cross_entropy_and_gamma_2_by_hand() -> None:
    torch.manual_seed(0)
    logits, targets, counts = torch.randn(9, 3), torch.tensor([0, 1, 2] * 3), torch.tensor([5, 6, 7])
    assert torch.allclose(
        make_loss("cross-entropy", counts, 0.9999, 2.0, 0.05)(logits, targets), F.cross_entropy(logits, targets)
    )
    p = logits.softmax(1)[torch.arange(9), targets]
    assert torch.allclose(
        make_loss("focal", counts, 0.9999, 2.0, 0.05)(logits, targets), ((1 - p) ** 2 * -p.log()).mean()
    )


def test_a_class_without_blocks_is_refused() -> None:
    with pytest.raises(ToolkitError, match="has no block in the training split"):
        make_loss("cross-entropy", torch.tensor([5, 0]), 0.9999, 2.0, 0.05)


def painted(partition: int) -> np.ndarray:
    node = np.zeros((16, 16), np.float32)
    for level, (r, c, h, w) in enumerate(rectangles(partition)):
        node[r : r + h, c : c + w] = level + 1
    return node


def borders(node: np.ndarray) -> tuple[bytes, bytes]:
    return (np.diff(node, axis=0) != 0).tobytes(), (np.diff(node, axis=1) != 0).tobytes()


@pytest.mark.parametrize("kind", ["flips", "dihedral"])
def test_augmented_pixels_show_the_augmented_label(kind: str) -> None:
    ids = torch.arange(10).repeat(40)
    luma = torch.from_numpy(np.stack([painted(int(i)) for i in ids]))[:, None]
    view = draw_views(kind, len(ids), torch.Generator().manual_seed(1))
    assert set(view.tolist()) == set(range(views(kind)))
    pixels, labels = turn_each(luma, view), turned_labels(ids, view)
    assert all(torch.equal(turn(luma[i : i + 1], int(v)), pixels[i : i + 1]) for i, v in enumerate(view))
    assert not torch.equal(labels, ids)
    for node, label in zip(pixels[:, 0].numpy(), labels.tolist(), strict=True):
        assert borders(node) == borders(painted(label))


def test_no_augmentation_changes_nothing() -> None:
    luma, ids = torch.rand(5, 1, 16, 16), torch.arange(5)
    view = draw_views("none", 5, torch.Generator())
    assert torch.equal(turn_each(luma, view), luma)
    assert torch.equal(turned_labels(ids, view), ids)
