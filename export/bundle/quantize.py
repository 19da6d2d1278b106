"""Int8 bundles, each derived from a float32 one, naming it, sealed like it and proven in a profile of its own."""

import contextlib
import io
import logging
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from export.bundle.bundle import FORMAT, SIZE_LIMITS, Bundle
from export.bundle.quantize_config import QuantizeConfig
from export.graph.check import check_onnx
from export.graph.runtime import Feed, feed
from toolkit.data.blockset import Blocks, BlockSet
from toolkit.data.sampling import stratified_index
from toolkit.errors import ToolkitError
from toolkit.files import atomic_folder, sha256_file
from toolkit.model.provenance import trained_on
from toolkit.partition import STAGES
from toolkit.progress import track

_BATCH = 64
_OPERATORS = ("Conv", "Relu", "Clip", "MaxPool", "Add")
"""Operators that become int8. Gemm stays float32: quantised, the last ones would clip logits at the largest seen."""


class _Reader:
    """Reader of training blocks for ONNX Runtime's quantiser: one feed at a time, then None."""

    def __init__(self, blocks: Blocks) -> None:
        parts = [blocks[start : start + _BATCH] for start in range(0, len(blocks), _BATCH)]
        self._feeds = (feed(*part.inputs) for part in track(parts, "calibrating"))

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)

    def __iter__(self) -> "_Reader":
        return self

    def __next__(self) -> Feed:
        values = self.get_next()
        if values is None:
            raise StopIteration
        return values


def quantize_bundle(
    path: Path, data_path: Path, output: Path, config: QuantizeConfig, *, overwrite: bool = False
) -> Bundle:
    """Write the int8 bundle of a proven float32 bundle, with ranges set on blocks that the model was trained on.

    Static quantisation: QDQ, 7-bit weights per channel, which x86-64 CPUs of every kind multiply exactly. Raises
    ToolkitError for a bundle that is int8 already, not proven on the CPU, or of unknown training; for data without its
    training blocks; and where `output` exists.
    """
    bundle = Bundle.load(path)
    data = BlockSet.load(data_path)
    if bundle.int8:
        raise ToolkitError(f"{path} is int8 already. Quantise the float32 bundle that it was made from.")
    if not bundle.proven("cpu"):
        raise ToolkitError(f"{path}: not proven on the CPU, so not worth deriving from. Run `av1part parity` first.")
    bundle.check_data(data)
    blocks = range_blocks(bundle, data, config)
    graph = quantize_graph(bundle.model_bytes(), blocks, bundle.contract.metadata())
    check_onnx(graph, bundle.contract, int8=True)
    with atomic_folder(output, overwrite=overwrite) as folder:
        (folder / "model.onnx").write_bytes(graph)
        (folder / "checkpoint.pt").write_bytes((path / "checkpoint.pt").read_bytes())
        card = (path / "MODEL_CARD.md").read_text(encoding="utf-8")
        note = (
            f"int8 copy of bundle `{bundle.sha256}` (sha256), calibrated on {len(blocks)} training blocks. The figures "
            "above are those of the float32 model; what int8 costs, the parity report says."
        )
        (folder / "MODEL_CARD.md").write_text(f"{card}\n## Precision\n\n{note}\n", encoding="utf-8")
        quantization = {
            "from": bundle.sha256,
            "model_sha256": bundle.manifest["files"]["model.onnx"]["sha256"],
            "data_sha256": data.sha256,
            "split": "train",
            "blocks": len(blocks),
            "sources": len(np.unique(blocks.source)),
            "operators": list(_OPERATORS),
            **asdict(config),
        }
        files = {n: {"bytes": (folder / n).stat().st_size, "sha256": sha256_file(folder / n)} for n in SIZE_LIMITS}
        manifest = {**bundle.manifest, "quantization": quantization, "files": files}
        FORMAT.write(manifest, folder)
        Bundle.load(folder).session()  # put in place only what consumers accept
    return Bundle.load(output)


def range_blocks(bundle: Bundle, data: BlockSet, config: QuantizeConfig) -> Blocks:
    """Training blocks that set the int8 ranges, even over class and qindex; ToolkitError on an untrained source."""
    if not bundle.training_known:
        raise ToolkitError(
            f"{bundle.path}: an imported model, of which nobody knows what it was trained on; calibration takes "
            "training blocks alone, or the proof would judge what it was fitted to."
        )
    index = data.split_index("train", bundle.stage)
    seen = trained_on(bundle.manifest["provenance"])
    strangers = [s["name"] for s in data.sources if s["split"] == "train" and s["sha256"] not in seen]
    if strangers:
        raise ToolkitError(
            f"{data.path}: the model was not trained on {', '.join(strangers[:5])} ({len(strangers)} sources); "
            "calibration takes training blocks alone. Give the data set that it was trained on."
        )
    rows = data.blocks[index]
    target = STAGES[bundle.stage].targets(rows["partition"])
    chosen = index[stratified_index(target, rows["qindex"], config.limit, config.seed)]
    return data.take(chosen, bundle.stage, bundle.contract.window)


def quantize_graph(model: bytes, blocks: Blocks, metadata: dict[str, str]) -> bytes:
    """Quantise _OPERATORS of the graph to int8 and set its metadata; ToolkitError where ONNX Runtime cannot."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    logger = logging.getLogger()
    level = logger.level
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)  # it advises preprocessing; the exporter has done that
        target = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                onnx.load_model_from_string(model),
                target,
                _Reader(blocks),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_OPERATORS),
                per_channel=True,
                reduce_range=True,  # 7-bit weights: two products with 8-bit values, 255 * 64 * 2, fit 16 bit
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        except Exception as error:  # ONNX Runtime's quantiser raises many kinds
            raise ToolkitError(f"ONNX Runtime cannot quantise the graph: {str(error)[:300]}.") from error
        finally:
            logger.setLevel(level)
        proto: ModelProto = onnx.load(target)
    onnx.helper.set_model_props(proto, metadata)  # the quantiser adds an entry of its own
    data: bytes = proto.SerializeToString(deterministic=True)
    return data
