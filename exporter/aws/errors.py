"""What a call that failed means: throttled, denied, or broken; never an empty answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from exporter.model import Outcome, Unavailable

# What a failed call raises, however it failed; and what translating a malformed answer raises.
# botocore raises RuntimeError for credentials that are expired when they have just been refreshed.
AWS_ERRORS = (BotoCoreError, ClientError, ResponseParserError, OSError, RuntimeError)
MALFORMED_ANSWER = (KeyError, TypeError, ValueError, AttributeError)

_THROTTLED = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "SlowDown",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
    ]
)
_DENIED = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "UnauthorizedAccess",
        "AuthFailure",
        "Client.UnauthorizedOperation",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "OptInRequired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
    ]
)


def outcome_of(code: str) -> Outcome:
    """Return the outcome that an AWS error code stands for."""
    if code in _THROTTLED:
        return "throttled"
    return "denied" if code in _DENIED else "error"


def code_of(error: Exception) -> str:
    """Return AWS's code for what went wrong; empty where it gave none."""
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def unavailable(error: Exception) -> Unavailable[Any]:
    """Return what a failed call means for whoever wanted its answer."""
    if isinstance(error, ClientError):
        code = code_of(error)
        message = error.response.get("Error", {}).get("Message", "")
        return Unavailable(f"{error.operation_name}: {code}: {message}", outcome_of(code))
    if isinstance(error, MALFORMED_ANSWER) and not isinstance(error, BotoCoreError):
        return Unavailable(f"malformed answer: {type(error).__name__}: {error}")
    return Unavailable(f"{type(error).__name__}: {error}")


def attempt(call: Callable[[], Any]) -> Any:
    """Return the call's result, or Unavailable when AWS refuses, fails or answers nonsense."""
    try:
        return call()
    except (*AWS_ERRORS, *MALFORMED_ANSWER) as error:
        return unavailable(error)
