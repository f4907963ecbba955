"""The features: weights read without unpickling, and a network that sees what its makers trained it to see."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from genie import GenieError
from genie.evaluation import features as f


def old_file(tensors: dict[str, torch.Tensor]) -> bytes:
    """A file of tensors as torch wrote it before 2020."""
    data = io.BytesIO()
    torch.save(OrderedDict(tensors), data, _use_new_zipfile_serialization=False)
    return data.getvalue()


def test_tensors_are_read_as_torch_wrote_them() -> None:
    wanted = {"a": torch.randn(3, 4), "b.count": torch.tensor(7), "c": torch.randn(2, 5).T}  # the last is stored transposed
    found = f.read_tensors(old_file(wanted))
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.numpy().dtype
        assert np.array_equal(found[name], tensor.numpy())


def test_nothing_in_the_file_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("it ran",)

    parts = [pickle.dumps(part, 2) for part in (1, 2, {}, {"a": Hostile()}, [])]
    with pytest.raises((GenieError, ValueError, TypeError, KeyError)):
        f.read_tensors(b"".join(parts))
    assert "it ran" not in capsys.readouterr().out


def test_opcodes_that_tensors_do_not_need_are_refused() -> None:
    with pytest.raises(GenieError, match="does not need"):
        f.read_tensors(pickle.dumps({"a": b"bytes"}, 4))


def test_a_tensor_outside_its_storage_is_refused() -> None:
    data = old_file({"a": torch.arange(6.0)})
    size = b"K\x06\x85"  # the shape (6,) as a tuple of one
    assert data.count(size) == 1
    with pytest.raises(GenieError, match="does not lie in its storage"):
        f.read_tensors(data.replace(size, b"K\x07\x85"))


def test_the_network_with_its_weights_recognises_a_photograph() -> None:
    from matplotlib import cbook
    from PIL import Image

    picture = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    square = np.asarray(picture.crop((0, 0, picture.width, picture.width)).resize((f.SIDE, f.SIDE)))
    found = f.features(square[None])
    assert found.shape == (1, f.WIDTH)
    with torch.inference_mode():
        ranked = f.lite0()._fc(torch.from_numpy(found)).argsort(descending=True)[0]
    assert {457, 834} <= set(ranked[:3].tolist())  # ImageNet's "bow tie" and "suit": a portrait of an officer


def test_features_do_not_depend_on_what_else_is_in_the_batch() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (f.BLOCK + 1, 16, 16, 3), dtype=np.uint8)
    assert np.allclose(f.features(frames)[-1], f.features(frames[-1:])[0], atol=1e-4)
