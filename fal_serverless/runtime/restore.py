"""What must be new in each environment that begins from a snapshot of one that has loaded.

Lambda gives ``os.urandom``, and so ``uuid.uuid4``, ``secrets`` and OpenSSL, other numbers in each.
What is seeded in memory is the same in all of them until it is seeded again, and secrets are those
of the day of the snapshot until they are fetched again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BUDGET_S = 8.0
"""For fetching secrets: hooks after a restore have ten seconds together (Lambda SnapStart)."""


def register(secrets: Sequence[str]) -> None:
    """Have Lambda call ``renew`` after each restore; its managed runtimes bring the hooks along.

    Raises:
        ImportError: this runtime has no hooks.
    """
    from snapshot_restore_py import register_after_restore

    register_after_restore(renew, tuple(secrets))


def renew(secrets: Sequence[str]) -> None:
    """Seed what was seeded before the snapshot, and fetch the secrets again.

    Raises:
        SecretError: they are not to be had; Lambda begins another environment.
    """
    for name in ("random", "numpy.random"):
        module = sys.modules.get(name)
        if module is not None:
            module.seed()
    if secrets:
        from fal_serverless.runtime.secrets import install

        install(secrets, within=BUDGET_S)
