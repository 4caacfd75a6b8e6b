"""Which operations were allowed, denied, or could not be tested, account by account.

A pure function of what one pass over everything asked, and with what outcome.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from exporter.access.operations import BY_KEY, OPERATIONS, Grant, Operation
from exporter.access.policy import Places, document, grants_of, places_of, trust, trusted
from exporter.aws.queues import region_of
from exporter.aws.session import RequestKey
from exporter.config import Config
from exporter.model import Scope, partition_of
from exporter.world import World

Status: TypeAlias = Literal["allowed", "denied", "untested"]
# Why an operation is untested. What was throttled or failed may be denied all the same; the others
# have nothing to tell yet.
Cause: TypeAlias = Literal[
    "", "throttled", "error", "unfinished", "nothing", "off", "behind", "spared"
]
UNCERTAIN = frozenset({"throttled", "error", "unfinished"})
# What is not asked in the accounts that are watched: queues; and where there is an archive, files.
_ELSEWHERE, _ARCHIVED = frozenset({"sqs"}), frozenset({"s3", "athena"})
# What a single run does not ask: AWS bills it.
_BILLED = frozenset({"StartQuery", "GetQueryResults", "StartQueryExecution", "GetQueryExecution"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an operation in an account and Region.

    `why` says it in words; of what is allowed it is empty, unless some calls were denied.
    """

    operation: Operation
    scope: Scope
    status: Status
    cause: Cause = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """What may be asked in an account.

    `role` is the one that is assumed there, None for the exporter's own credentials. `policy` is
    what to add to its permissions, `own_policy` to those of the exporter itself, `trust` to the
    role's trust; None where nothing is missing.
    """

    account: str
    role: str | None
    answers: tuple[Answer, ...]
    policy: dict[str, Any] | None = None
    own_policy: dict[str, Any] | None = None
    trust: dict[str, Any] | None = None

    @property
    def blind(self) -> tuple[str, ...]:
        """The checks that cannot see without what is denied."""
        denied = (answer.operation for answer in self.answers if answer.status == "denied")
        return tuple(dict.fromkeys(check for operation in denied for check in operation.checks))

    @property
    def shut(self) -> bool:
        """Whether the role cannot be assumed, so that nothing of the account can be seen."""
        return self.trust is not None


@dataclass(frozen=True, slots=True)
class Access:
    """What may be asked of AWS, as of `as_of` (seconds since the epoch), account by account."""

    as_of: float
    accounts: tuple[AccountAccess, ...]

    @property
    def exit_code(self) -> int:
        """0: nothing is denied; 1: something is; 3: what was asked was throttled or failed."""
        answers = [answer for account in self.accounts for answer in account.answers]
        if any(answer.status == "denied" for answer in answers):
            return 1
        uncertain = any(answer.cause in UNCERTAIN for answer in answers)
        return 3 if uncertain or not answers else 0


def access(
    world: World,
    config: Config,
    off: Set[str] = frozenset(),
    unfinished: Set[str] = frozenset(),
    principal: str = "",
) -> Access:
    """Return what the credentials may ask, by the requests that a World counts.

    `off` are collectors that do not run, `unfinished` those with a pass that has not ended.
    `principal` is the ARN of who the exporter is, as STS has it, for roles that should trust it.
    """
    seen = _Seen(world, config, off, unfinished, principal)
    return Access(world.as_of, tuple(seen.accounts()))


