"""An estimate of what calls cost, where AWS bills them. The prices are those of most Regions.

https://aws.amazon.com/s3/pricing/ https://aws.amazon.com/sqs/pricing/
Queries are billed by volume: `flowlogs/sources/pushdown.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.aws.session import RequestKey

_THOUSAND, _MILLION = 10**3, 10**6
DOLLARS_A_REQUEST = {
    ("s3", "ListObjectsV2"): 0.005 / _THOUSAND,
    ("s3", "GetObject"): 0.0004 / _THOUSAND,
    ("sqs", "ReceiveMessage"): 0.4 / _MILLION,
    ("sqs", "DeleteMessageBatch"): 0.4 / _MILLION,
}


def of_requests(requests: Mapping[RequestKey, int]) -> Mapping[tuple[str, str], float]:
    """Return the dollars that requests cost, by service and operation; only those that cost.

    AWS does not bill what it refuses to do, but for S3's answers to whoever is allowed to ask.
    """
    found: dict[tuple[str, str], float] = {}
    for key, number in requests.items():
        price = DOLLARS_A_REQUEST.get((key.service, key.operation))
        if price is not None and key.outcome == "ok":
            of = key.service, key.operation
            found[of] = found.get(of, 0.0) + number * price
    return found
