"""Regions by their names, and the partitions that they are in."""

from __future__ import annotations

# eu-west-1, us-gov-west-1, eusc-de-east-1.
# https://docs.aws.amazon.com/general/latest/gr/rande.html
REGION = r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]+"
# By how the names of their Regions begin.
_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}


def partition_of(region: str) -> str:
    """Return the partition that a Region is in.

    https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
    """
    return next((name for begin, name in _PARTITIONS.items() if region.startswith(begin)), "aws")
