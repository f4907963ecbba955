"""What to say when an extra is missing."""

from __future__ import annotations

from importlib.util import find_spec

from genie.errors import MissingDependencyError


def need_torch(command: str, *also: str) -> None:
    """Raises MissingDependencyError where a part of the extra `torch` is not installed, `also` those modules."""
    wanted = ("torch", "einops", "matplotlib", "onnx", "onnxscript", "tensorboard", "vector_quantize_pytorch", *also)
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(f"`{command}` needs {', '.join(missing)}: pip install 'genie-worlds[torch]'.")
