//! Database file: concurrent users, a killed process, and unusable files.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;

use iamlua::emulator::{Contents, Emulator, EmulatorSettings, Faults, Quota};
use iamlua::error::Kind;
use tempfile::TempDir;

use super::{Client, TRUST, TRUST_ACCOUNT};

const PROFILE: &str = "InstanceProfileName";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(path: &Path) -> Emulator {
    Emulator::open(path, EmulatorSettings::default()).expect("the account can be opened")
}

#[test]
fn it_is_new_once_and_for_its_owner_only() {
    let folder = folder();
    let path = folder.path().join("state/iamlua/local.db");
    let first = Client::of(open(&path));
    assert!(first.emulator.is_new());
    first.create_profile("mine", "/");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
    first.get("GetInstanceProfile", &[(PROFILE, "mine")]);
    drop(first);
    let left: Vec<_> = fs::read_dir(path.parent().expect("a folder"))
        .expect("it can be read")
        .map(|entry| entry.expect("it can be read").file_name())
        .collect();
    assert_eq!(left, ["local.db"], "a clean end leaves one file");
    let second = Client::of(open(&path));
    assert!(!second.emulator.is_new());
    second.get("GetInstanceProfile", &[(PROFILE, "mine")]);
}

#[test]
fn many_first_users_make_one_account() {
    let folder = folder();
    let path = folder.path().join("local.db");
    let start = Barrier::new(8);
    let new = thread::scope(|scope| {
        let users: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    open(&path).is_new()
                })
            })
            .collect();
        users.into_iter().map(|user| user.join().expect("no panic")).filter(|new| *new).count()
    });
    assert_eq!(new, 1);
}

/// Each user has its own connection, as a process would. They tag one profile, which would lose
/// tags if two of them could read before either writes.
#[test]
fn users_at_once_lose_nothing() {
    let folder = folder();
    let path = folder.path().join("local.db");
    let first = Client::of(open(&path));
    first.emulator.reset(Contents::Empty).expect("the file can be written");
    first.create_profile("shared", "/");
    let (path, start) = (&path, &Barrier::new(4));
    thread::scope(|scope| {
        for user in 0..4 {
            scope.spawn(move || {
                let client = Client::of(open(path));
                start.wait();
                for number in 0..100 {
                    client.create_profile(&format!("p{user}-{number}"), "/");
                    if number % 10 == 0 {
                        let key = format!("k{user}-{number}");
                        let tag = [("Tags.member.1.Key", &*key), ("Tags.member.1.Value", "v")];
                        client.get("TagInstanceProfile", &[(PROFILE, "shared"), tag[0], tag[1]]);
                    }
                }
            });
        }
    });
    let all = first.get("ListInstanceProfiles", &[("MaxItems", "1000")]);
    assert_eq!(all.members("InstanceProfiles").len(), 401);
    assert_eq!(first.get("ListInstanceProfileTags", &[(PROFILE, "shared")]).tags().len(), 40);
    first.emulator.set_quota(Quota::Profiles, 401).expect("the file can be written");
    assert_eq!(first.refused("CreateInstanceProfile", &[(PROFILE, "one-more")]).1, "LimitExceeded");
}

#[test]
fn a_lag_holds_for_what_another_user_wrote() {
    let folder = folder();
    let path = folder.path().join("local.db");
    let faults: Faults = "lag=1h".parse().expect("the faults are well written");
    let lagging = |path| {
        let options = EmulatorSettings { faults: faults.clone(), ..EmulatorSettings::default() };
        Client::of(Emulator::open(path, options).expect("the account can be opened"))
    };
    let (writer, reader, exact) = (lagging(&path), lagging(&path), Client::of(open(&path)));
    writer.create_profile("late", "/");
    assert_eq!(reader.refused("GetInstanceProfile", &[(PROFILE, "late")]).0, 404);
    exact.get("GetInstanceProfile", &[(PROFILE, "late")]);
}

