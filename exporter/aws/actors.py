"""Who made a call, in a few words, by the type of identity that CloudTrail records.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporter.aws.events import Folded, clean, fold, member

UNKNOWN = "somebody unknown"


def actor(identity: object) -> str:
    """Return who acted, as `role/deploy (session alice)`; what is foreign as far as it says."""
    who = fold(identity)
    kind = clean(member(who, "type"), 40)
    if not kind and member(who, "invokedby"):
        kind = "AWSService"
    return clean(_KINDS.get(kind, _other)(who), 160) or UNKNOWN


def _root(who: Folded) -> str:
    return _told("root", "account", member(who, "accountid"))


def _user(who: Folded) -> str:
    name = _of_arn(member(who, "arn")) or _joined("user", member(who, "username"))
    return name or _told("user", "id", member(who, "principalid"))


def _role(who: Folded) -> str:
    """An assumed role: its own ARN, and the name of the session."""
    issuer = member(who, "sessioncontext")
    issuer = member(issuer, "sessionissuer")
    session = clean(member(who, "arn")).rpartition(":")[2].split("/")
    name = _of_arn(member(issuer, "arn")) or _joined("role", member(issuer, "username"))
    if not name and session[0] == "assumed-role" and len(session) > 2:
        name = f"role/{session[1]}"
    of_session = session[-1] if session[0] == "assumed-role" and len(session) > 2 else ""
    if not of_session:
        of_session = clean(member(who, "principalid")).partition(":")[2]
    via = clean(member(who, "invokedby"))
    more = [f"session {of_session}"] if of_session else []
    more += [f"via {via}"] if via else []
    return f"{name or 'a role'} ({', '.join(more)})" if more else name


def _federated(who: Folded) -> str:
    issuer = member(member(who, "sessioncontext"), "sessionissuer")
    name = _of_arn(member(who, "arn")) or clean(member(who, "principalid"))
    return _told(name or "a federated user", "by", _of_arn(member(issuer, "arn")))


def _account(who: Folded) -> str:
    return _told(
        " ".join(["account", clean(member(who, "accountid"))]), "principal", _principal(who)
    )


def _principal(who: Folded) -> str:
    return clean(member(who, "principalid"))


def _service(who: Folded) -> str:
    return clean(member(who, "invokedby", "principalid")) or "an AWS service"


def _identity_center(who: Folded) -> str:
    behalf = member(who, "onbehalfof")
    user = clean(member(behalf, "userid")) or _principal(who)
    return _told(f"IAM Identity Center user {user}".rstrip(), "store", _store(behalf))


def _store(behalf: Folded) -> str:
    return clean(member(behalf, "identitystorearn")).rpartition("/")[2]


def _from_provider(who: Folded) -> str:
    name = clean(member(who, "username", "principalid"))
    return _told(f"user {name}".rstrip(), "from", clean(member(who, "identityprovider")))


def _other(who: Folded) -> str:
    """What AWS has added since, or what it does not know itself."""
    kind = clean(member(who, "type"), 40)
    name = (
        _of_arn(member(who, "arn"))
        or clean(member(who, "username", "principalid", "invokedby"))
        or clean(member(who, "accountid"))
    )
    return f"{kind} {name}".strip() if name else kind


def _of_arn(arn: Folded) -> str:
    """Return what an ARN names, with its path: `role/deploy`."""
    text = clean(arn, 160)
    return text.split(":", 5)[5] if text.startswith("arn:") and text.count(":") >= 5 else ""


def _joined(kind: str, name: Folded) -> str:
    text = clean(name)
    return f"{kind}/{text}" if text else ""


def _told(name: str, what: str, value: Folded) -> str:
    text = clean(value)
    return f"{name} ({what} {text})" if text else name


_KINDS: Mapping[str, Callable[[Folded], str]] = {
    "Root": _root,
    "IAMUser": _user,
    "AssumedRole": _role,
    "Role": lambda who: _of_arn(member(who, "arn")),
    "FederatedUser": _federated,
    "AWSAccount": _account,
    "AWSService": _service,
    "IdentityCenterUser": _identity_center,
    "SAMLUser": _from_provider,
    "WebIdentityUser": _from_provider,
}
