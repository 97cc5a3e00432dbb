"""The queue: requests that are stored, run later, and answered when somebody asks.

``forms`` says what an address asks for and ``front`` answers it, on the gateway's side; ``worker``
runs what was stored and ``webhook`` tells of it, on a Lambda function of its own. Both see the same
records (``model``), and neither sees AWS.
"""
