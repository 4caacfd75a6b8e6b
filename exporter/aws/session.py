"""Access to AWS: who we are in each account, one client per account, Region and service.

Every request is counted by its outcome, retries too. AWS is reached only as boto3 does it, so
`AWS_ENDPOINT_URL` and the other settings of boto3 apply.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import boto3
import botocore.config
import botocore.credentials
import botocore.session
from botocore.exceptions import BotoCoreError, NoCredentialsError

from exporter import __version__
from exporter.aws.errors import AWS_ERRORS, MALFORMED_ANSWER, outcome_of
from exporter.config import Account
from exporter.model import REGION, Outcome, Scope, partition_of

# A pass must end within its collector's deadline whatever AWS does, so each call gives up in time:
# four attempts with botocore's back-off between them.
CLIENT_CONFIG = botocore.config.Config(
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=10,
    retries={"mode": "standard", "total_max_attempts": 4},
    user_agent_extra=f"privatelink-exporter/{__version__}",
)


# The Regions that every account has; those since 2019 have to be enabled.
# https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
_ALWAYS = frozenset(
    [
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
        *("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3"),
        *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
        *("ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    ]
)
METADATA, METADATA_V6 = "http://169.254.169.254/", "http://[fd00:ec2::254]/"
# A Region of each partition that is enabled in every account.
_HOMES = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
    "aws-eusc": "eusc-de-east-1",
}


class RequestKey(NamedTuple):
    """What requests are counted by."""

    account: str
    region: str
    service: str
    operation: str
    outcome: Outcome


class OwnAccount(NamedTuple):
    """Whose the process's own credentials are: an account id, its partition, the caller's ARN."""

    id: str
    partition: str
    arn: str


class NoAccess(Exception):  # noqa: N818  # reads as what it is: there is no access
    """Raised when there are no credentials or no Region to start with."""


class Aws:
    """Clients for each account and Region. Safe to use from many threads.

    Raises NoAccess where boto3's settings contradict each other (a profile that does not exist).
    """

    def __init__(
        self,
        session: botocore.session.Session | None = None,
        config: botocore.config.Config = CLIENT_CONFIG,
    ) -> None:
        self._own = session or botocore.session.Session()
        # Parsing the service models costs some 40 MB: all sessions share one loader.
        try:
            self._loader = self._own.get_component("data_loader")
        except BotoCoreError as error:
            raise NoAccess(f"The AWS settings cannot be used: {error}") from None
        self._config = config
        self._lock = threading.RLock()
        # Making a client takes a while; who counts does not wait for that.
        self._counting = threading.Lock()
        self._sessions: dict[tuple[str | None, str | None], boto3.Session] = {}
        self._clients: dict[tuple[Scope, str], Any] = {}
        # Queues, and buckets that belong to another account.
        self._others: dict[tuple[Scope, str | None, str], Any] = {}
        self._account_of: dict[Scope, Account] = {}
        self._own_account: OwnAccount | None = None
        self._requests: Counter[RequestKey] = Counter()

    def require(self, region_needed: bool) -> None:
        """Raise NoAccess, with the ways to mend it, without credentials or a Region to start in."""
        try:
            credentials = self._own.get_credentials()
        except (*AWS_ERRORS, *MALFORMED_ANSWER) as error:
            # A credential_process that is not there or prints nonsense raises what it likes.
            raise NoAccess(
                f"The AWS settings cannot be used: {type(error).__name__}: {error}. Correct the "
                "profile, its credential_process and the AWS_* variables."
            ) from None
        if credentials is None:
            raise NoAccess(
                "No AWS credentials. Give them in one of these ways:\n"
                "  - run on EC2, ECS or EKS with a role (instance profile, task role, IRSA, "
                "Pod Identity)\n"
                "  - set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n"
                "  - name a profile of ~/.aws/config with AWS_PROFILE\n"
                "To see the exporter without an AWS account: privatelink-exporter demo"
            )
        region = self.region
        if region is not None and not re.fullmatch(REGION, region):
            raise NoAccess(
                f"The AWS Region {region!r} does not look like eu-west-1. Correct AWS_REGION, "
                "AWS_DEFAULT_REGION or the profile."
            )
        if region is None and region_needed:
            raise NoAccess(
                "No AWS Region. Set AWS_REGION, or list the Regions in the configuration file:\n"
                "accounts:\n  - regions: [eu-west-1]"
            )

    @property
    def region(self) -> str | None:
        """The Region of boto3's settings, if there is one."""
        region: str | None = self._own.get_config_variable("region")
        return region

    @property
    def metadata_endpoint(self) -> str:
        """The URL of the instance metadata service, by boto3's settings."""
        endpoint: str | None = self._own.get_config_variable("ec2_metadata_service_endpoint")
        mode = self._own.get_config_variable("ec2_metadata_service_endpoint_mode") or ""
        return endpoint or (METADATA_V6 if mode.lower() == "ipv6" else METADATA)

    def home(self, partition: str) -> str:
        """Return a Region to ask in what is the same in all: the process's own where it can be.

        Not one that has to be enabled: another account may not have, and then even STS refuses it.
        https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html
        """
        own = self.region
        here = own and partition_of(own) == partition and (own in _ALWAYS or partition != "aws")
        return own if own and here else _HOMES[partition]

    def own_account(self, region: str) -> OwnAccount:
        """Return whose the process's own credentials are; asked of STS once.

        `region` is where to ask when boto3's settings have none.
        """
        if self._own_account is None:
            with self._lock:
                # Any Region of the partition will do, and credentials work in one partition only.
                where = self.region or region or "us-east-1"
                sts = self._session(Account()).client("sts", where, config=self._config)
            self._count(sts, Scope("", where))
            answer = sts.get_caller_identity()
            arn = answer["Arn"]
            self._own_account = OwnAccount(answer["Account"], arn.split(":")[1], arn)
        return self._own_account

    def reach(self, scope: Scope, account: Account) -> None:
        """Say how a scope is reached from now on."""
        with self._lock:
            before = self._account_of.get(scope)
            self._account_of[scope] = account
            if before and (before.role_arn, before.external_id) != (
                account.role_arn,
                account.external_id,
            ):
                self._forget_clients(scope)

    def forget(self, scope: Scope) -> None:
        """Drop the clients of a scope that is watched no more; its requests stay counted."""
        with self._lock:
            self._account_of.pop(scope, None)
            self._forget_clients(scope)
            used = {(a.role_arn, a.external_id) for a in self._account_of.values()}
            for key in [key for key in self._sessions if key[0] and key not in used]:
                del self._sessions[key]

    def _forget_clients(self, scope: Scope) -> None:
        for key in [key for key in self._clients if key[0] == scope]:
            del self._clients[key]

    def client(self, scope: Scope, service: str) -> Any:
        """Return the one client for the service in that scope; made at the first call.

        Raises KeyError for a scope that nobody has said how to reach.
        """
        with self._lock:
            client = self._clients.get((scope, service))
            if client is None:
                client = self.client_of(scope, self._account_of[scope], service)
                self._clients[scope, service] = client
            return client

    def other_client(self, scope: Scope, account: Account, service: str) -> Any:
        """Return the one client for a service in a scope that is not watched itself."""
        with self._lock:
            key = (scope, account.role_arn, service)
            client = self._others.get(key)
            if client is None:
                client = self._others[key] = self.client_of(scope, account, service)
            return client

    def client_of(self, scope: Scope, account: Account, service: str) -> Any:
        """Return a client that is not kept, for a scope that need not be watched."""
        with self._lock:
            client = self._session(account).client(service, scope.region, config=self._config)
        self._count(client, scope)
        return client

    def requests(self) -> Mapping[RequestKey, int]:
        """Return how many requests have been sent, by outcome."""
        with self._counting:
            return dict(self._requests)

    def _session(self, account: Account) -> boto3.Session:
        with self._lock:
            key = account.role_arn, account.external_id
            session = self._sessions.get(key)
            if session is None:
                inner = self._own if account.role_arn is None else self._assumed(account)
                session = self._sessions[key] = boto3.Session(botocore_session=inner)
            return session

    def _assumed(self, account: Account) -> botocore.session.Session:
        source = self._own.get_credentials()
        if source is None:
            raise NoCredentialsError
        arguments = {"RoleSessionName": "privatelink-exporter"}
        if account.external_id:
            arguments["ExternalId"] = account.external_id
        assert account.role_arn is not None
        scope = Scope(account.id or "", self.home(account.role_arn.split(":")[1]))
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            partial(self._sts, scope), source, account.role_arn, extra_args=arguments
        )
        session = botocore.session.Session()
        session.register_component("data_loader", self._loader)
        # Refreshed by botocore itself, from 15 minutes before they expire.
        session._credentials = botocore.credentials.DeferredRefreshableCredentials(
            fetcher.fetch_credentials, "assume-role"
        )
        return session

    def _sts(self, scope: Scope, service: str, **credentials: str) -> Any:
        with self._lock:
            client = self._own.create_client(
                service, region_name=scope.region, config=self._config, **credentials
            )
        self._count(client, scope)
        return client

    def _count(self, client: Any, scope: Scope) -> None:
        service = client.meta.service_model.service_name

        def received(event_name: str, parsed_response: dict[str, Any] | None, **_: object) -> None:
            operation = event_name.rpartition(".")[2]
            outcome: Outcome = "error"
            if parsed_response is not None:
                status = parsed_response.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)
                code = parsed_response.get("Error", {}).get("Code", "")
                outcome = "ok" if status < 300 and not code else outcome_of(code)
            with self._counting:
                key = RequestKey(scope.account, scope.region, service, operation, outcome)
                self._requests[key] += 1

        client.meta.events.register("response-received", received)