class _Seen:
    """What was asked, indexed."""

    def __init__(
        self, world: World, config: Config, off: Set[str], unfinished: Set[str], principal: str
    ) -> None:
        self._world, self._config = world, config
        self._off, self._unfinished, self._principal = off, unfinished, principal
        self._watched = {estate.scope: estate for estate in world.estates}
        self._counts: dict[tuple[Scope, str, str], dict[str, int]] = {}
        for key, number in world.requests.items():
            of = self._counts.setdefault(_place(key), {})
            of[key.outcome] = of.get(key.outcome, 0) + number
        self._roles: dict[str, str] = {}
        archive = config.collectors.flow_logs.archive
        self._archived = archive is not None
        flow_logs = config.collectors.flow_logs
        self._budget = flow_logs.budget_dollars_per_day
        self._queues = {
            Scope(url.split("/")[-2], region_of(url) or "")
            for of in (flow_logs, config.collectors.changes)
            for url in of.notifications
        }
        for arn in (*(way.role_arn for way in config.accounts), archive and archive.role_arn):
            if arn:
                self._roles.setdefault(arn.split(":")[4], arn)

    def accounts(self) -> Iterator[AccountAccess]:
        """Yield the accounts in which something was asked, or was to be."""
        for account in sorted({scope.account for scope in self._scopes()}):
            found = self._account(account)
            if found.answers:
                yield found

    def _account(self, account: str) -> AccountAccess:
        """Return what may be asked in an account."""
        role = self._role(account)
        assume = BY_KEY["sts", "AssumeRole"]
        scopes = sorted({scope for scope in self._scopes() if scope.account == account})
        answers = [answer for scope in scopes for answer in self._answers(scope)]
        assumed = [answer for answer in answers if answer.operation is assume]
        shut = bool(assumed) and all(answer.status == "denied" for answer in assumed)
        denied = [answer for answer in answers if answer.status == "denied"]
        region = next((scope.region for scope in scopes if scope.region), "")
        known = {"role": role} if role else {}
        grants: dict[str, list[tuple[Grant, Places]]] = {"account": [], "exporter": []}
        for answer in denied:
            places = self._places(answer.scope, known)
            grants[answer.operation.holder] += grants_of([answer.operation], places)
        principal = trusted(self._principal) or f"arn:{partition_of(region)}:iam::YOUR-ACCOUNT:root"
        return AccountAccess(
            account,
            role,
            tuple(answers),
            document(grants["account"]),
            document(grants["exporter"]),
            trust(principal, self._external_id(account)) if shut else None,
        )

    def _scopes(self) -> Set[Scope]:
        """Return the watched scopes, and others in which something was asked or was to be."""
        statuses = {status.scope for status in self._world.collectors if status.scope.account}
        asked = {scope for scope, _, _ in self._counts} | self._queues
        listed = {scope.account for scope in (*self._watched, *asked) if scope.region}
        # An account whose Regions are not known has none of its own.
        nowhere = {scope for scope in statuses if not scope.region and scope.account not in listed}
        return self._watched.keys() | asked | nowhere

    def _answers(self, scope: Scope) -> Iterator[Answer]:
        found: dict[str, Answer] = {}
        for operation in OPERATIONS:
            answer = self._answer(operation, scope, found)
            if answer:
                found[operation.name] = answer
                yield answer

    def _answer(
        self, operation: Operation, scope: Scope, before: Mapping[str, Answer]
    ) -> Answer | None:
        """Return what became of an operation; None where the scope is not where it is asked."""
        counts = self._counts.get((scope, operation.service, operation.name), {})
        reason = self._reason(operation, scope)
        if counts.get("denied"):
            some = ": some calls were denied, others not" if counts.get("ok") else ""
            return Answer(operation, scope, "denied", "", reason or f"denied{some}")
        if counts.get("ok"):
            return Answer(operation, scope, "allowed")
        for outcome in ("throttled", "error"):
            if counts.get(outcome):
                return Answer(operation, scope, "untested", outcome, reason or outcome)
        if operation.service in _ELSEWHERE and scope in self._queues:
            why = "a single run reads no queue: what it took, the daemon would miss"
            return Answer(operation, scope, "untested", "spared", why)
        if scope not in self._watched or operation.collector == "accounts":
            return None
        if operation.service in _ELSEWHERE or (self._archived and operation.service in _ARCHIVED):
            return None
        return Answer(operation, scope, "untested", *self._untested(operation, scope, before))

    def _untested(
        self, operation: Operation, scope: Scope, before: Mapping[str, Answer]
    ) -> tuple[Cause, str]:
        """Return why an operation was not asked."""
        if self._closed(scope.account):
            return "behind", "the role of the account was not assumed"
        if operation.collector in self._off:
            return "off", f"the collector {operation.collector} is switched off"
        for name in operation.after:
            earlier = before.get(name)
            if earlier and earlier.status != "allowed" and earlier.cause != "nothing":
                how = earlier.status if earlier.status == "denied" else earlier.cause or "untested"
                return "behind", f"{name} tells what to ask for, and is {how}"
        if operation.collector in self._unfinished:
            return "unfinished", f"the collector {operation.collector} did not come to an end"
        if operation.name in _BILLED and self._budget:
            return "spared", "a single run asks no query that AWS bills"
        if operation.needs:
            return "nothing", f"nothing to ask for: no {operation.needs}"
        return "unfinished", "it was not asked"

    def _closed(self, account: str) -> bool:
        """Whether the role was asked for and not given."""
        asked = [
            outcomes
            for (scope, _, name), outcomes in self._counts.items()
            if scope.account == account and name == "AssumeRole"
        ]
        return bool(asked) and not any("ok" in outcomes for outcomes in asked)

    def _reason(self, operation: Operation, scope: Scope) -> str:
        """Return what AWS said when it refused, as a collector tells it."""
        for status in self._world.collectors:
            if status.scope in (scope, Scope(scope.account, ""), Scope("", "")):
                for reason in status.problems.values():
                    if re.match(rf"{operation.name}: ", reason):
                        return reason
        return ""

    def _places(self, scope: Scope, known: Mapping[str, str]) -> Places:
        estates = [self._watched[scope]] if scope in self._watched else self._watched.values()
        flow_logs = [f for estate in estates for f in estate.flow_logs().values()]
        here = {**self._known(), **known}
        queues = (
            {"queue": f"{region_of(url) or scope.region}:{':'.join(url.split('/')[-2:])}"}
            for of in (self._config.collectors.flow_logs, self._config.collectors.changes)
            for url in of.notifications
        )
        partition = partition_of(scope.region)
        return (
            *places_of(scope, partition, flow_logs, here),
            *({"partition": partition, **queue} for queue in queues),
        )

    def _known(self) -> dict[str, str]:
        """Return what the configuration tells of Athena."""
        athena = self._config.collectors.flow_logs.athena
        if athena is None:
            return {}
        found = {"workgroup": athena.workgroup, "database": athena.database}
        if athena.output:
            bucket, _, prefix = athena.output.removeprefix("s3://").partition("/")
            found |= {"results_bucket": bucket, "results_prefix": prefix}
        return found

    def _role(self, account: str) -> str | None:
        """Return the role that an account is watched with; None for the process's own identity."""
        listed = self._roles.get(account)
        if listed:
            return listed
        organization = self._config.organization
        asked = any(
            scope.account == account and name == "AssumeRole" for scope, _, name in self._counts
        )
        if organization is None or not asked:
            return None
        region = next((s.region for s in self._scopes() if s.account == account and s.region), "")
        partition = partition_of(region)
        return f"arn:{partition}:iam::{account}:role/{organization.role_name}"

    def _external_id(self, account: str) -> bool:
        role, archive = self._role(account), self._config.collectors.flow_logs.archive
        if archive and archive.role_arn == role:
            return archive.external_id is not None
        listed = [way for way in self._config.accounts if way.role_arn == role]
        if listed:
            return any(way.external_id for way in listed)
        organization = self._config.organization
        return organization is not None and organization.external_id is not None


def _place(key: RequestKey) -> tuple[Scope, str, str]:
    return Scope(key.account, key.region), key.service, key.operation
