"""AWS Organizations: only the management account may ask.

https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html
"""

from __future__ import annotations

from datetime import UTC, datetime

from exporter.simulator.listing import page
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

ORGANIZATION = "o-exampleorgid"
JOINED = datetime(2023, 6, 1, tzinfo=UTC)
_MOST = 20


def answer(world: World, where: Where, name: str, request: Row) -> Row:
    """Return what Organizations answers to that account; raises AwsError."""
    if not world.accounts:
        raise AwsError(
            "AWSOrganizationsNotInUseException", "Your account is not a member of an organization."
        )
    if name == "DescribeOrganization":  # which any of its accounts may ask
        return {"Organization": _organization(world)}
    if name != "ListAccounts":
        raise AwsError("InvalidAction", f"The simulator does not answer {name}.")
    if where.account != world.management:
        raise AwsError(
            "AccessDeniedException", "You don't have permissions to access this resource."
        )
    size = request.get("MaxResults")
    if size is not None and not 1 <= size <= _MOST:
        raise AwsError("InvalidInputException", "You specified an invalid value for MaxResults.")
    try:
        found, token = page(world.accounts, request.get("NextToken"), size, _MOST, name)
    except AwsError:
        raise AwsError("InvalidInputException", "You specified an invalid next token.") from None
    return {"Accounts": found, **({"NextToken": token} if token else {})}


def account(account_id: str, name: str, management: str, state: str = "ACTIVE") -> Row:
    """Return the row of an account."""
    return {
        "Id": account_id,
        "Arn": f"arn:aws:organizations::{management}:account/{ORGANIZATION}/{account_id}",
        "Email": f"{name}@example.com",
        "Name": name,
        "Status": state,
        "State": state,
        "JoinedMethod": "INVITED" if account_id == management else "CREATED",
        "JoinedTimestamp": JOINED,
    }


def _organization(world: World) -> Row:
    arn = f"arn:aws:organizations::{world.management}"
    return {
        "Id": ORGANIZATION,
        "Arn": f"{arn}:organization/{ORGANIZATION}",
        "FeatureSet": "ALL",
        "MasterAccountArn": f"{arn}:account/{ORGANIZATION}/{world.management}",
        "MasterAccountId": world.management,
        "MasterAccountEmail": "management@example.com",
        "AvailablePolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}],
    }
