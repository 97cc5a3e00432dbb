"""From a base image and layers of our own to a manifest. Pure: the same inputs, the same digest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fal_serverless.package.oci.registry import digest_of
from fal_serverless.package.oci.tar import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fal_serverless.package.oci.base import Base
    from fal_serverless.package.oci.tar import Blob

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
EPOCH = "1970-01-01T00:00:00Z"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class Image:
    """An image, not yet anywhere.

    Attributes:
        config: bytes.
        manifest: bytes; its digest is the image's.
        layers: those of our own, by what they hold.
    """

    base: Base
    config: bytes
    manifest: bytes
    layers: tuple[tuple[str, Blob], ...]

    @property
    def digest(self) -> str:
        """``sha256:…`` of the manifest."""
        return digest_of(self.manifest)

    @property
    def size(self) -> int:
        """Bytes of all its layers, compressed."""
        ours = sum(blob.size for _, blob in self.layers)
        return ours + sum(int(layer["size"]) for layer in self.base.layers)


def assemble(
    base: Base,
    layers: Sequence[tuple[str, Blob]],
    *,
    command: Sequence[str],
    entrypoint: Sequence[str],
    variables: Mapping[str, str],
    folder: str,
    labels: Mapping[str, str],
) -> Image:
    """The image of a base with layers on top.

    Args:
        layers: (what it holds, blob), the lowest first.
        variables: of the environment, beside those of the base.
        folder: the working directory.
    """
    below = dict(base.config.get("config") or {})
    environment = dict(item.partition("=")[::2] for item in below.get("Env") or [])
    environment |= variables
    config: dict[str, Any] = {
        "architecture": base.config["architecture"],
        "os": base.config.get("os", "linux"),
        "created": EPOCH,
        "config": {
            **below,
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Entrypoint": list(entrypoint),
            "Cmd": list(command),
            "WorkingDir": folder,
            "Labels": {**(below.get("Labels") or {}), **labels},
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [
                *base.config["rootfs"]["diff_ids"],
                *(blob.diff_id for _, blob in layers),
            ],
        },
        # Lambda has refused images whose history does not name each layer.
        "history": [
            *_history(base),
            *({"created": EPOCH, "created_by": f"fal-serverless: {name}"} for name, _ in layers),
        ],
    }
    if "variant" in base.config:
        config["variant"] = base.config["variant"]
    written = _json(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": CONFIG_TYPE,
            "digest": digest_of(written),
            "size": len(written),
        },
        "layers": [
            *(_descriptor(layer) for layer in base.layers),
            *(
                {"mediaType": MEDIA_TYPE, "digest": blob.digest, "size": blob.size}
                for _, blob in layers
            ),
        ],
    }
    return Image(base, written, _json(manifest), tuple(layers))


def _history(base: Base) -> list[Mapping[str, Any]]:
    """The base's own, if it speaks of each of its layers; else one line for each."""
    said = list(base.config.get("history") or [])
    count = len(base.layers)
    if sum(not entry.get("empty_layer") for entry in said) == count:
        return said
    return [{"created": EPOCH, "created_by": "base image"} for _ in range(count)]


def _descriptor(layer: Mapping[str, Any]) -> dict[str, Any]:
    """A base's layer in an OCI manifest: the two names of a gzipped tar mean the same."""
    kind = MEDIA_TYPE if layer["mediaType"] == _DOCKER_LAYER else layer["mediaType"]
    return {"mediaType": kind, "digest": layer["digest"], "size": layer["size"]}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
