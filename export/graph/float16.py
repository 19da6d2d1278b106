"""The float16 copy of a graph that the cuda-fp16 profile runs; made from the sealed bytes each time, never stored."""

import warnings

import onnx


def as_float16(model: bytes) -> bytes:
    """The graph with weights and arithmetic in float16; inputs and output stay float32, as the contract has them.

    Code values up to 2048 are exact in float16, so that no input of up to 11 bit loses anything at the cast.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights too small for float16 become zero; parity measures what that costs
        proto = convert_float_to_float16(onnx.load_model_from_string(model), keep_io_types=True)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data
