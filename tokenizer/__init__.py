"""The video tokenizer: frames <-> tokens. Imports nothing of genie.

A frame is a grid of `N` positions with `G` FSQ codes each (Mentzer et al. 2023, Finite Scalar Quantization). In context
mode the codes say what a frame adds to the frame before it; in per-frame mode they describe the frame alone.
"""

from tokenizer.config import TokenizerConfig
from tokenizer.model import VideoTokenizer, to_float, to_uint8

__all__ = ["TokenizerConfig", "VideoTokenizer", "to_float", "to_uint8"]