const KILLED_PATH: &str = "IAMLUA_TEST_KILLED_PATH";

/// The other process of `nothing_answered_is_lost_by_kill`. On its own it does nothing.
#[test]
fn write_until_killed() {
    let Some(path) = std::env::var_os(KILLED_PATH) else { return };
    let client = Client::of(open(Path::new(&path)));
    client.emulator.set_quota(Quota::Profiles, 1_000_000).expect("the file can be written");
    let mut out = std::io::stdout();
    for number in 0..1_000_000 {
        client.create_profile(&format!("p{number}"), "/");
        writeln!(out, "\nmade p{number}").and_then(|()| out.flush()).expect("somebody listens");
    }
}

#[test]
fn nothing_answered_is_lost_by_kill() {
    let folder = folder();
    let path = folder.path().join("local.db");
    let (_, module) = module_path!().split_once("::").expect("this is not the crate's root");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--nocapture", &format!("{module}::write_until_killed")])
        .env(KILLED_PATH, &path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run again");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut made = Vec::new();
    for line in out.lines().map_while(Result::ok) {
        made.extend(line.strip_prefix("made ").map(str::to_owned));
        if made.len() == 200 {
            child.kill().expect("it runs");
        }
    }
    child.wait().expect("it was killed");
    assert!(made.len() >= 200, "only {} were made", made.len());
    let client = Client::of(open(&path));
    for name in &made {
        client.get("GetInstanceProfile", &[(PROFILE, name)]);
    }
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let refused = |path: &Path| {
        let error =
            Emulator::open(path, EmulatorSettings::default()).expect_err("it cannot be used");
        assert!(error.message.contains(&path.display().to_string()), "{error}");
        assert!(!error.hints.is_empty(), "{error} says nothing about what to do");
        (error.kind, error.message)
    };

    fs::write(at("text"), "this is no database, but long enough to be looked at as one".repeat(20))
        .expect("room");
    let (kind, message) = refused(&at("text"));
    assert_eq!(kind, Kind::State);
    assert!(message.contains("is not a local account"), "{message}");

    drop(open(&at("torn")));
    let whole = fs::read(at("torn")).expect("it is there");
    fs::write(at("torn"), &whole[..6000]).expect("room");
    let (kind, message) = refused(&at("torn"));
    assert_eq!(kind, Kind::State);
    assert!(message.contains("is damaged"), "{message}");

    let database = rusqlite::Connection::open(at("other")).expect("room");
    database.execute_batch("CREATE TABLE t (x); PRAGMA user_version = 1").expect("room");
    let (_, message) = refused(&at("other"));
    assert!(message.contains("another program"), "{message}");

    drop(open(&at("newer")));
    let database = rusqlite::Connection::open(at("newer")).expect("it is there");
    database.execute_batch("PRAGMA user_version = 99").expect("it can be written");
    let (_, message) = refused(&at("newer"));
    assert!(message.contains("newer iamlua") && message.contains("99"), "{message}");

    fs::create_dir(at("folder")).expect("room");
    let (_, message) = refused(&at("folder"));
    assert!(message.contains("is not a file"), "{message}");

    let path = at("text").join("local.db");
    let error =
        Emulator::open(&path, EmulatorSettings::default()).expect_err("a file is no folder");
    assert_eq!(error.kind, Kind::Io);
    assert!(error.message.contains(&at("text").display().to_string()), "{error}");

    fs::write(at("empty"), "").expect("room");
    fs::set_permissions(at("empty"), Permissions::from_mode(0o400)).expect("it is ours");
    let (_, message) = refused(&at("empty"));
    assert!(message.contains("read-only"), "{message}");
}

#[test]
fn a_read_only_file_is_read_and_refuses_changes() {
    let folder = folder();
    let path = folder.path().join("local.db");
    Client::of(open(&path)).create_profile("kept", "/");
    fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("it is ours");
    let client = Client::of(open(&path));
    client.get("GetInstanceProfile", &[(PROFILE, "kept")]);
    assert!(client.get("ListInstanceProfiles", &[]).members("InstanceProfiles").len() > 20);
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)];
    let (status, code, message) = client.refused("CreateRole", &role);
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert!(message.contains("read-only") && message.contains("local.db"), "{message}");
    let error = client.emulator.reset(Contents::Empty).expect_err("it cannot be written");
    assert_eq!(error.kind, Kind::State);
    assert!(error.message.contains("read-only") && !error.hints.is_empty(), "{error}");
}

