"""From a world's torch models to ONNX graphs that sit beside its weights in the bundle.

The graphs hold structure only: every large weight is an external tensor inside the bundle's own safetensors file, float16, cast and
folded by ONNX Runtime when it opens the graph. So a world does not carry its weights twice.
"""

from __future__ import annotations

import json
import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
import onnxscript.optimizer
import torch
from onnxscript.rewriter import RewriteRule
from torch import Tensor, nn

from genie.configs import GRAPHS
from genie.dynamics import Dynamics
from genie.latent_actions import LatentActionModel
from genie.runtime.graphs import ActGraph, EmbedGraph, EncodeGraph, PaintGraph, StepGraph, StoreGraph
from genie.runtime.onnx_engine import graph_file
from tokenizer.model import VideoTokenizer

OPSET = 23  # the first with RMSNormalization
INLINE_BYTES = 4096  # smaller constants stay in the graph
BATCH = 2  # of the example inputs; the axis is dynamic
WITHOUT_BATCH = ("mask", "rope", "temperature", "order", "keep", "place", "forced")  # inputs that all rollouts share


def write_graphs(
    bundle: Path,
    tokenizer: VideoTokenizer,
    latent_actions: LatentActionModel,
    dynamics: Dynamics,
    progress: Callable[[str], None] = lambda part: None,
) -> dict[str, bytes]:
    """Write every graph into a bundle's folder, which holds the weights already.

    Returns:
        file name -> contents. Each was checked by onnx.checker.
    """
    found = {}
    progress("tracing graphs")
    for name, model in _traced(_graphs(tokenizer, latent_actions, dynamics)).items():
        progress(f"graph {name}")
        _refer_to_weights(model, bundle / f"{GRAPHS[name]}.safetensors")
        forms = {name: model}
        if name == "step":  # rewritten, as tracing it once more takes seconds
            forms["step-int8"] = model.clone()
            INT8_LINEAR.apply_to_model(forms["step-int8"])
        for form, model in forms.items():
            with _quiet():  # folds what is small; weights are left to ONNX Runtime
                onnxscript.optimizer.optimize_ir(model, input_size_limit=INLINE_BYTES, output_size_limit=INLINE_BYTES)
            _strip(model)
            path = bundle / graph_file(form)
            ir.save(model, path)
            onnx.checker.check_model(str(path), full_check=True)
            found[path.name] = path.read_bytes()
    return found


class Parts(NamedTuple):
    """A graph to export, its example inputs by name (lists become name_0, name_1, …) and the names of its outputs."""

    graph: nn.Module
    inputs: dict[str, Any]
    outputs: tuple[str, ...]


