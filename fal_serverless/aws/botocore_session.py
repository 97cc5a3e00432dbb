"""What this project uses of ``boto3.Session``, straight from botocore.

Importing boto3 means importing its transfer manager, resources and their documentation as well: as
long again as botocore itself. What moves large files is imported when there is one.
"""

from __future__ import annotations

from typing import Any

import botocore.session

_TRANSFERS = ("upload_file", "download_file", "upload_fileobj", "download_fileobj")


class BotocoreSession:
    """A session with botocore's own way to credentials, Region and endpoints."""

    def __init__(
        self,
        *,
        profile: str | None = None,
        region: str | None = None,
        keys: tuple[str, str] | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            keys: access key id and secret of its own, or None for those that are configured.

        Raises:
            BotoCoreError: there is no such profile.
        """
        self._session: Any = botocore.session.Session(profile=profile)
        if profile:
            self._session.get_scoped_config()
        if region:
            self._session.set_config_variable("region", region)
        if keys:
            self._session.set_credentials(*keys)
        self._session.register("creating-client-class.s3", _with_transfers)

    @property
    def region_name(self) -> str | None:
        """The Region that is configured.

        Raises:
            BotoCoreError: the configuration names a profile that is not there.
        """
        found: str | None = self._session.get_config_variable("region")
        return found

    def client(self, service: str, **arguments: Any) -> Any:
        """The client of a service, as ``boto3.Session.client`` makes it."""
        return self._session.create_client(service, **arguments)


def _with_transfers(**event: Any) -> None:
    """The methods of boto3's S3 clients, which are imported when one is called."""
    for name in _TRANSFERS:
        event["class_attributes"][name] = _imported(name)


def _imported(name: str) -> Any:
    def method(self: Any, *arguments: Any, **keywords: Any) -> Any:
        from boto3.s3 import inject

        return getattr(inject, name)(self, *arguments, **keywords)

    return method
