"""What runs inside the user's Lambda: at import, the standard library and itself alone.

``handler`` loads the bundle while Lambda initialises the environment, then gives every event to
the mode that the bundle names: ``serve`` (JSON in, JSON out) or ``port`` (the function's own web
server).
"""
