#!/usr/bin/env python3
"""Golden answers for tests/identity: records the requests of the AWS CLI in each case.

    python3 tests/identity/oracle.py                        # every case, with `aws` from the PATH
    python3 tests/identity/oracle.py --aws /opt/v1/bin/aws  # with another version of it
    python3 tests/identity/oracle.py --check                # compares, writes nothing
    python3 tests/identity/oracle.py --only sso             # cases whose name contains that text

Needs Python 3.11 or newer and an AWS CLI: version 2, or version 1 (`pip install awscli awscrt`;
`awscrt` is for `login_session`). The golden answer is that of version 2. Where version 1 answers
otherwise, expected.json has both. Nothing leaves this machine: every endpoint and the HTTPS proxy
is a server in this process. `endpoint.rs` is the same server for the Rust test.
"""

import argparse
import base64
import concurrent.futures
import datetime
import fcntl
import http.server
import json
import os
import pathlib
import re
import select
import shlex
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tomllib
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
CASES = HERE / "cases.toml"
EXPECTED = HERE / "expected.json"
FAR = "2099-01-01T00:00:00Z"
# Parameters of STS that are written down; the others are the same for every caller.
PARAMETERS = (
    "RoleArn", "RoleSessionName", "ExternalId", "DurationSeconds", "SerialNumber", "TokenCode",
    "SourceIdentity", "WebIdentityToken", "Policy",
)
GENERATED = re.compile(r"(botocore-session|AWS-CLI-session)-\d+")


def access_key(name):
    """The access key id of a role, derived from its name."""
    letters = re.sub(r"[^A-Z0-9]", "", name.upper())
    return ("ASIA" + letters).ljust(20, "0")[:20]


def credentials_xml(action, name, arn):
    return (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
        f"<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:{name}</AssumedRoleId><Arn>{arn}</Arn>"
        f"</AssumedRoleUser><Credentials><AccessKeyId>{access_key(name)}</AccessKeyId>"
        f"<SecretAccessKey>secret-of-{name}</SecretAccessKey><SessionToken>token-of-{name}"
        f"</SessionToken><Expiration>{FAR}</Expiration></Credentials></{action}Result>"
        f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    )


def refusal(code, message):
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    )


