"""What this project uses of ``boto3.Session``, straight from botocore.

Importing boto3 means importing its transfer manager, resources and their documentation as well: as
long again as botocore itself. What moves large files is imported when there is one.
"""

from __future__ import annotations

import gzip
import json
import os
from typing import Any

import botocore.session
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import JSONFileLoader, Loader, create_loader

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
        self._knows_models = False
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
        if not self._knows_models:
            known = create_loader(self._session.get_config_variable("data_path"))
            self._session.register_component("data_loader", Models(known.search_paths))
            self._knows_models = True
        return self._session.create_client(service, **arguments)


class Models(Loader):
    """Loads what botocore knows of a service, in a third of the time.

    botocore's own loader looks into each of 400 folders whether a service is there before it loads
    one, and keeps the order of JSON's keys by a class that is older than ordered dicts.
    """

    def __init__(self, paths: list[str]) -> None:
        super().__init__(
            extra_search_paths=list(paths), file_loader=_Files(), include_default_search_paths=False
        )

    def list_available_services(self, type_name: str) -> list[str]:
        """Names of all services; whether one has a ``type_name`` shows when it is loaded."""
        del type_name
        return sorted({name for path in self.search_paths for name in _folders(path)})

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> Any:
        """What is known of a service.

        Raises:
            UnknownServiceError: nothing of this kind is.
        """
        try:
            return super().load_service_model(service_name, type_name, api_version)
        except UnknownServiceError:
            raise
        except DataNotFoundError as error:
            raise UnknownServiceError(
                service_name=service_name, known_service_names=f"those with {type_name}"
            ) from error


class _Files(JSONFileLoader):
    """Reads JSON files, compressed or not, into plain dicts."""

    def load_file(self, file_path: str) -> Any:
        """The content of ``file_path`` with one of their endings, or None without such a file."""
        for ending, plain in ((".json", bytes), (".json.gz", gzip.decompress)):
            try:
                with open(file_path + ending, "rb") as file:  # noqa: PTH123 - botocore has strings
                    return json.loads(plain(file.read()))
            except FileNotFoundError:
                continue
        return None


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []


def _with_transfers(**event: Any) -> None:
    """The methods of boto3's S3 clients, which are imported when one is called."""
    for name in _TRANSFERS:
        event["class_attributes"][name] = _imported(name)


def _imported(name: str) -> Any:
    def method(self: Any, *arguments: Any, **keywords: Any) -> Any:
        from boto3.s3 import inject

        return getattr(inject, name)(self, *arguments, **keywords)

    return method
