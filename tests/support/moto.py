"""Lambda and the registry on moto, with names of what was called."""

from __future__ import annotations

import io
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto import mock_aws

from fal_serverless.aws.alarms import MetricAlarms
from fal_serverless.aws.lambdas import LambdaFunctions
from fal_serverless.aws.registry import RegistryTable

KEYS = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
GUARD = "arn:aws:lambda:us-east-1:111122223333:function:guard"


@dataclass
class Cloud:
    """The parts of publishing on moto; ``called`` grows with each request that is sent."""

    registry: RegistryTable
    functions: LambdaFunctions
    alarms: MetricAlarms
    role: str
    called: list[str] = field(default_factory=list)

    def make_function(self, name: str) -> None:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as zipped:
            zipped.writestr("f.py", "")
        self.functions.client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=self.role,
            Handler="f.f",
            Code={"ZipFile": target.getvalue()},
        )

    def publish(self, name: str) -> str:
        client = self.functions.client
        # Nothing new makes no version.
        client.update_function_configuration(FunctionName=name, Description=str(len(self.called)))
        made: dict[str, Any] = client.publish_version(FunctionName=name)
        return str(made["Version"])


def a_table(client: Any, table: str, *names: str) -> None:
    """A table with these keys, all of them texts: ``pk`` alone, or ``pk`` and ``sk``."""
    client.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[
            {"AttributeName": name, "KeyType": kind}
            for name, kind in zip(names, ("HASH", "RANGE"), strict=False)
        ],
    )


@contextmanager
def cloud():
    with mock_aws():
        dynamodb = boto3.client("dynamodb", **KEYS)
        a_table(dynamodb, "t", "pk", "sk")
        policy = '{"Version": "2012-10-17", "Statement": []}'
        made = boto3.client("iam", **KEYS).create_role(
            RoleName="r", AssumeRolePolicyDocument=policy
        )
        clients = {
            "dynamodb": dynamodb,
            "lambda": boto3.client("lambda", **KEYS),
            "cloudwatch": boto3.client("cloudwatch", **KEYS),
        }
        found = Cloud(
            RegistryTable(dynamodb, "t"),
            LambdaFunctions(clients["lambda"], sleep=lambda _: None),
            MetricAlarms(clients["cloudwatch"], GUARD),
            made["Role"]["Arn"],
        )
        for client in clients.values():
            client.meta.events.register(
                "before-call", lambda model, **_: found.called.append(model.name)
            )
        yield found