class Answers(http.server.BaseHTTPRequestHandler):
    """STS, SSO portal, OIDC, sign-in, instance metadata, container credentials and a proxy."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, body, status=200, kind="text/xml", error=None):
        data = (json.dumps(body) if not isinstance(body, str) else body).encode()
        self.send_response(status)
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def note(self, call, **fields):
        self.server.requests.append(
            {"call": call, **{name: value for name, value in fields.items() if value}}
        )

    def do_CONNECT(self):
        self.note("connect", host=self.path, authorization=self.headers.get("Proxy-Authorization"))
        self.close_connection = True
        self.reply("no way out", 403)

    def do_PUT(self):
        if self.path == "/latest/api/token":
            self.reply("metadata-token", kind="text/plain")
        else:
            self.reply("", 404)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        metadata = "/latest/meta-data/"
        roles = metadata + "iam/security-credentials/"
        keys = {"AccessKeyId": "ASIAMETADATA00000000", "SecretAccessKey": "secret",
                "Token": "token-of-metadata", "Expiration": FAR}
        if url.path.startswith("/latest/"):
            if self.headers.get("X-aws-ec2-metadata-token") != "metadata-token":
                return self.reply("", 401)
            if url.path == roles or url.path + "/" == roles:
                return self.reply("instance-role", kind="text/plain")
            if url.path == roles + "instance-role":
                self.note("metadata:credentials")
                return self.reply({"Code": "Success", "Type": "AWS-HMAC", **keys})
            if url.path == metadata + "placement/region":
                self.note("metadata:region")
                return self.reply("ap-south-1", kind="text/plain")
            if url.path.rstrip("/") == metadata + "placement/availability-zone":
                self.note("metadata:region")
                return self.reply("ap-south-1a", kind="text/plain")
            return self.reply("", 404)
        if url.path.startswith("/container"):
            self.note("container:credentials", path=url.path,
                      authorization=self.headers.get("Authorization"))
            if url.path == "/container/denied":
                return self.reply({"Code": "AccessDenied", "Message": "no"}, 403)
            keys |= {"AccessKeyId": "ASIACONTAINER0000000", "Token": "token-of-container"}
            return self.reply(keys, kind="application/json")
        if url.path.endswith("/federation/credentials"):
            token = self.headers.get("x-amz-sso_bearer_token")
            self.note("sso:GetRoleCredentials", token=token, role=query.get("role_name"),
                      account=query.get("account_id"))
            if token == "revoked":
                return self.reply({"message": "Session token not found or invalid"}, 401,
                                  "application/json", "UnauthorizedException")
            role = query.get("role_name", "")
            return self.reply({"roleCredentials": {
                "accessKeyId": access_key("SSO" + role), "secretAccessKey": "secret",
                "sessionToken": f"token-of-{role}", "expiration": 4070908800000,
            }}, kind="application/json")
        return self.reply("", 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path = self.path.rstrip("/")
        if path.endswith("/v1/token"):
            form = json.loads(body)
            proof = self.headers.get("DPoP") or ""
            head, claims = ({}, {})
            if proof.count(".") == 2:
                head, claims = (
                    json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
                    for part in proof.split(".")[:2]
                )
            self.note("signin:CreateOAuth2Token", client=form.get("clientId"),
                      grant=form.get("grantType"), refresh=form.get("refreshToken"),
                      proof=f"{head.get('alg')} {claims.get('htm')}")
            if form.get("refreshToken") == "revoked":
                return self.reply({"error": "TOKEN_EXPIRED", "message": "expired"}, 403,
                                  "application/json", "AccessDeniedException")
            return self.reply({
                "accessToken": {"accessKeyId": "ASIALOGINREFRESHED00", "secretAccessKey": "secret",
                                "sessionToken": "token-of-login-refreshed"},
                "tokenType": "aws_sigv4", "expiresIn": 900, "refreshToken": "refresh-2",
            }, kind="application/json")
        if path.endswith("/token"):
            form = json.loads(body)
            self.note("sso-oidc:CreateToken", client=form.get("clientId"),
                      grant=form.get("grantType"), refresh=form.get("refreshToken"))
            if form.get("refreshToken") == "revoked":
                return self.reply({"error": "invalid_grant", "error_description": "revoked"}, 400,
                                  "application/json", "InvalidGrantException")
            return self.reply({"accessToken": "refreshed", "tokenType": "Bearer",
                               "expiresIn": 28800, "refreshToken": "refresh-2"},
                              kind="application/json")
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        action = form.get("Action", "")
        authorization = self.headers.get("Authorization") or ""
        scope = re.search(r"Credential=([^/]*)/\d*/([^/]*)/", authorization)
        parameters = {name: form[name] for name in PARAMETERS if name in form}
        if GENERATED.fullmatch(parameters.get("RoleSessionName", "")):
            parameters["RoleSessionName"] = "*generated*"
        self.note(f"sts:{action}", at=path, key=scope and scope[1], region=scope and scope[2],
                  token=self.headers.get("X-Amz-Security-Token"), parameters=parameters)
        if action == "GetCallerIdentity":
            return self.reply(
                '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                "<GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/jo</Arn>"
                "<UserId>AIDAEXAMPLE</UserId><Account>123456789012</Account>"
                "</GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId>"
                "</ResponseMetadata></GetCallerIdentityResponse>"
            )
        if action in ("AssumeRole", "AssumeRoleWithWebIdentity"):
            arn = form.get("RoleArn", "")
            if not re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/.+", arn):
                return self.reply(refusal("ValidationError", f"{arn} is invalid"), 400)
            name = arn.rsplit("/", 1)[1]
            if name == "denied":
                return self.reply(refusal(
                    "AccessDenied", "User: arn:aws:iam::123456789012:user/jo is not authorized to "
                    f"perform: sts:AssumeRole on resource: {arn}"), 403)
            session = form.get("RoleSessionName", "")
            assumed = arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
            return self.reply(credentials_xml(action, name, f"{assumed}/{session}"))
        return self.reply(refusal("InvalidAction", f"no {action}"), 400)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.requests = []
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        often = {"poll_interval": 0.05}
        threading.Thread(target=self.serve_forever, kwargs=often, daemon=True).start()


def filled(text, home, endpoint):
    """Text with its placeholders replaced."""
    in_five_minutes = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    return (text.replace("{home}", str(home)).replace("{endpoint}", endpoint)
            .replace("{port}", endpoint.rsplit(":", 1)[1])
            .replace("{in_five_minutes}", in_five_minutes.strftime("%Y-%m-%dT%H:%M:%SZ")))


def environment(case, home, endpoint):
    """The whole environment of a case; `endpoint.rs` has the same one."""
    variables = {
        "HOME": "{home}",
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "HTTPS_PROXY": "{endpoint}",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{endpoint}/",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }
    for service in ("STS", "IAM", "SSO", "SSO_OIDC", "SIGNIN"):
        variables[f"AWS_ENDPOINT_URL_{service}"] = "{endpoint}"
    for name in case.get("unset", []):
        variables.pop(name, None)
    variables |= case.get("environment", {})
    return {name: filled(value, home, endpoint) for name, value in variables.items()}


def lay_out(case, home, endpoint):
    files = dict(case.get("files", {}))
    for name in ("config", "credentials"):
        if name in case:
            files[f".aws/{name}"] = case[name]
    scripts = case.get("executables", {})
    for name, text in (files | scripts).items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(filled(text, home, endpoint).encode())
        if name in scripts:
            path.chmod(0o755)
    for name, text in case.get("bytes", {}).items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(text))


def at_terminal(command, types, **how):
    """Runs a command at a terminal of its own and types a line when it asks for a code."""
    ours, theirs = os.openpty()
    how |= {"start_new_session": True, "stdin": theirs, "stdout": theirs, "stderr": theirs}
    child = subprocess.Popen(
        command, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **how)
    os.close(theirs)
    seen, typed, end = b"", 0, time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([ours], [], [], 0.2)[0]:
            if child.poll() is not None:
                break
            continue
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
        while typed < len(types) and seen.count(b"MFA code") > typed:
            # getpass throws away what was typed before it turned echo off.
            time.sleep(0.3)
            os.write(ours, types[typed].encode() + b"\n")
            typed += 1
    code = child.wait(timeout=60)
    os.close(ours)
    return code, seen.decode(errors="replace")


def outcome(aws, case):
    """What the AWS CLI does in a case."""
    began = time.monotonic()
    server = Server()
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder).resolve()
        lay_out(case, home, server.endpoint)
        flags = [filled(flag, home, server.endpoint) for flag in case.get("flags", [])]
        command = [*aws, "sts", "get-caller-identity", "--output", "json", *flags]
        how = {"env": environment(case, home, server.endpoint), "cwd": home}
        if "types" in case:
            code, said = at_terminal(command, case["types"], **how)
        else:
            ran = subprocess.run(
                command, input=case.get("input", "").encode(), capture_output=True, timeout=120,
                start_new_session=True, **how)
            code, said = ran.returncode, ran.stderr.decode(errors="replace")
        result = {"requests": list(server.requests)}
        if code:
            said = said.replace(str(home), "{home}").replace(server.endpoint, "{endpoint}")
            said = said.replace(f":{server.server_address[1]}", ":{port}")
            said = re.sub(r"aws: \[ERROR\]: ", "", said)
            said = re.sub(r".*GetPassWarning.*\n.*\n.*be echoed\.\n", "", said)
            result["error"] = " ".join(said.split())
    server.shutdown()
    server.server_close()
    if (took := time.monotonic() - began) > 10:
        print(f"{case['name']} took {took:.0f} s", file=sys.stderr)
    return result


def differs(one, other):
    """Whether two outcomes are different for the Rust test, which ignores the text of an error."""
    return one["requests"] != other["requests"] or ("error" in one) != ("error" in other)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aws", default="aws", help="the command to run")
    parser.add_argument("--only", default="", help="cases whose name contains this text")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    aws = shlex.split(options.aws)
    said = subprocess.run([*aws, "--version"], capture_output=True, text=True, check=True)
    version = (said.stdout or said.stderr).split()[0].removeprefix("aws-cli/")
    column = "v1" if version.startswith("1.") else "v2"
    cases = tomllib.loads(CASES.read_text())["case"]
    names = [case["name"] for case in cases]
    assert len(set(names)) == len(names), "two cases have one name"
    chosen = [case for case in cases if options.only in case["name"]]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        found = dict(zip((case["name"] for case in chosen),
                         pool.map(lambda case: outcome(aws, case), chosen)))
    known = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {"made_by": {}, "cases": {}}
    changed = []
    for name, result in found.items():
        entry = known["cases"].setdefault(name, {})
        if entry.get(column, entry.get("v2")) != result:
            changed.append(name)
        entry[column] = result
        if "v1" in entry and "v2" in entry and entry["v1"] == entry["v2"]:
            del entry["v1"]
    if options.check:
        print(f"{len(found)} cases, {len(changed)} differ from expected.json")
        for name in changed:
            print(f"  {name}: {json.dumps(found[name])}")
        sys.exit(1 if changed else 0)
    known["made_by"][column] = f"aws-cli/{version}"
    known["cases"] = {name: known["cases"][name] for name in names if name in known["cases"]}
    EXPECTED.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(found)} cases with aws-cli/{version}, {len(changed)} changed")
    for name in found:
        entry = known["cases"][name]
        if "v1" in entry and "v2" in entry and differs(entry["v1"], entry["v2"]):
            print(f"  {name}: version 1 and 2 differ")


if __name__ == "__main__":
    main()
