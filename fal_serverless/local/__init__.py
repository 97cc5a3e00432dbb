"""The embedded stack: an AWS emulator, the real template deployed on it, and the gateway.

Everything lives in ``<FAL_HOME>/local``: the emulator's own Python environment (so that its
packages cannot hide a missing one of ours), its state, logs, and ``state.json``.
"""