def _graphs(tokenizer: VideoTokenizer, latent_actions: LatentActionModel, dynamics: Dynamics) -> dict[str, Parts]:
    config = dynamics.config
    tokens = (BATCH, tokenizer.config.positions, tokenizer.config.codes)
    ring = (*tokens[:2], config.heads)

    def image(size: tuple[int, int] = tokenizer.config.resolution) -> Tensor:
        return torch.zeros((BATCH, *size, 3), dtype=torch.uint8)  # one each time: the exporter takes one that comes twice for one input

    def around() -> Tensor:
        return image(tokenizer.config.around)

    def motion() -> Tensor:
        return torch.zeros((BATCH, 2), dtype=torch.int64)

    def codes() -> Tensor:
        return torch.zeros(tokens, dtype=torch.int64)

    step: dict[str, Any] = {
        "embedding": torch.zeros(*tokens[:2], config.width),
        "codes": codes(),
        "known": torch.zeros(tokens, dtype=torch.bool),
        "modulation": torch.zeros(BATCH, 6 * config.layers, config.width),
        "keys": [torch.zeros(*ring, config.head_width, config.context - 1) for _ in range(config.layers)],
        "values": [torch.zeros(*ring, config.context - 1, config.head_width) for _ in range(config.layers)],
        "mask": torch.zeros(config.context - 1),
        "rope": torch.zeros(2, config.head_width),
        "noise": torch.zeros(BATCH, 2, *tokens[1:]),
        "temperature": torch.tensor(1.0),
        "order": torch.tensor(0.0),
        "keep": torch.tensor(1),
    }
    slot = (config.layers, *ring, 1, config.head_width)
    store = {
        "keys": [torch.zeros_like(part) for part in step["keys"]],
        "values": [torch.zeros_like(part) for part in step["values"]],
        "new_keys": torch.zeros(slot),
        "new_values": torch.zeros(slot),
        "place": torch.tensor(0),
    }
    stored = tuple(f"{name}_{layer}_after" for name in ("keys", "values") for layer in range(config.layers))
    made = ("codes_after", "known_after", "new_keys", "new_values")
    return {
        "embed": Parts(
            EmbedGraph(dynamics, folded=False),
            {
                "before": image(),
                "frame": around(),
                "actions": torch.zeros(BATCH, dtype=torch.int64),
                "motion": motion(),
                "forced": torch.tensor(False),
                **({"trail": torch.zeros((BATCH, config.trail, 3), dtype=torch.int64)} if config.trail else {}),
            },
            ("embedding", "modulation", "chosen"),
        ),
        "step": Parts(StepGraph(dynamics, folded=False), step, made),
        "store": Parts(StoreGraph(), store, stored),
        "paint": Parts(PaintGraph(tokenizer), {"frame": around(), "codes": codes(), "motion": motion()}, ("painted",)),
        "describe": Parts(EncodeGraph(tokenizer), {"previous": around(), "frame": image()}, ("codes", "motion")),
        "act": Parts(ActGraph(latent_actions), {"before": image(), "frame": image(), "after": image()}, ("action",)),
    }


def _linear(op: Any, x: Any, weight: Any) -> Any:
    return op.MatMul(x, op.Transpose(weight, perm=[1, 0]))


def _int8_linear(op: Any, x: Any, weight: Any) -> Any:
    """A linear layer in int8: weights by output channel, activations by their range in each call."""
    scale = op.Div(op.ReduceMax(op.Abs(weight), op.Constant(value_ints=[1]), keepdims=0), op.Constant(value_float=127.0))
    levels = op.Round(op.Div(weight, op.Unsqueeze(scale, op.Constant(value_ints=[1]))))
    rounded = op.Cast(op.Clip(levels, op.Constant(value_float=-127.0), op.Constant(value_float=127.0)), to=ir.DataType.INT8)
    seen, step, zero = op.DynamicQuantizeLinear(x, _outputs=3)
    product = op.MatMulInteger(seen, op.Transpose(rounded, perm=[1, 0]), zero)
    return op.Mul(op.Cast(product, to=ir.DataType.FLOAT), op.Mul(step, scale))


INT8_LINEAR = RewriteRule(_linear, _int8_linear)


