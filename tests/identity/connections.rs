//! Credentials with several connections in one process, and with settings from `iamlua.toml` or a
//! script.

use std::process::Command;

use serde_json::{Value, json};

use super::endpoint::Endpoint;
use crate::end_to_end::{Home, Ran};
use crate::terminal::Terminal;

/// Configuration with the keys of two accounts, and a role behind MFA.
const CONFIG: &str = "\
[profile stage]
region = eu-west-1
aws_access_key_id = AKIASTAGE00000000000
aws_secret_access_key = x
[profile other]
region = eu-west-3
aws_access_key_id = AKIAOTHER00000000000
aws_secret_access_key = x
[profile ops]
region = eu-west-1
role_arn = arn:aws:iam::123456789012:role/ops
source_profile = stage
mfa_serial = arn:aws:iam::123456789012:mfa/jo
";

struct Desk {
    home: Home,
    endpoint: Endpoint,
    _runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let endpoint = Endpoint::start(&runtime);
        let home = Home::new();
        home.write("config", CONFIG);
        Self { home, endpoint, _runtime: runtime }
    }

    /// Command with the keys of a third account in the environment.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command
            .env("AWS_CONFIG_FILE", self.home.path("config"))
            .env("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT00000")
            .env("AWS_SECRET_ACCESS_KEY", "x")
            .env("AWS_ENDPOINT_URL", &self.endpoint.url);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the program starts"))
    }

    /// Access keys of the signatures, in order, without repetitions.
    fn signers(&self) -> Vec<String> {
        let key = |request: &Value| request["key"].as_str().map(str::to_owned);
        let mut keys: Vec<_> = self.endpoint.requests().iter().filter_map(key).collect();
        keys.dedup();
        keys
    }
}

#[test]
fn a_profile_of_iamlua_toml_beats_keys_in_the_environment() {
    let desk = Desk::new();
    let toml = desk.home.write("iamlua.toml", "profile = 'stage'");
    let toml = toml.to_str().expect("UTF-8");
    let ran = desk.run(&["whoami", "--config", toml, "--output", "json"]).ends(0, "");
    let said: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(said["profile_origin"], json!(format!("profile in {toml}")));
    assert_eq!(said["region"], "eu-west-1");
    let origin = said["region_origin"].as_str().expect("text");
    assert!(origin.ends_with("/config:2"), "{origin}");
    assert!(said["credentials"].as_str().expect("text").ends_with("/config:3"), "{said}");
    assert_eq!(desk.signers(), ["AKIASTAGE00000000000"]);

    let toml = desk.home.write("iamlua.toml", "profile = 'stagee'");
    let toml = toml.to_str().expect("UTF-8");
    let ran = desk.run(&["--config", toml, "-e", "print(1)"]).ends(2, "there is no profile");
    for text in ["did you mean \"stage\"?", "ops, other, stage", &format!("`profile` in {toml}")] {
        assert!(ran.err.contains(text), "{text} is not in {}", ran.err);
    }
    assert_eq!(ran.out, "", "the script did not begin");
}

#[test]
fn a_script_connects_by_profile_and_a_missing_one_makes_no_call() {
    let desk = Desk::new();
    let script = "print(iam.connect { profile = 'other' }.account().id)";
    desk.run(&["--aws", "-e", script]).ends(0, "");
    assert_eq!(desk.signers(), ["AKIAOTHER00000000000"]);
    let calls = desk.endpoint.requests().len();
    let script = "local _, e = try(iam.connect, { profile = 'othr' }) print(e.kind, e.message) \
                  iam.connect { profile = 'othr' }";
    let ran = desk.run(&["--aws", "-e", script]).ends(2, "there is no profile \"othr\"");
    assert!(ran.out.starts_with("configuration\tthere is no profile \"othr\""), "{}", ran.out);
    assert_eq!(desk.endpoint.requests().len(), calls);
}

#[test]
fn two_connections_to_one_role_ask_for_one_code() {
    let desk = Desk::new();
    let script = "for i = 1, 2 do print('done', iam.connect { profile = 'ops' }.account().id) end";
    let mut command = desk.command(&["--aws", "-e", script]);
    let mut terminal = Terminal::start(&mut command, 24, 120);
    terminal.wait("MFA code for", |screen| screen.contains("MFA code for"));
    while terminal.echoes() {
        std::thread::yield_now();
    }
    terminal.keys("123456\r");
    let screen = terminal.wait("both answers", |screen| screen.matches("done").count() == 2);
    assert!(!screen.contains("123456\n") && screen.matches("MFA code").count() == 1, "{screen}");
    let roles: Vec<_> = desk
        .endpoint
        .requests()
        .into_iter()
        .filter(|request| request["call"] == "sts:AssumeRole")
        .collect();
    assert_eq!(roles.len(), 1, "{roles:?}");
    assert_eq!(roles[0]["parameters"]["TokenCode"], "123456");
}

#[test]
fn the_terminal_gets_its_echo_back_when_nobody_answers() {
    let desk = Desk::new();
    let mut command = desk.command(&["whoami", "--profile", "ops"]);
    let mut terminal = Terminal::start(&mut command, 24, 120);
    terminal.wait("MFA code for", |screen| screen.contains("MFA code for"));
    while terminal.echoes() {
        std::thread::yield_now();
    }
    terminal.keys("12\x03");
    while terminal.ended().is_none() {
        std::thread::yield_now();
    }
    assert!(terminal.echoes());
    assert!(desk.endpoint.requests().iter().all(|request| request["call"] != "sts:AssumeRole"));
}

#[test]
fn whoami_says_what_is_known_where_credentials_fail_and_asks_nobody_on_the_local_account() {
    let desk = Desk::new();
    desk.home.write("config", "[profile gone]\nregion = eu-west-1\ncredential_process = false\n");
    let ran = desk.run(&["whoami", "--profile", "gone"]).ends(1, "credential_process");
    for text in ["account       unknown", "credential_process", "eu-west-1", "/config:2"] {
        assert!(ran.out.contains(text), "{text} is not in {}", ran.out);
    }
    let local = desk.home.run(&["whoami"]).ends(0, "this is the local account");
    assert!(local.out.contains("credentials  the local account"), "{}", local.out);
}
