"""From a request to the function it is meant for, and back.

``target`` finds the name in the address, ``registry`` what the name stands for, ``auth`` whether
the caller may, ``event`` writes what Lambda is sent, ``answer`` reads what it sent back, and
``app`` tells it in order. What touches AWS is passed in; ``protocols`` says what it must do.
"""