class _Together(nn.Module):
    """All graphs side by side: the exporter takes most of a second to begin, and so begins once."""

    def __init__(self, graphs: dict[str, Parts]) -> None:
        super().__init__()
        self.graphs = nn.ModuleDict({name: part.graph for name, part in graphs.items()})

    def forward(self, *inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
        outputs: list[Tensor] = []
        for graph, given in zip(self.graphs.values(), inputs, strict=True):
            made = graph(*given)
            outputs += made if isinstance(made, tuple) else [made]
        return tuple(outputs)


@torch.no_grad()
def _traced(graphs: dict[str, Parts]) -> dict[str, ir.Model]:
    shapes = tuple(tuple(_shapes(name, key, value) for key, value in part.inputs.items()) for name, part in graphs.items())
    inputs = [f"{name}.{key}" for name, part in graphs.items() for key in _flat(part.inputs)]
    outputs = [f"{name}.{key}" for name, part in graphs.items() for key in part.outputs]
    examples = tuple(tuple(part.inputs.values()) for part in graphs.values())
    with _quiet():
        program = torch.onnx.export(
            _Together(graphs).eval(), examples, input_names=inputs, output_names=outputs, dynamic_shapes=(shapes,),
            opset_version=OPSET, dynamo=True, optimize=False, verbose=False,
        )  # fmt: skip
    assert program is not None
    whole = program.model
    found = {}
    for name in graphs:
        ends = [[value for value in side if str(value.name).startswith(f"{name}.")] for side in (whole.graph.inputs, whole.graph.outputs)]
        graph = ir.convenience.extract(whole.graph, *ends)
        for value in (*graph.inputs, *graph.outputs):
            value.name = str(value.name).removeprefix(f"{name}.")
        graph.name = name
        found[name] = ir.Model(graph, ir_version=whole.ir_version)
    return found


def _flat(inputs: dict[str, Any]) -> Iterator[str]:
    for name, value in inputs.items():
        yield from (f"{name}_{i}" for i in range(len(value))) if isinstance(value, list) else [name]


def _shapes(graph: str, name: str, value: Tensor | list[Tensor]) -> Any:
    """Which axis of an input counts rollouts: one of its own for each graph, so that none asks another's input how many there are."""
    if isinstance(value, list):
        return [_shapes(graph, name, part) for part in value]
    batch = torch.export.Dim(f"{graph}_batch", min=1, max=2**16)
    if name in ("new_keys", "new_values"):
        return {1: batch}
    return None if name in WITHOUT_BATCH else {0: batch}


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages that are not there and of names that it will not use."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _refer_to_weights(model: ir.Model, weights: Path) -> None:
    """Replace large initializers by such as are cast to float32: references into a safetensors file, or bytes where all are whole."""
    places = _places(weights)
    for name, value in list(model.graph.initializers.items()):
        key = name.split(".", 3)[-1]  # "graphs.step.dynamics.mask" of all graphs together is "mask" of the file
        tensor = value.const_value
        if tensor is None or tensor.nbytes < INLINE_BYTES:
            continue
        if key in places:
            offset, length, shape = places[key]
            half = ir.ExternalTensor(
                weights.name, offset, length, ir.DataType.FLOAT16, name=f"{name}.half", shape=ir.Shape(shape), base_dir=weights.parent
            )
            _cast(model, name, half)
        elif tensor.dtype == ir.DataType.FLOAT and np.array_equal(tensor.numpy(), whole := tensor.numpy().astype(np.uint8)):
            _cast(model, name, ir.tensor(whole, name=f"{name}.bytes"))


def _cast(model: ir.Model, name: str, tensor: Any) -> None:
    """Put a tensor of another type, cast to float32, in the place of an initializer."""
    value = model.graph.initializers.pop(name)
    small = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
    cast = ir.node("Cast", [small], attributes={"to": ir.DataType.FLOAT})
    cast.outputs[0].name = f"{name}.float"
    model.graph.insert_before(model.graph[0], cast)
    ir.convenience.replace_all_uses_with(value, cast.outputs[0])
    model.graph.register_initializer(small)


def _strip(model: ir.Model) -> None:
    """Take out what the exporter noted of itself: stack traces with the paths of this machine, and the like."""
    model.functions.clear()  # all inlined
    for holder in (model, model.graph, *model.graph):
        holder.metadata_props.clear()
        holder.doc_string = None
        for value in (*getattr(holder, "outputs", ()), *getattr(holder, "inputs", ())):
            if value is not None:
                value.metadata_props.clear()
    for value in model.graph.initializers.values():
        value.metadata_props.clear()


def _places(weights: Path) -> dict[str, tuple[int, int, list[int]]]:
    """Tensors of a safetensors file: name -> offset and length in bytes, shape. Its header is an 8-byte length and JSON."""
    with weights.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    return {
        name: (8 + size + entry["data_offsets"][0], entry["data_offsets"][1] - entry["data_offsets"][0], entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F16"
    }