/// Makes a file of version 1: without the tables of later versions. Returns the access key of a
/// session in it.
fn make_version_1(path: &Path) -> String {
    let access_key = make_version_2(path);
    let database = rusqlite::Connection::open(path).expect("it is there");
    database
        .execute_batch("DROP TABLE region; DROP TABLE resource; PRAGMA user_version = 1")
        .expect("it can be written");
    access_key
}

/// Makes a file of version 2: without the additions of later versions, and only with the ARNs of
/// policies. Returns the access key of a session in it.
fn make_version_2(path: &Path) -> String {
    let client = Client::of(open(path));
    client.create_profile("kept", "/");
    client.create_trusting_role("r", TRUST_ACCOUNT);
    let role = [("RoleArn", "arn:aws:iam::123456789012:role/r"), ("RoleSessionName", "session")];
    let access_key = client.get("AssumeRole", &role).text("Credentials/AccessKeyId");
    let role = ("RoleName", "batch-gpu");
    let policy = ("PolicyName", "send-reports");
    client.get("DeleteRolePolicy", &[role, policy]);
    drop(client);
    let database = rusqlite::Connection::open(path).expect("it is there");
    database
        .execute_batch(
            "DROP TABLE managed_policy; DROP TABLE attachment;
             DROP TABLE session_context; DROP TABLE setting;
             ALTER TABLE role DROP COLUMN inline_policies;
             INSERT INTO policy VALUES ('arn:aws:iam::123456789012:policy/data/reports-bucket'),
                 ('arn:aws:iam::123456789012:policy/unused'),
                 ('arn:aws:iam::aws:policy/MadeAfterThisProgram');
             PRAGMA user_version = 2",
        )
        .expect("it can be written");
    access_key
}

/// Checks the policies of a file of version 2.
fn check_policies_of_version_2(client: &Client) {
    let own = client.get("ListPolicies", &[("Scope", "Local")]);
    assert_eq!(own.texts("Policies", "PolicyName"), ["unused", "reports-bucket"]);
    let count =
        |arn: &str| client.get("GetPolicy", &[("PolicyArn", arn)]).text("Policy/AttachmentCount");
    let attached = "arn:aws:iam::123456789012:policy/data/reports-bucket";
    assert_eq!(count(attached), "1");
    assert_eq!(count("arn:aws:iam::123456789012:policy/unused"), "0");
    assert_eq!(count("arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"), "7");
    assert_eq!(count("arn:aws:iam::aws:policy/MadeAfterThisProgram"), "0");
    // Its document is unknown.
    let version = [("PolicyArn", attached), ("VersionId", "v1")];
    assert_eq!(client.refused("GetPolicyVersion", &version).1, "NotImplemented");
    let users = client.get("ListEntitiesForPolicy", &[("PolicyArn", attached)]);
    assert_eq!(users.texts("PolicyRoles", "RoleName"), ["batch-gpu"]);
    let inline = client.get("ListRolePolicies", &[("RoleName", "batch-gpu")]);
    assert!(inline.members("PolicyNames").is_empty());
}

