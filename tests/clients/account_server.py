"""An account of its own, served by `iamlua account serve` on a free port of loopback."""

import json
import os
import subprocess
import tempfile


class AccountServer:
    """A served account in a temporary home, without profiles and roles. `url` is its endpoint."""

    def __init__(self, program):
        self.program = program

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.reset()
        self.process = subprocess.Popen(
            [self.program, "account", "serve", "--port", "0"],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def environment(self):
        return os.environ | {"IAMLUA_HOME": self.folder.name}

    def reset(self):
        """Removes everything from the account, also while it is served."""
        self.run("reset", "--empty")

    def load(self, account):
        """Replaces what is in the account by a value in the format of `account import`."""
        header = {"format": "iamlua-account", "version": 1}
        self.run("import", "-", input=json.dumps(header | account))

    def run(self, *arguments, **options):
        command = [self.program, "account", *arguments]
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, **options
        )
        assert done.returncode == 0, done.stderr

    def client_environment(self):
        """Environment variables that point any AWS SDK at this account.

        Configuration files and variables of this machine are left out.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "IAMLUA_"))
        }
        return kept | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
