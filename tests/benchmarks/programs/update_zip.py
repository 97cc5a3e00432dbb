"""A deployment package as a Lambda function's new version: ``update_zip.py FUNCTION ROLE ZIP``."""

import sys
from pathlib import Path

import boto3

function, role, file = sys.argv[1:]
content = Path(file).read_bytes()
functions = boto3.client("lambda")
try:
    functions.update_function_code(FunctionName=function, ZipFile=content)
except functions.exceptions.ResourceNotFoundException:
    functions.create_function(
        FunctionName=function,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Handler="app.app",
        Role=role,
        Code={"ZipFile": content},
    )
functions.get_waiter("function_updated_v2").wait(FunctionName=function)
functions.publish_version(FunctionName=function)