#[test]
fn a_file_of_version_2_gets_policies_when_it_is_opened_for_writing() {
    let folder = folder();
    let path = folder.path().join("local.db");
    make_version_2(&path);
    let client = Client::of(open(&path));
    check_policies_of_version_2(&client);
    let arn = ("PolicyArn", "arn:aws:iam::123456789012:policy/unused");
    client.get("AttachRolePolicy", &[("RoleName", "batch-gpu"), arn]);
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    let document = ("PolicyDocument", document);
    let policy = ("PolicyName", "p");
    client.get("PutRolePolicy", &[("RoleName", "batch-gpu"), policy, document]);
    client.get("CreatePolicyVersion", &[arn, document]);
    client.get("GetPolicyVersion", &[arn, ("VersionId", "v2")]);
}

#[test]
fn a_file_of_version_2_that_cannot_be_written_has_policies_too() {
    let folder = folder();
    let path = folder.path().join("local.db");
    make_version_2(&path);
    fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("it is ours");
    let client = Client::of(open(&path));
    client.get("GetInstanceProfile", &[(PROFILE, "kept")]);
    check_policies_of_version_2(&client);
    let mut out = Vec::new();
    client.emulator.export(&mut out).expect("it can be read");
    let out: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(out["policies"][2], "arn:aws:iam::aws:policy/MadeAfterThisProgram");
    assert_eq!(out["policies"][0]["name"], "unused");
}

#[test]
fn a_file_of_version_1_gets_what_it_lacks_when_it_is_opened_for_writing() {
    let folder = folder();
    let path = folder.path().join("local.db");
    let access_key = make_version_1(&path);
    let client = Client::of(open(&path));
    assert!(!client.emulator.is_new());
    client.get("GetInstanceProfile", &[(PROFILE, "kept")]);
    let instance = serde_json::json!({"kind": "ec2.instance", "region": "us-east-1", "id": "i-1"});
    let added = serde_json::json!({
        "format": "iamlua-account", "version": 1, "resources": [instance],
    });
    client.emulator.absorb(&added).expect("there is room for it now");
    // Existing sessions continue, and new ones can be created.
    let role = [("RoleArn", "arn:aws:iam::123456789012:role/r"), ("RoleSessionName", "session")];
    client.with_access_key(&access_key).get("AssumeRole", &role);
    drop(client);
    let mut out = Vec::new();
    open(&path).export(&mut out).expect("it can be read");
    assert!(String::from_utf8_lossy(&out).contains("\"i-1\""), "it is kept");
    let database = rusqlite::Connection::open(&path).expect("it is there");
    let version: i64 =
        database.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
    assert_eq!(version, 4);
}

#[test]
fn a_file_of_version_1_that_cannot_be_written_has_no_resources() {
    let folder = folder();
    let path = folder.path().join("local.db");
    let access_key = make_version_1(&path);
    fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("it is ours");
    let client = Client::of(open(&path));
    client.get("GetInstanceProfile", &[(PROFILE, "kept")]);
    let session = client.with_access_key(&access_key);
    assert!(session.get("GetCallerIdentity", &[]).text("Arn").ends_with("/r/session"));
    let mut out = Vec::new();
    client.emulator.export(&mut out).expect("it can be read");
    let out = String::from_utf8_lossy(&out);
    assert!(out.contains("\"kept\"") && !out.contains("resources"), "{out}");
}

#[test]
fn damage_that_shows_later_is_a_failure_of_the_service() {
    let folder = folder();
    let path = folder.path().join("local.db");
    drop(open(&path));
    let mut bytes = fs::read(&path).expect("it is there");
    // Overwrites all but the pages of the schema and the row of the account.
    bytes[4096 * 3..].fill(0xa5);
    fs::write(&path, bytes).expect("room");
    let client = Client::of(open(&path));
    let (status, code, message) = client.refused("ListInstanceProfiles", &[]);
    assert_eq!((status, code.as_str()), (500, "ServiceFailure"));
    assert!(message.contains("is damaged") && message.contains("local.db"), "{message}");
}
