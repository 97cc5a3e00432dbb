"""Aliases of Lambda functions, their weights, and concurrency.

A weight is a fraction of the requests for a second version; the main one gets the rest.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from fal_serverless.aws.lambda_calls import LambdaCalls, gone_is_fine
from fal_serverless.aws.session import error_code, translated
from fal_serverless.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class LambdaAliases(LambdaCalls):
    """Aliases and concurrency of one account's and Region's functions."""

    def aliases(self, function: str) -> Mapping[str, str]:
        """Alias names and the versions they point at."""
        found = self._pages("list_aliases", "Aliases", function)
        return {str(item["Name"]): str(item["FunctionVersion"]) for item in found}

    def put_alias(
        self, function: str, name: str, version: str, split: tuple[str, int] | None = None
    ) -> None:
        """Create or move an alias; ``split`` is (version, percent) of a second version."""
        arguments = {
            "FunctionName": function,
            "Name": name,
            "FunctionVersion": version,
            "RoutingConfig": _weights(split),
        }
        with translated(f"Pointing the alias '{name}' at version {version}"):
            try:
                self._unless_busy(lambda: self.client.update_alias(**arguments))
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
                self._unless_busy(lambda: self.client.create_alias(**arguments))

    def alias_token(self, function: str, name: str) -> str:
        """What changes with each change of the Lambda alias.

        Raises:
            NotFoundError: there is no such alias.
        """
        with translated(f"Reading the alias '{name}' of '{function}'"):
            found = self.client.get_alias(FunctionName=function, Name=name)
        return str(found.get("RevisionId", ""))

    def weigh_alias(
        self, function: str, name: str, split: tuple[str, int] | None, *, token: str = ""
    ) -> None:
        """Begin or end a split of a Lambda alias, which goes on pointing where it does.

        Raises:
            ConflictError: the alias is not the one of ``token`` any more.
        """
        arguments = {"FunctionName": function, "Name": name, "RoutingConfig": _weights(split)}
        if token:
            arguments["RevisionId"] = token
        with translated(f"Splitting the alias '{name}'"):
            self._unless_busy(lambda: self.client.update_alias(**arguments))

    def delete_alias(self, function: str, name: str) -> None:
        """Delete an alias and its provisioned concurrency; nothing happens when it is gone."""
        with translated(f"Deleting the alias '{name}' of '{function}'"), gone_is_fine():
            self._unless_busy(lambda: self.client.delete_alias(FunctionName=function, Name=name))

    def set_reserved(self, function: str, count: int | None) -> None:
        """Set or remove the reserved concurrency of the whole function."""
        doing = f"Setting the reserved concurrency of '{function}'"
        with translated(doing), _too_much(doing, "max_concurrency"):
            if count is None:
                self.client.delete_function_concurrency(FunctionName=function)
            else:
                self.client.put_function_concurrency(
                    FunctionName=function, ReservedConcurrentExecutions=count
                )

    def set_provisioned(self, function: str, qualifier: str, count: int) -> None:
        """Set (or with 0 remove) the provisioned concurrency of an alias or version."""
        place = {"FunctionName": function, "Qualifier": qualifier}
        doing = f"Setting the provisioned concurrency of '{qualifier}'"
        with translated(doing), _too_much(doing, "min_concurrency"):
            if count:
                self.client.put_provisioned_concurrency_config(
                    **place, ProvisionedConcurrentExecutions=count
                )
            else:
                self.client.delete_provisioned_concurrency_config(**place)

    def sizes(self, function: str) -> dict[str, tuple[int, str, int]]:
        """(memory in MB, architecture, ephemeral storage in MB) of each published version."""
        found = self._pages("list_versions_by_function", "Versions", function)
        return {
            str(item["Version"]): (
                int(item.get("MemorySize", 128)),
                str(item.get("Architectures", ["x86_64"])[0]),
                int(item.get("EphemeralStorage", {}).get("Size", 512)),
            )
            for item in found
        }

    def provisioned(self, function: str, qualifier: str) -> tuple[int, int]:
        """Environments of an alias that are kept ready: (ready now, wanted)."""
        with translated(f"Reading the provisioned concurrency of '{qualifier}'"):
            try:
                found = self.client.get_provisioned_concurrency_config(
                    FunctionName=function, Qualifier=qualifier
                )
            except ClientError as error:
                if error_code(error) == "ProvisionedConcurrencyConfigNotFoundException":
                    return 0, 0
                raise
        return (
            int(found.get("AvailableProvisionedConcurrentExecutions", 0)),
            int(found.get("RequestedProvisionedConcurrentExecutions", 0)),
        )

    def unreserved(self) -> int:
        """How much of the account's concurrency no function has reserved."""
        with translated("Reading the account's Lambda limits"):
            limits = self.client.get_account_settings()["AccountLimit"]
        return int(limits["UnreservedConcurrentExecutions"])


@contextmanager
def _too_much(doing: str, option: str) -> Iterator[None]:
    """Lambda's refusal of more concurrency than the account has, as an error that says what to do.

    Raises:
        AwsError: it was refused.
    """
    try:
        yield
    except ClientError as error:
        if error_code(error) not in ("InvalidParameterValueException", "LimitExceededException"):
            raise
        raise AwsError(
            f"{doing} failed.",
            reason=str(error.response.get("Error", {}).get("Message", "")) or error_code(error),
            hint=f"lower or drop {option}, or ask AWS for a higher concurrency quota",
        ) from error


def _weights(split: tuple[str, int] | None) -> dict[str, dict[str, float]]:
    """Lambda's weights are fractions, of which the main version gets the rest."""
    return {"AdditionalVersionWeights": {split[0]: split[1] / 100} if split else {}}
