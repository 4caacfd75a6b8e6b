"""How each service says no: throttled, denied, expired, broken, in its own words.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from exporter.simulator.call import Call
from exporter.simulator.wire import AwsError

_RATE = "Rate exceeded"
_EXPIRED = "The security token included in the request is expired"
_INTERNAL = "An internal error has occurred"
# By kind and service ("" for those of JSON): code, HTTP status, message.
_WORDS = {
    ("throttled", "ec2"): ("RequestLimitExceeded", 503, "Request limit exceeded."),
    ("throttled", "elbv2"): ("Throttling", 400, _RATE),
    ("throttled", "sts"): ("Throttling", 400, _RATE),
    ("throttled", "organizations"): (
        "TooManyRequestsException",
        400,
        "You have sent too many requests in too short a period of time.",
    ),
    ("throttled", "s3"): ("SlowDown", 503, "Please reduce your request rate."),
    ("throttled", "sqs"): ("RequestThrottled", 400, "Request is throttled."),
    ("throttled", ""): ("ThrottlingException", 400, _RATE),
    ("denied", "ec2"): ("UnauthorizedOperation", 403, ""),
    ("denied", "elbv2"): ("AccessDenied", 403, ""),
    ("denied", "sts"): ("AccessDenied", 403, ""),
    ("denied", "organizations"): (
        "AccessDeniedException",
        400,
        "You don't have permissions to access this resource.",
    ),
    ("denied", "s3"): ("AccessDenied", 403, ""),
    ("denied", "sqs"): ("AccessDenied", 403, ""),
    ("denied", ""): ("AccessDeniedException", 400, ""),
    ("expired", "ec2"): ("RequestExpired", 400, "Request has expired."),
    ("expired", "elbv2"): ("ExpiredToken", 403, _EXPIRED),
    ("expired", "sts"): ("ExpiredToken", 403, _EXPIRED),
    ("expired", "s3"): ("ExpiredToken", 400, "The provided token has expired."),
    ("expired", ""): ("ExpiredTokenException", 400, _EXPIRED),
    ("error", "ec2"): ("InternalError", 500, _INTERNAL),
    ("error", "elbv2"): ("InternalFailure", 500, _INTERNAL),
    ("error", "sts"): ("InternalFailure", 500, _INTERNAL),
    ("error", "organizations"): ("ServiceException", 500, _INTERNAL),
    ("error", "s3"): ("InternalError", 500, "We encountered an internal error. Please try again."),
    ("error", ""): ("InternalFailure", 500, _INTERNAL),
}
KINDS = frozenset(kind for kind, _ in _WORDS)


def error_of(kind: str, call: Call) -> AwsError:
    """Return the error that the service gives for a kind of trouble."""
    code, status, message = _WORDS.get((kind, call.service)) or _WORDS[kind, ""]
    return AwsError(code, message or denial(call), status)


def denial(call: Call) -> str:
    """Return the message of a denied call."""
    prefix = "elasticloadbalancing" if call.service == "elbv2" else call.service
    action = f"{prefix}:{call.operation}"
    user = f"arn:aws:sts::{call.caller}:assumed-role/privatelink-exporter/session"
    if call.role_arn:
        return f"User: {user} is not authorized to perform: {action} on resource: {call.role_arn}"
    text = (
        f"{user} is not authorized to perform: {action} "
        f"because no identity-based policy allows the {action} action"
    )
    if call.service == "ec2":
        return f"You are not authorized to perform this operation. User: {text}"
    return f"User: {text}"
