"""The AWS calls without which no changed code gets a URL, in plain boto3 and in order.

``python bare_publish.py STACK FUNCTION``: what it needs to know of the caller and the stack, the
code up, the function updated and its new revision in its environment, a version, the registry's
two records, the alias; each change waited for with short pauses. The function is made the first
time.
"""

import hashlib
import io
import sys
import time
import uuid
import zipfile

import boto3

stack, function = sys.argv[1:]
revision = str(uuid.uuid4())
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w") as bundle:
    bundle.writestr("function.py", f"def handler(event, context):\n    return '{revision}'\n")
content = buffer.getvalue()
key = f"bundles/{hashlib.sha256(content).hexdigest()}.zip"
functions, table, s3 = (boto3.client(name) for name in ("lambda", "dynamodb", "s3"))


def ready(**place):
    while True:
        live = functions.get_function_configuration(FunctionName=function, **place)
        if live.get("State") != "Pending" and live.get("LastUpdateStatus") != "InProgress":
            return live
        time.sleep(0.05)


boto3.client("sts").get_caller_identity()
found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
outputs = {item["OutputKey"]: item["OutputValue"] for item in found}
table.get_item(TableName=outputs["TableName"], Key={"pk": {"S": "IDENTITY#x"}, "sk": {"S": "-"}})
s3.put_object(Bucket=outputs["ArtifactBucket"], Key=key, Body=content)
code = {"S3Bucket": outputs["ArtifactBucket"], "S3Key": key}
variables = {"Variables": {"FAL_REVISION": revision}}
try:
    functions.update_function_code(FunctionName=function, **code)
except functions.exceptions.ResourceNotFoundException:
    functions.create_function(
        FunctionName=function,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Handler="function.handler",
        Role=outputs["FunctionRoleArn"],
        Code=code,
    )
    ready()
    functions.create_alias(FunctionName=function, Name="live", FunctionVersion="$LATEST")
ready()
functions.update_function_configuration(FunctionName=function, Environment=variables)
live = ready()
version = functions.publish_version(FunctionName=function, CodeSha256=live["CodeSha256"])["Version"]
ready(Qualifier=version)
records = [("REV", revision), ("ROUTE", revision)]
table.transact_write_items(
    TransactItems=[
        {"Put": {"TableName": outputs["TableName"], "Item": {"pk": {"S": pk}, "sk": {"S": sk}}}}
        for pk, sk in records
    ]
)
functions.update_alias(FunctionName=function, Name="live", FunctionVersion=version)
