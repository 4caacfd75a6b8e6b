"""Which actions the calls through an endpoint are, as policies name them.

Services and their actions are often not called alike: what is not in the tables is not known.
https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import re

# com.amazonaws.REGION.NAME, with cn. before it in China.
_NAME = re.compile(r"(?:cn\.)?com\.amazonaws\.[a-z0-9-]+\.(?P<name>[a-z0-9.-]+?)(?:-fips)?")
# These have the service's own name for a prefix, and no other.
_ALIKE = frozenset([
    "athena", "autoscaling", "backup", "batch", "bedrock", "cloudformation", "cloudtrail",
    "codebuild", "codepipeline", "config", "dynamodb", "ec2", "ec2messages", "ecs", "eks",
    "elasticache", "elasticfilesystem", "elasticloadbalancing", "events", "execute-api", "glue",
    "kms", "lambda", "logs", "organizations", "rds", "rds-data", "redshift", "redshift-data",
    "secretsmanager", "servicediscovery", "sns", "sqs", "ssm", "ssmmessages", "states", "sts",
    "synthetics", "textract", "transfer", "translate", "xray",
])  # fmt: skip
_OTHERWISE = {
    "bedrock-agent": ("bedrock",),
    "bedrock-agent-runtime": ("bedrock",),
    "bedrock-runtime": ("bedrock",),
    "ecr.api": ("ecr",),
    "ecr.dkr": ("ecr",),
    "ecs-agent": ("ecs",),
    "ecs-telemetry": ("ecs",),
    "email-smtp": ("ses",),
    "kinesis-firehose": ("firehose",),
    "kinesis-streams": ("kinesis",),
    "monitoring": ("cloudwatch",),
    "s3": ("s3", "s3-object-lambda"),
    "sagemaker.api": ("sagemaker",),
    "sagemaker.runtime": ("sagemaker",),
    "sync-states": ("states",),
}


def prefixes(service_name: str) -> tuple[str, ...]:
    """Return what actions of an AWS service begin with, the usual one first; empty if unknown."""
    found = _NAME.fullmatch(service_name)
    name = found["name"] if found else ""
    return (name,) if name in _ALIKE else _OTHERWISE.get(name, ())
