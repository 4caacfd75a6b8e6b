"""All of boto3: access, and what is listed with it."""
