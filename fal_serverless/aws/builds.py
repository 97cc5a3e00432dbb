"""Builds of Dockerfiles by CodeBuild. Satisfies ``publish.state.Builds``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fal_serverless.aws.session import error_code, translated
from fal_serverless.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAUSE_S = 3.0
LIMIT_S = 95 * 60
"""The project's own limits are 30 minutes of waiting and 60 of building."""
_SHOWN = 6
# CodeBuild's image for Arm; the project itself has the one for x86.
_ARM = {
    "environmentTypeOverride": "ARM_CONTAINER",
    "imageOverride": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
}


@dataclass(frozen=True)
class ImageBuilds:
    """The CodeBuild project of a stack.

    Attributes:
        client: of CodeBuild.
        logs: client of CloudWatch Logs.
        project: its name.
        sleep: takes seconds.
    """

    client: Any
    logs: Any
    project: str
    sleep: Callable[[float], None] = time.sleep

    def run(
        self,
        context: str,
        *,
        tag: str,
        dockerfile: str,
        architecture: str,
        tell: Callable[[str], None],
    ) -> None:
        """Build a context (``bucket/key`` of a zip) into the repository's ``tag``, and wait.

        Args:
            dockerfile: its name in the context.
            tell: is told each line of the log.

        Raises:
            NotFoundError: there is no such project.
            OperationError: the build failed, was stopped or took too long.
        """
        values = {"TAG": tag, "DOCKERFILE": dockerfile}
        with translated("Starting the build of the Dockerfile"):
            begun = self.client.start_build(
                projectName=self.project,
                sourceTypeOverride="S3",
                sourceLocationOverride=context,
                environmentVariablesOverride=[
                    {"name": name, "value": value, "type": "PLAINTEXT"}
                    for name, value in values.items()
                ],
                **(_ARM if architecture == "arm64" else {}),
            )
        number = begun["build"]["id"]
        try:
            self._follow(number, tell)
        except KeyboardInterrupt:
            # It costs by the minute, and nobody waits for it any more.
            with translated("Stopping the build"):
                self.client.stop_build(id=number)
            raise

    def _follow(self, number: str, tell: Callable[[str], None]) -> None:
        lines: list[str] = []
        token = ""
        for _ in range(int(LIMIT_S / PAUSE_S)):
            with translated("Asking how the build goes"):
                (build,) = self.client.batch_get_builds(ids=[number])["builds"]
                done = build["buildStatus"] != "IN_PROGRESS"
                if done:
                    # The last lines come a moment later than the end.
                    self.sleep(PAUSE_S)
                new, token = self._lines(build.get("logs", {}), token)
            for line in new:
                tell(line)
            lines += new
            if done and build["buildStatus"] == "SUCCEEDED":
                return
            if done:
                raise _failure(build, lines)
            self.sleep(PAUSE_S)
        raise OperationError(
            "The build of the Dockerfile does not end.",
            reason=f"{number} runs for more than {LIMIT_S // 60} minutes",
            hint="look at it in CodeBuild, and stop it there",
        )

    def _lines(self, place: Mapping[str, Any], token: str) -> tuple[list[str], str]:
        """The log's new lines, and where the next ones begin."""
        found: list[str] = []
        while "groupName" in place and "streamName" in place:
            try:
                page = self.logs.get_log_events(
                    logGroupName=place["groupName"],
                    logStreamName=place["streamName"],
                    startFromHead=True,
                    **({"nextToken": token} if token else {}),
                )
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    break  # it has not begun to write
                raise
            found += [event["message"].rstrip() for event in page["events"]]
            # The same place again is the end.
            end, token = page["nextForwardToken"] == token, page["nextForwardToken"]
            if end:
                break
        return found, token


def _failure(build: Mapping[str, Any], lines: list[str]) -> OperationError:
    # CodeBuild's own lines say which phase failed, and Docker's why.
    said = [line for line in lines if line and not line.startswith("[Container]")]
    messages = [
        context["message"]
        for phase in build.get("phases", [])
        for context in phase.get("contexts", [])
        if context.get("message")
    ]
    why = " | ".join(said[-_SHOWN:] or messages) or "its log is empty"
    kind = {
        "TIMED_OUT": "took longer than the project allows",
        "STOPPED": "was stopped",
        "FAULT": "could not be run by CodeBuild",
    }.get(build["buildStatus"], "failed")
    return OperationError(
        f"The build of the Dockerfile {kind}.",
        reason=why,
        hint=f"correct the Dockerfile, and run it again (the build was {build['id']})",
    )
