"""Noise as a function of (seed, salt, frame): nothing to save, nothing that one branch could shift for another."""

from __future__ import annotations

import numpy as np


def uniform(seed: int, salt: int, frame: int, shape: tuple[int, ...]) -> np.ndarray:
    """float32 in [0, 1), from the counter-based generator Philox (Salmon et al. 2011)."""
    key = np.array([seed % 2**64, salt % 2**64], dtype=np.uint64)
    counter = np.array([0, 0, 0, frame], dtype=np.uint64)  # a frame has 2^192 draws of its own
    return np.random.Generator(np.random.Philox(key=key, counter=counter)).random(shape, dtype=np.float32)
