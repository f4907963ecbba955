"""The pygame front end: window, screens, input, HUD. Knows worlds and sessions, no tensors, no torch."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
