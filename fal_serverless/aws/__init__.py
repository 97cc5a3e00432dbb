"""The only importer of boto3: one small class a service, domain values in and out."""
