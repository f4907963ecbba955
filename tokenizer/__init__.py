"""The video tokenizer: frames <-> tokens. Imports nothing of genie.

A frame is a grid of `N` positions with `G` FSQ codes each (Mentzer et al. 2023, Finite Scalar Quantization). In context
mode the codes say what a frame adds to the frame before it; in per-frame mode they describe the frame alone.

Importing this package needs no torch; the network is in `tokenizer.model`.
"""

from tokenizer.config import TokenizerConfig

__all__ = ["TokenizerConfig"]
