"""An S3 server for tests: versitygw, a real one over a folder, or moto's where that is not at hand.

versitygw is looked for in MILLRACE_TEST_VERSITYGW, on PATH, where `make setup-tests` builds it, in
/opt/tools and ~/go/bin.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ACCESS_KEY = "testing-access"
SECRET_KEY = "testing-secret-key"
_START_SECONDS = 60.0
_DOCUMENT = Path(__file__).parents[1] / "docs" / "stores.md"
_ALL = ("ListBucket", "GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload")


@dataclass
class S3:
    """A running server with one bucket. `pause` and `resume` take it out of reach for a while."""

    endpoint: str
    bucket: str
    folder: Path
    real: bool
    environment: dict[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)

    def url(self, prefix: str = "fleet") -> str:
        """Returns the URL of a place in the bucket."""
        return f"s3://{self.bucket}/{prefix}"

    def client(self) -> object:
        """Returns a plain botocore client, to look behind the scenes."""
        import botocore.session

        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def add_user(self, name: str, secret: str) -> None:
        """Adds a person who may do nothing that no policy allows. Of a real server only."""
        admin = [str(find_versitygw()), "admin", "--endpoint-url", self.endpoint]
        admin += ["--access", ACCESS_KEY, "--secret", SECRET_KEY, "create-user"]
        admin += ["--access", name, "--secret", secret, "--role", "user"]
        subprocess.run(admin, check=True, capture_output=True, timeout=60)

    def permit(self, prefix: str, *, worker: str, conductor: str = "") -> None:
        """Lets a worker do below `prefix` what the documentation's policy says, and a conductor
        what it says a conductor needs."""
        policy = worker_policy(self.bucket, prefix, worker)
        if conductor:
            here = f"arn:aws:s3:::{self.bucket}"
            policy["Statement"].append(
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": [conductor]},
                    "Action": [f"s3:{word}" for word in _ALL],
                    "Resource": [here, f"{here}/{prefix}/*"],
                }
            )
        self.client().put_bucket_policy(  # type: ignore[attr-defined]
            Bucket=self.bucket, Policy=json.dumps(policy)
        )

    def ever(self) -> Iterator[tuple[str, bytes]]:
        """Yields the name and the bytes of all that ever lay in the bucket, removed or not. Of a
        server that keeps versions."""
        client: Any = self.client()
        for page in client.get_paginator("list_object_versions").paginate(Bucket=self.bucket):
            for one in page.get("Versions", ()):
                named = {"Bucket": self.bucket, "Key": one["Key"], "VersionId": one["VersionId"]}
                yield one["Key"], client.get_object(**named)["Body"].read()

    def pause(self) -> None:
        """Stops answering; connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Goes on."""
        self.process.send_signal(signal.SIGCONT)


def find_versitygw() -> str | None:
    """Returns the program of a real S3 server, None when this machine has none."""
    named = os.environ.get("MILLRACE_TEST_VERSITYGW")
    built = Path(__file__).parents[1] / ".tools"
    places = (str(built), "/opt/tools", str(Path("~/go/bin").expanduser()))
    found = (shutil.which("versitygw", path=place) for place in places)
    return named or shutil.which("versitygw") or next((f for f in found if f), None)


def worker_policy(bucket: str, prefix: str, user: str) -> dict[str, Any]:
    """Returns the policy that the documentation gives to workers, as one of a bucket for a user."""
    (block,) = re.findall(r"```json\n(.*?)```", _DOCUMENT.read_text(), re.DOTALL)
    block = block.replace("acme-millrace/exchange", f"{bucket}/{prefix}")
    policy: dict[str, Any] = json.loads(block.replace("acme-millrace", bucket))
    for statement in policy["Statement"]:  # a user's policy names nobody; a bucket's does
        statement["Principal"] = {"AWS": [user]}
    return policy


@contextmanager
def server(folder: Path, *, port: int | None = None, versions: bool = False) -> Iterator[S3]:
    """Runs a server whose objects lie in `folder` as long as the context lasts.

    With `versions` the bucket keeps what is removed from it or written over.
    """
    port = port or free_port()
    program = find_versitygw()
    environment = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if program:
        (folder / "iam").mkdir(exist_ok=True)
        command = [program, "--port", f"127.0.0.1:{port}", "--iam-dir", str(folder / "iam")]
        (folder / "versions").mkdir(exist_ok=True)
        command += ["posix", "--versioning-dir", str(folder / "versions"), str(folder / "data")]
    else:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=os.environ | keys, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    one = S3(f"http://127.0.0.1:{port}", "bucket", folder, bool(program), environment, process)
    try:
        _await_answer(one)
        if not (folder / "bucket").exists():
            _make_bucket(one)
        if versions:
            one.client().put_bucket_versioning(  # type: ignore[attr-defined]
                Bucket=one.bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        yield one
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def use(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives this process (and its children) the server's address and credentials."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def free_port() -> int:
    """Returns a port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _make_bucket(one: S3) -> None:
    one.client().create_bucket(Bucket=one.bucket)  # type: ignore[attr-defined]
    if one.real:
        (one.folder / "bucket").touch()  # the next server over this folder finds it there


def _await_answer(one: S3) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if one.process.poll() is not None:
            break
        try:
            urllib.request.urlopen(one.endpoint, timeout=5).close()
        except urllib.error.HTTPError:
            return  # it answers, if only to say that it does not know us
        except OSError:
            time.sleep(0.1)
            continue
        return
    raise RuntimeError((one.folder / "server.log").read_text()[-2000:])
