"""The management API: what a user has served, over HTTP, for keys of scope ADMIN.

The gateway checks the key and sends the request on (``gateway.management``); this is the app
behind it. It runs in a Lambda function of its own, whose role may read and write the registry,
which the gateway's may not. What it does to an alias is done by ``publish``, as for the command.
"""
