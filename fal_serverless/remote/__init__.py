"""Calling decorated functions: on Lambda, or in a virtual environment of this machine.

A call becomes an event (``calls``), an environment is found or made for it (``environment``,
``local_host``), and the answer becomes a value or an exception (``calls`` again).
"""
