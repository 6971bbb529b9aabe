"""A network as an ONNX file: written, checked against torch, quantised."""

import logging
import os
import tempfile
import warnings
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from fer_lightning.data.faces import SIZE
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replacing
from fer_lightning.shipping.onnx_session import INPUT, OUTPUT, run_onnx, session

# Resize with antialiasing, which enlarges a face as `prepare` does, came with 18, GELU as one operator (a tenth less time) with 20.
OPSET = 20
# The largest difference of a probability that float32 sums in another order may make; seen: 5e-7.
TOLERANCE = 1e-4


def write_onnx(network, path, about, size=SIZE):
    """Write a `WholeNetwork`. UserError if ONNX has no operator for some part of it.

    about: {key: text}, kept in the file; size: of the faces, in pixels
    """
    faces = torch.zeros(2, 1, size, size, dtype=torch.uint8)
    with replacing(path) as part, _quiet():
        try:
            program = torch.onnx.export(
                network, (faces,), dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), verbose=False,
            )  # fmt: skip
        except torch.onnx.errors.OnnxExporterError as error:
            name = type(network.backbone).__name__
            raise UserError(f"{name} cannot be exported to ONNX: {str(error).strip().splitlines()[0]}") from error
        model = program.model_proto
        onnx.helper.set_model_props(model, about)
        onnx.save_model(model, str(part))


def check_onnx(path, network, faces):
    """The largest difference between the probabilities of the file and of torch. UserError if it is over 1e-4. faces: (N, 1, 48, 48)"""
    with torch.inference_mode():
        expected = network(torch.from_numpy(faces)).numpy()
    difference = float(np.abs(run_onnx(session(path), faces) - expected).max())
    if not difference <= TOLERANCE:  # NaN too
        raise UserError(f"{path.name} does not compute what the run computes: probabilities differ by up to {difference:.2g}.")
    return difference


def quantise(path, to, faces):
    """Write the int8 form of an ONNX file: weights and activations in 8 bits, ranges from faces (N, 1, 48, 48) of the training part."""
    with tempfile.TemporaryDirectory() as folder, replacing(to) as part, _quiet():
        folded = os.path.join(folder, "folded.onnx")  # batch norms folded into convolutions, before ranges are measured
        quant_pre_process(str(path), folded)
        quantize_static(
            folded, str(part), _Faces(faces), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv", "Gemm", "MatMul"],
        )  # fmt: skip


class _Faces(CalibrationDataReader):
    def __init__(self, faces, batch=32):
        self._batches = iter(np.split(faces, range(batch, len(faces), batch)))

    def get_next(self):
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


@contextmanager
def _quiet():
    """The exporter and the quantiser warn about what cannot be helped here."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
