"""What Lambda puts into its functions' environment, so that nobody need look further for it.

Finding credentials, Region and endpoint is botocore's work, and importing it takes the larger
part of a cold start. Inside Lambda the three stand in the environment; wherever anything is out
of the ordinary, botocore is asked after all.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.aws.signing import Static

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fal_serverless.aws.signing import Credentials

# The partition "aws" of botocore's endpoints.json; others have other domains.
_ORDINARY = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d")
# Each of them changes where requests go or who signs them, by rules that botocore knows.
_SPECIAL = (
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)


@dataclass(frozen=True)
class Place:
    """Where a service is, and who asks.

    Attributes:
        endpoint: URL.
        ca_certs: file of certificate authorities, or None for the system's.
    """

    credentials: Credentials
    region: str
    endpoint: str
    ca_certs: str | None


def of_lambda(
    service: str,
    region: str | None,
    endpoint_url: str | None,
    environ: Mapping[str, str] = os.environ,
) -> Place | None:
    """A service as Lambda's environment describes it, or None where botocore must be asked.

    Args:
        service: as it stands in host names, such as ``dynamodb``.
        region: None for the environment's.
        endpoint_url: None for the environment's, or the Region's own.
    """
    region = region or environ.get("AWS_REGION")
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    inside = environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if not (inside and region and key and secret) or any(environ.get(name) for name in _SPECIAL):
        return None
    endpoint = (
        endpoint_url
        or environ.get(f"AWS_ENDPOINT_URL_{service.upper()}")
        or environ.get("AWS_ENDPOINT_URL")
    )
    if not endpoint:
        if not _ORDINARY.fullmatch(region):
            return None
        endpoint = f"https://{service}.{region}.amazonaws.com"
    credentials = Static(key, secret, environ.get("AWS_SESSION_TOKEN") or None)
    return Place(credentials, region, endpoint, environ.get("AWS_CA_BUNDLE") or _authorities())


def _authorities() -> str | None:
    """botocore's file of authorities where the system has none that OpenSSL knows."""
    known = ssl.get_default_verify_paths()
    if known.cafile or known.capath:
        return None
    found = find_spec("botocore")
    places = found.submodule_search_locations if found else None
    return str(Path(places[0]) / "cacert.pem") if places else None


def is_botocores(error: Exception) -> bool:
    """Whether an error is one of botocore's, without importing it."""
    return any(kind.__module__.startswith("botocore.") for kind in type(error).__mro__)
