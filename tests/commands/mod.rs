//! Commands for controlled changes: plan, apply, runs, undo, limits, `iamlua.toml`, policy, and
//! test.
//!
//! Each test has its own desk, with a small account.

mod accounts;
mod appearance;
mod apply;
mod check;
mod completion;
mod configuration;
mod documentation;
mod executions;
mod journal;
mod kills;
mod limits;
mod mistakes;
mod operations;
mod outside;
mod plan;
mod policy;
mod requests;
mod runs;
mod show;
mod tasks;
mod test;
mod undo;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::end_to_end::{Home, Ran};
use crate::patience::Gatekeeper;

/// Account with two roles, `web` and `db`, and four profiles: `alpha` and `beta` under `/ec2/`,
/// `gamma` with the role `web`, `delta` without tags.
const ACCOUNT: &str = r#"{"format": "iamlua-account", "version": 1, "account": {"id": "123456789012"},
    "roles": [
        {"name": "web", "assume_role_policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}},
        {"name": "db", "assume_role_policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}}],
    "profiles": [
        {"name": "alpha", "path": "/ec2/", "tags": {"Owner": "dev"}},
        {"name": "beta", "path": "/ec2/", "tags": {"Owner": "dev"}},
        {"name": "gamma", "path": "/", "role": "web", "tags": {"Owner": "dev"}},
        {"name": "delta", "path": "/", "tags": {}}]}"#;

/// One change of each kind to a profile, in order.
const WORK: &str = r#"
    iam.profiles.tag("alpha", { Owner = "ops" })
    iam.profiles.untag("beta", { "Owner" })
    iam.profiles.remove_role("gamma", "web")
    iam.profiles.add_role("delta", "db")
    iam.profiles.create { name = "epsilon", path = "/new/", tags = { Team = "core" } }
    iam.profiles.delete("beta")
"#;

const TAG_ALL: &str = "for _, name in ipairs { 'alpha', 'beta', 'gamma', 'delta' } do try(iam.profiles.tag, name, { All = '1' }) end";

/// SHA-256 of a plan file, for its approval.
fn hash_of(plan: &std::path::Path) -> String {
    iamlua::session::plan::sha256(&std::fs::read(plan).expect("a plan"))
}

/// Folder that is home, configuration folder and current folder at once, with [`ACCOUNT`] in it.
pub(crate) struct Desk(Home);

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self(Home::new());
        desk.write("account.json", ACCOUNT);
        desk.run(&["account", "import", "account.json"]).ends(0, "4 profiles");
        desk
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.0.write(name, content);
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path(name)).expect("a file")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        command
            .current_dir(self.0.path("."))
            .env("HOME", self.0.path("home"))
            .env("XDG_CONFIG_HOME", self.0.path("config"))
            .env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
            .env("AWS_SECRET_ACCESS_KEY", "the-secret-access-key");
        command
    }

    /// Calls that are held in the local account.
    pub(crate) fn gatekeeper(&self) -> Gatekeeper {
        self.0.gatekeeper()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the program starts"))
    }

    /// Changes the local account as somebody else, without `iamlua.toml`.
    #[track_caller]
    pub(crate) fn does(&self, code: &str) -> Ran {
        self.run(&["--config", "/dev/null", "--override-protection", "-e", code]).ends(0, "")
    }

    /// Content of the local account, without values that differ each time.
    pub(crate) fn account(&self) -> Value {
        let exported = self.run(&["account", "export"]).ends(0, "");
        let mut account: Value = serde_json::from_str(&exported.out).expect("JSON");
        for list in ["roles", "profiles"] {
            for entry in account[list].as_array_mut().expect("a list") {
                let entry = entry.as_object_mut().expect("an entry");
                entry.remove("id");
                entry.remove("create_date");
            }
        }
        account
    }

    pub(crate) fn profile(&self, name: &str) -> Value {
        let account = self.account();
        let profiles = account["profiles"].as_array().expect("a list");
        profiles.iter().find(|profile| profile["name"] == name).cloned().unwrap_or_default()
    }

    /// Runs, the latest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let listed = self.run(&["runs", "--output", "json", "-n", "1000"]).ends(0, "");
        serde_json::from_str(&listed.out).expect("JSON")
    }

    /// Latest run, with its changes.
    pub(crate) fn last(&self) -> Value {
        let shown = self.run(&["runs", "show", "last", "--output", "json"]).ends(0, "");
        serde_json::from_str(&shown.out).expect("JSON")
    }

    fn last_id(&self) -> String {
        self.runs()[0]["id"].as_str().expect("an id").to_owned()
    }

    /// Creates the journal, so that no other test meets its creation.
    fn has_a_journal(&self) {
        self.run(&["-e", "iam.profiles.create('alpha')"]).ends(1, "EntityAlreadyExists");
    }

    /// Writes the plan of that code to `plan.json`.
    #[track_caller]
    fn plans(&self, code: &str) {
        self.write("work.lua", code);
        self.run(&["plan", "work.lua", "-o", "plan.json"]).ends(0, "kept in plan.json");
    }

    pub(crate) fn serve(&self) -> Endpoint {
        self.serve_at("0")
    }

    pub(crate) fn serve_at(&self, port: &str) -> Endpoint {
        let mut serve = self.command(&["account", "serve", "--port", port]);
        let mut serve = serve.stderr(Stdio::null()).spawn().expect("the endpoint starts");
        let mut url = String::new();
        BufReader::new(serve.stdout.take().expect("a pipe")).read_line(&mut url).expect("a URL");
        Endpoint { serve, url: url.trim().to_owned() }
    }

    /// Bytes of the journal, with its write-ahead log.
    fn journal(&self) -> String {
        ["journal.db", "journal.db-wal"]
            .map(|name| std::fs::read(self.0.path("state").join(name)).unwrap_or_default())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }
}

/// Local account behind a URL, which clients take for AWS.
pub(crate) struct Endpoint {
    serve: Child,
    pub(crate) url: String,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.serve.kill();
        let _ = self.serve.wait();
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn outcomes(run: &Value) -> Vec<&str> {
    let changes = run["changes"].as_array().expect("a list");
    changes.iter().map(|change| change["outcome"].as_str().unwrap_or("open")).collect()
}
