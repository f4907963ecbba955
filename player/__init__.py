"""The pygame front end: window, input, HUD. Knows worlds and rollouts, no tensors, no torch."""
