"""Fixes as who was paged pastes them: with a shell, the AWS CLI, and an account's credentials."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import boto3

from exporter.simulator.organisation import MANAGEMENT, ROLE

# The line before a command names the account where that is not the endpoint's own.
_ACCOUNT = re.compile(r"[Ii]n (?:the provider's )?account (\d{12})\b")
_LOOKS = re.compile(r"(?:describe|list|get)-")


@dataclass(frozen=True, slots=True)
class Command:
    """A line of a fix that is to be pasted: one that starts with `aws `; and in which account."""

    account: str
    line: str

    @property
    def words(self) -> list[str]:
        """The words that a shell makes of it."""
        return shlex.split(self.line)

    @property
    def changes(self) -> bool:
        """Whether it does more than look."""
        return not _LOOKS.match(self.words[2])

    def of(self, option: str) -> list[str]:
        """Return the values of an option."""
        words = self.words
        if option not in words:
            return []
        rest = words[words.index(option) + 1 :]
        end = next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))
        return rest[:end]


def commands(fix: str | None, account: str) -> Iterator[Command]:
    """Yield the commands of a fix for something in an account; its other lines are for people."""
    for line in (fix or "").splitlines():
        if line.startswith("aws "):
            yield Command(account, line)
        else:
            named = _ACCOUNT.search(line)
            account = named.group(1) if named else account


class Shell:
    """Runs commands in a simulated organisation: the CLI that is first on PATH goes there alone.

    Debian's does not know AWS_ENDPOINT_URL: a wrapper says where to.
    """

    def __init__(self, aws: str, url: str, access_key: str, directory: Path) -> None:
        self._url = url
        self._key = access_key
        wrapper = directory / "bin" / "aws"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(aws)} "$@" --endpoint-url {url}\n')
        wrapper.chmod(0o755)
        self._environment = {
            "PATH": f"{wrapper.parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }
        self._of_account = cache(self._credentials)

    def paste(self, command: Command) -> subprocess.CompletedProcess[str]:
        """Run the line as it is. No Region is set: the command has to name it."""
        return subprocess.run(
            ["/bin/sh", "-c", command.line],
            env={**self._environment, **self._of_account(command.account)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _credentials(self, account: str) -> dict[str, str]:
        """Return the settings of a role in the account, of the key where it is its account."""
        if account == MANAGEMENT:
            return {"AWS_ACCESS_KEY_ID": self._key, "AWS_SECRET_ACCESS_KEY": "simulated"}
        own = boto3.client(
            "sts",
            "eu-west-1",
            endpoint_url=self._url,
            aws_access_key_id=self._key,
            aws_secret_access_key="simulated",
        )
        given = own.assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/{ROLE}", RoleSessionName="pasting"
        )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }
