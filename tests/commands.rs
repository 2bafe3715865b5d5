//! The commands of an operator who must answer for what was changed: plan, apply, runs, undo, limits, `iamlua.toml`, policy. Each
//! test has a desk of its own, with a small account on it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::end_to_end::{Home, Ran};

/// Two roles, `web` and `db`, and four profiles: `alpha` and `beta` under `/ec2/`, `gamma` with the role `web`, `delta` without tags.
const ACCOUNT: &str = r#"{"format": "iamlua-account", "version": 1, "account": {"id": "123456789012"},
    "roles": [
        {"name": "web", "assume_role_policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}},
        {"name": "db", "assume_role_policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}}],
    "profiles": [
        {"name": "alpha", "path": "/ec2/", "tags": {"Owner": "dev"}},
        {"name": "beta", "path": "/ec2/", "tags": {"Owner": "dev"}},
        {"name": "gamma", "path": "/", "role": "web", "tags": {"Owner": "dev"}},
        {"name": "delta", "path": "/", "tags": {}}]}"#;

/// One change of each kind that a profile can have, in order.
const WORK: &str = r#"
    iam.profiles.tag("alpha", { Owner = "ops" })
    iam.profiles.untag("beta", { "Owner" })
    iam.profiles.remove_role("gamma", "web")
    iam.profiles.add_role("delta", "db")
    iam.profiles.create { name = "epsilon", path = "/new/", tags = { Team = "core" } }
    iam.profiles.delete("beta")
"#;

/// A folder of one's own, which is home, configuration folder and current folder at once, with [`ACCOUNT`] in it.
struct Desk(Home);

impl Desk {
    fn new() -> Self {
        let desk = Self(Home::new());
        desk.write("account.json", ACCOUNT);
        desk.run(&["account", "import", "account.json"]).ends(0, "4 profiles");
        desk
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.0.write(name, content);
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path(name)).expect("a file")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(args);
        command
            .current_dir(self.0.path("."))
            .env("HOME", self.0.path("home"))
            .env("XDG_CONFIG_HOME", self.0.path("config"))
            .env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
            .env("AWS_SECRET_ACCESS_KEY", "the-secret-access-key");
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the program starts"))
    }

    /// What somebody does to the local account, whatever `iamlua.toml` says.
    #[track_caller]
    fn does(&self, code: &str) -> Ran {
        self.run(&["--config", "/dev/null", "--override-protection", "-e", code]).ends(0, "")
    }

    /// What is in the local account, without what is another each time it is made.
    fn account(&self) -> Value {
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

    fn profile(&self, name: &str) -> Value {
        let account = self.account();
        let profiles = account["profiles"].as_array().expect("a list");
        profiles.iter().find(|profile| profile["name"] == name).cloned().unwrap_or_default()
    }

    /// The runs, the latest first.
    fn runs(&self) -> Vec<Value> {
        let listed = self.run(&["runs", "--output", "json", "-n", "1000"]).ends(0, "");
        serde_json::from_str(&listed.out).expect("JSON")
    }

    /// The latest run with its changes.
    fn last(&self) -> Value {
        let shown = self.run(&["runs", "show", "last", "--output", "json"]).ends(0, "");
        serde_json::from_str(&shown.out).expect("JSON")
    }

    fn last_id(&self) -> String {
        self.runs()[0]["id"].as_str().expect("an id").to_owned()
    }

    /// Makes the journal, so that no test but the one about that meets it half made.
    fn has_a_journal(&self) {
        self.run(&["-e", "iam.profiles.create('alpha')"]).ends(1, "EntityAlreadyExists");
    }

    /// Keeps the plan of that code in `plan.json`.
    #[track_caller]
    fn plans(&self, code: &str) {
        self.write("work.lua", code);
        self.run(&["plan", "work.lua", "-o", "plan.json"]).ends(0, "kept in plan.json");
    }

    fn serve(&self) -> Endpoint {
        let mut serve = self.command(&["account", "serve", "--port", "0"]);
        let mut serve = serve.stderr(Stdio::null()).spawn().expect("the endpoint starts");
        let mut url = String::new();
        BufReader::new(serve.stdout.take().expect("a pipe")).read_line(&mut url).expect("a URL");
        Endpoint { serve, url: url.trim().to_owned() }
    }

    /// The bytes of the journal, with what is not yet in its main file.
    fn journal(&self) -> String {
        ["journal.db", "journal.db-wal"]
            .map(|name| std::fs::read(self.0.path("state").join(name)).unwrap_or_default())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }
}

/// The local account behind a URL, which makes it AWS for a client.
struct Endpoint {
    serve: Child,
    url: String,
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

// ------------------------------------------------------------------------------------------------------------------------- plan

#[test]
fn a_plan_is_the_result_and_what_the_script_says_is_not() {
    let desk = Desk::new();
    let before = desk.account();
    desk.write("work.lua", format!("print('the script speaks')\n{WORK}"));
    let planned = desk.run(&["plan", "work.lua"]).ends(0, "the script speaks");
    assert!(!planned.out.contains("the script speaks"), "{planned:?}");
    for line in [
        "Plan for the local account 123456789012",
        "~ tag profile alpha: Owner dev → ops",
        "~ untag profile beta: Owner dev → (none)",
        "~ remove role from profile gamma: role web → (none)",
        "~ add role to profile delta: role (none) → db",
        "+ create profile epsilon: path /new/, tags Team=core, id (known after apply)",
        "- delete profile beta: path /ec2/",
        "Plan: 1 to create, 3 to change, 1 to delete (6 calls to make)",
    ] {
        assert!(planned.out.contains(line), "{line:?} is not in {}", planned.out);
    }
    assert!(!planned.out.contains('\u{1b}'), "no colours where there is no terminal");
    assert_eq!(desk.account(), before);
    assert!(desk.runs().is_empty(), "a plan is no run that changed something");
}

#[test]
fn a_plan_as_json_is_what_the_plan_file_holds() {
    let desk = Desk::new();
    desk.plans(WORK);
    let printed = desk.run(&["plan", "work.lua", "--output", "json"]).ends(0, "");
    let (mut kept, mut printed) = (json_of(&desk.read("plan.json")), json_of(&printed.out));
    assert_eq!((&kept["format"], &kept["version"]), (&json!("iamlua-plan"), &json!(1)));
    assert_eq!(kept["changes"].as_array().map(Vec::len), Some(6));
    assert_ne!(kept["id"], printed["id"]);
    for own in ["id", "created", "checksum"] {
        assert!(kept[own].is_string() && printed[own].is_string(), "{own}");
        kept[own].take();
        printed[own].take();
    }
    assert_eq!(kept, printed);
    let lines = desk.run(&["plan", "work.lua", "--output", "jsonl"]).ends(0, "");
    let lines: Vec<_> = lines.out.lines().map(json_of).collect();
    assert_eq!(kept["changes"], json!(lines));
}

#[test]
fn the_exit_code_of_a_plan_tells_whether_it_has_changes_if_asked() {
    let desk = Desk::new();
    desk.write("work.lua", WORK);
    desk.write("idle.lua", "for profile in iam.profiles.each {} do print(profile.name) end");
    desk.run(&["plan", "work.lua"]).ends(0, "");
    desk.run(&["plan", "work.lua", "--detailed-exitcode"]).ends(3, "");
    let idle = desk.run(&["plan", "idle.lua", "--detailed-exitcode"]).ends(0, "");
    assert!(idle.out.contains("nothing to change"), "{idle:?}");
    desk.run(&["--plan", "--detailed-exitcode", "-e", WORK]).ends(3, "nothing was changed");
    desk.write("fails.lua", format!("{WORK} error('no')"));
    desk.run(&["plan", "fails.lua", "--detailed-exitcode"]).ends(1, "no");
    desk.run(&["plan", "work.lua", "--apply"]).ends(2, "makes no sense");
}

#[test]
fn many_alike_are_one_line_unless_all_are_asked_for() {
    let desk = Desk::new();
    desk.write("many.lua", "for i = 1, 60 do iam.profiles.create('many-' .. i) end");
    let folded = desk.run(&["plan", "many.lua"]).ends(0, "");
    assert!(
        folded.out.contains("+ create 60 profiles: path /  many-1, many-2, many-3 and 57 more")
    );
    let full = desk.run(&["plan", "many.lua", "--full"]).ends(0, "");
    assert_eq!(full.out.matches("+ create profile many-").count(), 60, "{full:?}");
}

#[test]
fn a_plan_reads_its_own_writes() {
    let desk = Desk::new();
    let before = desk.account();
    let code = r#"
        local function code(...) return select(2, try(...)).code end
        local function names(options)
            local found = {}
            for profile in iam.profiles.each(options or {}) do table.insert(found, profile.name) end
            table.sort(found)
            return table.concat(found, " ")
        end
        local made = iam.profiles.create { name = "epsilon", path = "/new/", tags = { Team = "core" } }
        assert(made.id == "(known after apply)", made.id)
        local read = iam.profiles.get("epsilon")
        assert(read.id == "(known after apply)" and read.path == "/new/" and read.tags.Team == "core")
        assert(iam.profiles.wait("epsilon").name == "epsilon")
        assert(code(iam.profiles.create, "EPSILON") == "EntityAlreadyExists")
        assert(names() == "alpha beta delta epsilon gamma", names())
        assert(names { path_prefix = "/new/" } == "epsilon")

        iam.profiles.tag("alpha", { Owner = "ops", Extra = "1" })
        iam.profiles.untag("alpha", { "Extra" })
        assert(iam.profiles.get("alpha").tags.Owner == "ops" and iam.profiles.tags("alpha").Extra == nil)

        assert(code(iam.profiles.add_role, "gamma", "db") == "LimitExceeded")
        assert(code(iam.profiles.add_role, "delta", "nobody") == "NoSuchEntity")
        assert(code(iam.profiles.delete, "gamma") == "DeleteConflict")
        assert(code(iam.profiles.remove_role, "delta", "web") == "NoSuchEntity")
        iam.profiles.add_role("delta", "web")
        local with_web = {}
        for profile in iam.profiles.each_for_role("web") do table.insert(with_web, profile.name) end
        table.sort(with_web)
        assert(table.concat(with_web, " ") == "delta gamma", table.concat(with_web, " "))
        assert(code(iam.roles.delete, "web") == "DeleteConflict")

        iam.profiles.delete("beta")
        assert(iam.profiles.find("beta") == nil and code(iam.profiles.tag, "beta", { A = "1" }) == "NoSuchEntity")
        iam.profiles.delete("gamma", { detach = true })
        assert(names() == "alpha delta epsilon", names())
        assert(iam.account().profiles == 3, iam.account().profiles)
        print("all as on AWS")
    "#;
    desk.write("reads.lua", code);
    desk.run(&["plan", "reads.lua"]).ends(0, "all as on AWS");
    let at_once =
        desk.run(&["--plan", "-e", code]).ends(0, "nothing was changed: with --apply it is");
    assert_eq!(
        at_once.out, "all as on AWS\n",
        "a run's output is the script's, also when it plans"
    );
    let endpoint = desk.serve();
    let afar =
        desk.run(&["run", "reads.lua", "--endpoint-url", &endpoint.url]).ends(0, "Plan for AWS");
    assert_eq!(afar.out, "all as on AWS\n");
    assert_eq!(desk.account(), before);
}

#[test]
fn on_aws_a_run_is_a_plan_unless_told_to_apply() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let before = desk.account();
    desk.write("work.lua", format!("print('the script speaks')\n{WORK}"));
    let on_aws = ["run", "work.lua", "--endpoint-url", &endpoint.url];
    let planned =
        desk.run(&on_aws).ends(0, "Plan for AWS account 123456789012 at http://127.0.0.1");
    assert_eq!(planned.out, "the script speaks\n");
    assert!(planned.err.contains("~ tag profile alpha: Owner dev → ops"), "{planned:?}");
    assert!(planned.err.contains("--apply"), "{planned:?}");
    assert_eq!(desk.account(), before);
    let applied =
        desk.run(&[&on_aws[..], &["--apply"]].concat()).ends(0, "6 changes; `iamlua undo");
    assert_eq!(applied.out, "the script speaks\n");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops");
    assert_eq!(desk.profile("beta"), Value::Null);
}

#[test]
fn a_plan_knows_that_a_role_with_policies_cannot_be_deleted() {
    let desk = Desk::new();
    desk.does("iam.roles.attach_policy('db', 'arn:aws:iam::aws:policy/ReadOnlyAccess')");
    let code = "print((select(2, try(iam.roles.delete, 'db')) or {}).code)";
    for mode in ["--plan", "--apply"] {
        assert_eq!(desk.run(&[mode, "-e", code]).ends(0, "").out, "DeleteConflict\n", "{mode}");
    }
}

#[test]
fn a_plan_is_refused_in_the_words_of_aws() {
    let desk = Desk::new();
    desk.run(&["account", "quota", "profiles=5"]).ends(0, "");
    let code =
        "iam.profiles.create('one') print(select(2, try(iam.profiles.create, 'two')).message)";
    let planned = desk.run(&["--plan", "-e", code]).ends(0, "").out;
    assert_eq!(planned, desk.run(&["--apply", "-e", code]).ends(0, "").out);
}

#[test]
fn the_lines_of_a_plan_stand_in_the_order_of_its_calls() {
    let desk = Desk::new();
    let code = "iam.profiles.create('one') iam.profiles.delete('one') iam.profiles.create('one')";
    desk.write("again.lua", code);
    let planned = desk.run(&["plan", "again.lua"]).ends(0, "");
    let signs: String =
        planned.out.lines().filter_map(|line| line.strip_prefix("  ")?.chars().next()).collect();
    assert_eq!(signs, "+-+", "{planned:?}");
}

#[test]
fn half_a_plan_is_not_printed_like_a_whole_one() {
    let desk = Desk::new();
    desk.write("fails.lua", "error('before anything')");
    let planned = desk.run(&["plan", "fails.lua"]).ends(1, "before anything");
    assert!(!planned.out.contains("nothing to change"), "{planned:?}");
}

// ------------------------------------------------------------------------------------------------------------------------ apply

#[test]
fn apply_does_what_was_planned_and_nothing_twice() {
    let desk = Desk::new();
    // What a script does depends on what it finds; what a plan does, does not.
    desk.plans("for profile in iam.profiles.each { path_prefix = '/ec2/' } do iam.profiles.tag(profile.name, { Owner = 'ops' }) end");
    desk.does("iam.profiles.create { name = 'late', path = '/ec2/' }");
    desk.write("work.lua", "error('the script is not run again')");
    let applied = desk.run(&["apply", "plan.json"]).ends(0, "2 done");
    assert!(applied.err.contains("2 changes to the local account 123456789012"), "{applied:?}");
    for (name, owner) in [("alpha", json!("ops")), ("beta", json!("ops")), ("late", Value::Null)] {
        assert_eq!(desk.profile(name)["tags"]["Owner"], owner, "{name}");
    }
    let runs = desk.runs().len();
    desk.run(&["apply", "plan.json"]).ends(0, "2 done before");
    assert_eq!(desk.runs().len(), runs, "nothing was changed, so there is nothing to record");
}

#[test]
fn apply_gives_the_state_that_the_script_gives() {
    let (planned, direct) = (Desk::new(), Desk::new());
    planned.plans(WORK);
    planned.run(&["apply", "plan.json"]).ends(0, "6 done");
    direct.does(WORK);
    assert_eq!(planned.account(), direct.account());
}

#[test]
fn apply_stops_at_what_is_not_as_it_was() {
    let cases = [
        ("iam.profiles.tag('beta', { Owner = 'other' })", "tag Owner is other and should be dev"),
        ("iam.profiles.untag('beta', { 'Owner' })", "tag Owner is none and should be dev"),
        ("iam.profiles.add_role('beta', 'db')", "role is db and should be none"),
        ("iam.profiles.delete('beta')", "it is not there"),
        (
            "iam.profiles.delete('beta') iam.profiles.create { name = 'beta', path = '/ec2/', tags = { Owner = 'dev' } }",
            "id is ",
        ),
        (
            "iam.profiles.delete('beta') iam.profiles.create { name = 'beta', tags = { Owner = 'dev' } }",
            "path is / and should be /ec2/",
        ),
    ];
    for (meanwhile, difference) in cases {
        let desk = Desk::new();
        desk.plans(
            "for _, name in ipairs { 'alpha', 'beta', 'gamma' } do iam.profiles.tag(name, { Owner = 'ops' }) end
             iam.profiles.create('epsilon')",
        );
        desk.does(meanwhile);
        let (moved, runs) = (desk.profile("beta"), desk.runs().len());
        let refused = desk.run(&["apply", "plan.json"]).ends(4, difference);
        assert!(refused.err.contains("profile beta") && refused.err.contains("--skip-drifted"));
        assert!(refused.err.contains("1 done, 3 not begun"), "{meanwhile}: {refused:?}");
        assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops", "{meanwhile}");
        assert_eq!(desk.profile("beta"), moved, "{meanwhile}");
        assert_eq!(desk.profile("gamma")["tags"]["Owner"], "dev", "{meanwhile}");
        assert_eq!(desk.profile("epsilon"), Value::Null, "{meanwhile}");
        assert_eq!((desk.runs().len(), &desk.runs()[0]["status"]), (runs + 1, &json!("refused")));

        let rest = desk.run(&["apply", "plan.json", "--skip-drifted"]).ends(4, difference);
        assert!(rest.err.contains("2 done, 1 done before, 1 left out"), "{meanwhile}: {rest:?}");
        assert_eq!(desk.profile("beta"), moved, "{meanwhile}");
        assert_eq!(desk.profile("gamma")["tags"]["Owner"], "ops", "{meanwhile}");
        assert_eq!(desk.profile("epsilon")["name"], "epsilon", "{meanwhile}");
    }
}

#[test]
fn apply_does_not_make_what_somebody_else_has_made() {
    let desk = Desk::new();
    desk.plans("iam.profiles.create('epsilon') iam.profiles.tag('epsilon', { Owner = 'ops' })");
    desk.does("iam.profiles.create('epsilon')");
    desk.run(&["apply", "plan.json"]).ends(4, "it is there and should not be");
    let rest = desk.run(&["apply", "plan.json", "--skip-drifted"]).ends(4, "0 done, 2 left out");
    assert!(rest.err.contains("an earlier change of it was left out"), "{rest:?}");
    assert_eq!(desk.profile("epsilon")["tags"], json!({}));
}

#[test]
fn a_file_that_is_not_a_whole_plan_is_refused() {
    let desk = Desk::new();
    desk.plans(WORK);
    let whole = desk.read("plan.json");
    let before = desk.account();
    let cases = [
        (whole.replace("\"ops\"", "\"evil\""), "was changed after it was made"),
        (whole.replace("\"alpha\"", "\"delta\""), "was changed after it was made"),
        (whole[..whole.len() / 2].to_owned(), "is cut short"),
        (String::new(), "is cut short"),
        (whole.replace("\"version\": 1", "\"version\": 2"), "was made by a newer iamlua"),
        ("once upon a time".to_owned(), "is not a plan"),
        ("[1, 2]".to_owned(), "is not a plan"),
        (ACCOUNT.to_owned(), "is not a plan"),
        (format!("{whole}{{}}"), "is not a plan"),
    ];
    for (content, why) in cases {
        desk.write("broken.json", &content);
        let refused = desk.run(&["apply", "broken.json"]).ends(4, why);
        assert!(
            refused.err.contains("broken.json") && refused.err.contains("hint:"),
            "{refused:?}"
        );
    }
    desk.run(&["apply", "work.lua"]).ends(4, "is not a plan");
    desk.run(&["apply", "no-such-plan.json"]).ends(2, "no-such-plan.json");
    assert_eq!(desk.account(), before);
    assert!(desk.runs().is_empty());
}

#[test]
fn a_plan_is_for_the_account_that_it_was_made_for() {
    let desk = Desk::new();
    desk.plans(WORK);
    let endpoint = desk.serve();
    let elsewhere = ["apply", "plan.json", "--endpoint-url", &endpoint.url];
    let refused = desk.run(&elsewhere).ends(4, "was made for the local account 123456789012");
    assert!(refused.err.contains("this is AWS account 123456789012"), "{refused:?}");
    desk.run(&["plan", "work.lua", "--endpoint-url", &endpoint.url, "-o", "aws.json"]).ends(0, "");
    desk.run(&["apply", "aws.json", "--local"]).ends(4, "this is the local account");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
    drop(endpoint);

    desk.write("other.json", ACCOUNT.replace("123456789012", "999999999999"));
    desk.run(&["account", "import", "other.json"]).ends(0, "account 999999999999");
    let before = desk.account();
    let refused = desk.run(&["apply", "plan.json"]).ends(4, "the local account 999999999999");
    assert!(refused.err.contains("made for the local account 123456789012"));
    assert_eq!(desk.account(), before);
    assert!(desk.runs().is_empty());
}

#[test]
fn a_plan_for_an_endpoint_finds_its_way_back_there() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    desk.write("work.lua", WORK);
    desk.run(&["plan", "work.lua", "--endpoint-url", &endpoint.url, "-o", "plan.json"]).ends(0, "");
    desk.run(&["apply", "plan.json"]).ends(0, "6 changes to AWS account 123456789012 at http://");
    desk.run(&["apply", "plan.json"]).ends(0, "6 done before");
    assert_eq!(desk.last()["sites"][0]["endpoint_url"], json!(endpoint.url));
    desk.run(&["undo", "last", "--apply"]).ends(0, "6 done");
    let fresh = Desk::new();
    assert_eq!(desk.account(), fresh.account());
    drop(endpoint);
    desk.run(&["undo", "last"]).ends(1, "no answer");
}

#[test]
fn half_a_plan_is_not_carried_out_unless_that_is_meant() {
    let desk = Desk::new();
    desk.write("half.lua", "iam.profiles.tag('alpha', { Owner = 'ops' }) error('then it broke')");
    let planned = desk.run(&["plan", "half.lua", "--output", "json"]).ends(1, "then it broke");
    desk.write("plan.json", planned.out);
    let refused = desk.run(&["apply", "plan.json"]).ends(4, "then it broke");
    assert!(refused.err.contains("--allow-incomplete"), "{refused:?}");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
    desk.run(&["apply", "plan.json", "--allow-incomplete"]).ends(0, "1 done");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops");
}

#[test]
fn half_a_plan_is_kept_too_or_it_is_said_that_it_is_not() {
    let desk = Desk::new();
    desk.write("plan.json", "an older plan");
    desk.write("half.lua", "iam.profiles.tag('alpha', { Owner = 'ops' }) error('then it broke')");
    let planned = desk.run(&["plan", "half.lua", "-o", "plan.json"]).ends(1, "then it broke");
    assert!(planned.err.contains("plan.json"), "{planned:?}");
}

#[test]
fn half_a_plan_is_not_praised() {
    let desk = Desk::new();
    desk.write("half.lua", "iam.profiles.tag('alpha', { Owner = 'ops' }) os.exit(3)");
    let planned = desk.run(&["plan", "half.lua", "-o", "plan.json"]).ends(3, "kept in plan.json");
    assert!(planned.err.contains("--allow-incomplete"), "{planned:?}");
}

#[test]
fn a_run_that_applies_keeps_no_plan_and_says_so() {
    let desk = Desk::new();
    desk.write("work.lua", WORK);
    let before = desk.account();
    for option in [&["-o", "plan.json"][..], &["--detailed-exitcode"]] {
        desk.run(&[&["run", "work.lua"][..], option].concat()).ends(2, "--plan");
    }
    assert_eq!(desk.account(), before);
}

#[test]
fn a_change_that_fails_ends_the_apply_and_can_be_tried_again() {
    let desk = Desk::new();
    desk.plans("iam.profiles.tag('alpha', { Owner = 'ops' }) iam.profiles.add_role('delta', 'db')");
    desk.does("iam.roles.delete('db')");
    desk.run(&["apply", "plan.json"]).ends(1, "NoSuchEntity: The role").ends(1, "1 done, 1 failed");
    let failed = desk.last();
    assert_eq!((&failed["status"], &failed["counts"]["failed"]), (&json!("failed"), &json!(1)));
    let shown = desk.run(&["runs", "show", "last"]).ends(0, "");
    assert!(shown.out.contains("failed: 1 change") && shown.out.contains("NoSuchEntity"));
    let trust = r#"{ Version = "2012-10-17", Statement = { { Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" } } }"#;
    desk.does(&format!("iam.roles.create {{ name = 'db', assume_role_policy = {trust} }}"));
    desk.run(&["apply", "plan.json"]).ends(0, "1 done, 1 done before");
    assert_eq!(desk.profile("delta")["role"], "db");
}

#[test]
fn one_plan_is_carried_out_by_one_process_at_a_time() {
    let desk = Desk::new();
    desk.has_a_journal();
    desk.plans("for _, name in ipairs { 'alpha', 'beta', 'gamma' } do iam.profiles.tag(name, { Owner = 'ops' }) end");
    let both: Vec<_> = (0..2)
        .map(|_| desk.command(&["apply", "plan.json", "--faults", "latency=100ms"]).spawn())
        .map(|child| child.expect("it starts"))
        .collect();
    for child in both {
        child.wait_with_output().expect("it ends");
    }
    let made: u64 = desk.runs().iter().filter_map(|run| run["counts"]["done"].as_u64()).sum();
    assert_eq!(made, 3, "each change is made once");
}

// ---------------------------------------------------------------------------------------------------------------------- journal

#[test]
fn a_run_can_be_explained_by_someone_who_was_not_there() {
    let desk = Desk::new();
    desk.run(&["runs"]).ends(0, "nothing was changed yet");
    desk.run(&["runs", "show", "last"]).ends(2, "there is no run");
    let script = r#"
        local p = runbook { description = "Tags.", params = { owner = { required = true }, count = { default = 3 } },
            allow = { "profiles.tag", "profiles.get" } }
        iam.profiles.tag("alpha", { Owner = p.owner })
        iam.profiles.get("beta")
        iam.profiles.tag("nobody", { Owner = p.owner })
    "#;
    desk.write("tag.lua", script);
    desk.run(&["run", "tag.lua", "--owner", "ops"]).ends(1, "NoSuchEntity");
    let run = desk.last();
    let sum = Command::new("sha256sum").arg(desk.0.path("tag.lua")).output().expect("sha256sum");
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    assert_eq!(run["command"], "run");
    assert!(run["script"].as_str().is_some_and(|path| path.ends_with("tag.lua")), "{run}");
    assert_eq!(run["script_sha256"], json!(sum));
    assert_eq!(run["parameters"], json!({ "owner": "ops", "count": 3 }));
    assert_eq!(run["status"], "failed");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("NoSuchEntity")), "{run}");
    assert_eq!(run["sites"][0]["account"], "123456789012");
    assert_eq!(run["sites"][0]["caller"], "arn:aws:iam::123456789012:user/local-operator");
    assert!(run["operator"].as_str().is_some_and(|operator| operator.contains('@')), "{run}");
    assert!(run["program"].as_str().is_some_and(|program| program.starts_with("iamlua ")));
    assert_eq!(run["calls"]["TagInstanceProfile"], 2);
    assert_eq!(outcomes(&run), ["done", "failed"]);
    assert_eq!(run["changes"][0]["before"]["tags"]["Owner"], "dev");
    assert_eq!(run["changes"][0]["after"]["tags"]["Owner"], "ops");
    let shown = desk.run(&["runs", "show", "last"]).ends(0, "").out;
    for part in [
        "tag.lua",
        &sum,
        "owner=ops",
        "the local account 123456789012",
        "TagInstanceProfile 2",
        "Owner dev → ops",
        "NoSuchEntity",
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let listed = desk.run(&["runs"]).ends(0, "").out;
    assert!(listed.contains("run tag.lua") && listed.contains("failed"), "{listed}");
    let csv = desk.run(&["runs", "list", "--output", "csv"]).ends(0, "").out;
    assert!(csv.starts_with("RUN,STARTED,"), "{csv}");
    // Neither reads nor plans are runs that changed something.
    desk.run(&["-e", "iam.profiles.get('alpha')"]).ends(0, "");
    desk.run(&["--plan", "-e", WORK]).ends(0, "");
    assert_eq!(desk.runs().len(), 1);
}

#[test]
fn no_secret_is_in_the_journal() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let script = r#"
        local p = runbook { description = "Uses a password.", allow = { "profiles.create", "profiles.delete" },
            params = { password = { type = "string", required = true, secret = true }, user = { default = "bob" } } }
        assert(p.password:find("^hunter"))
        iam.profiles.create("secretive")
        iam.profiles.delete("secretive")
    "#;
    desk.write("secret.lua", script);
    let run = ["run", "secret.lua", "--apply", "--endpoint-url", &endpoint.url];
    for given in [&["--password", "hunter2-secret"][..], &["--password=hunter2-secret"]] {
        let mut command = desk.command(&[&run[..], given].concat());
        command.env("AWS_SESSION_TOKEN", "the-session-token");
        Ran::from(command.output().expect("it starts")).ends(0, "2 changes");
    }
    desk.write("plain.lua", "iam.profiles.tag('alpha', { Seen = '1' })");
    desk.run(&["run", "plain.lua", "--api-token=hunter2-secret", "--password", "hunter2-secret"])
        .ends(0, "");
    let shown = desk.run(&["runs", "show", &desk.last_id(), "--output", "json"]).ends(0, "").out;
    let journal = desk.journal();
    assert!(journal.contains("secret.lua") && journal.contains("bob"), "it is the journal");
    for secret in ["hunter2", "the-secret-access-key", "the-session-token"] {
        assert!(!journal.contains(secret) && !shown.contains(secret), "{secret} is in the journal");
    }
    let plan = ["plan", "secret.lua", "--password", "hunter2-secret", "-o", "plan.json"];
    desk.run(&plan).ends(0, "");
    assert!(!desk.read("plan.json").contains("hunter2"), "nor is it in a plan");
}

#[test]
fn no_secret_is_in_a_recorded_error() {
    let desk = Desk::new();
    let script = r#"
        local p = runbook { description = "Uses a password.", allow = { "profiles.create" },
            params = { password = { type = "string", required = true, secret = true } } }
        iam.profiles.create("secretive")
        error("cannot log in with " .. p.password)
    "#;
    desk.write("secret.lua", script);
    desk.run(&["run", "secret.lua", "--password", "hunter2-secret"]).ends(1, "");
    assert!(!desk.journal().contains("hunter2"));
}

#[test]
fn nothing_is_changed_without_a_journal() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    desk.does("iam.profiles.tag('delta', { Mark = '1' })");
    desk.plans(WORK);
    let journal = desk.0.path("state/journal.db");
    let ours = std::fs::read(&journal).expect("a journal");
    let other_program = {
        let path = desk.0.path("other.db");
        let other = rusqlite::Connection::open(&path).expect("a database");
        other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").expect("SQL");
        drop(other);
        std::fs::read(path).expect("a database")
    };
    let before = desk.account();
    let text =
        "this is a text file that is long enough to be read as the header of a database".repeat(2);
    for (content, mode, why) in [
        (ours.clone(), 0o444, "is read-only"),
        (other_program, 0o600, "of another program"),
        (text.into_bytes(), 0o600, "journal.db"),
    ] {
        for beside in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(desk.0.path(&format!("state/journal.db{beside}")));
        }
        std::fs::write(&journal, &content).expect("a file");
        std::fs::set_permissions(&journal, PermissionsExt::from_mode(mode)).expect("it is ours");
        let create = "iam.profiles.create('unrecorded')";
        for refused in [
            desk.run(&["-e", create]),
            desk.run(&["--endpoint-url", &endpoint.url, "--apply", "-e", create]),
            desk.run(&["apply", "plan.json"]),
        ] {
            assert!(refused.err.contains("hint:"), "{refused:?}");
            refused.ends(1, why);
        }
        assert_eq!(desk.account(), before, "{why}");
        // What only reads does not care.
        assert_eq!(
            desk.run(&["-e", "print(iam.profiles.get('alpha').name)"]).ends(0, "").out,
            "alpha\n"
        );
        desk.run(&["plan", "work.lua"]).ends(0, "");
        std::fs::set_permissions(&journal, PermissionsExt::from_mode(0o600)).expect("it is ours");
    }
}

#[test]
fn a_read_only_journal_can_still_be_read() {
    let desk = Desk::new();
    desk.does(WORK);
    let journal = desk.0.path("state/journal.db");
    std::fs::set_permissions(&journal, PermissionsExt::from_mode(0o444)).expect("it is ours");
    assert_eq!(desk.runs().len(), 1);
    let before = desk.account();
    desk.run(&["undo", "last"]).ends(0, "nothing was changed");
    desk.run(&["undo", "last", "--apply"]).ends(1, "is read-only");
    assert_eq!(desk.account(), before);
}

#[test]
fn without_a_place_for_a_journal_reading_works_and_writing_does_not() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let homeless = |args: &[&str]| {
        let mut command = desk.command(&[&["--endpoint-url", &endpoint.url], args].concat());
        command.env_remove("HOME").env_remove("IAMLUA_HOME").env_remove("XDG_CONFIG_HOME");
        Ran::from(command.output().expect("it starts"))
    };
    let before = desk.account();
    let read = homeless(&["-e", "print(iam.profiles.get('alpha').name)"]).ends(0, "");
    assert_eq!(read.out, "alpha\n");
    homeless(&["-e", WORK]).ends(0, "nothing was changed");
    homeless(&["--apply", "-e", WORK]).ends(1, "set IAMLUA_HOME");
    assert_eq!(desk.account(), before);
}

#[test]
fn two_processes_at_once_are_both_in_the_journal() {
    let desk = Desk::new();
    desk.has_a_journal();
    let code = |n: u32| {
        format!(
            "print('up') for i = 1, 25 do iam.profiles.create('p{n}-' .. i) iam.profiles.tag('p{n}-' .. i, {{ N = '{n}' }}) end"
        )
    };
    let children: Vec<_> =
        (0..3).map(|n| desk.command(&["-e", &code(n)]).spawn().expect("it starts")).collect();
    for child in children {
        Ran::from(child.wait_with_output().expect("it ends")).ends(0, "50 changes");
    }
    let mut runs = desk.runs();
    assert_eq!(runs.pop().expect("the first")["counts"]["failed"], 1);
    assert_eq!(runs.len(), 3);
    let ids: BTreeSet<_> = runs.iter().filter_map(|run| run["id"].as_str()).collect();
    assert_eq!(ids.len(), 3);
    for run in &runs {
        assert_eq!((&run["status"], &run["counts"]["done"]), (&json!("done"), &json!(50)), "{run}");
    }
    // Each can be taken back on its own.
    let first = runs[2]["id"].as_str().expect("an id");
    desk.run(&["undo", first, "--apply"]).ends(0, "50 done");
    assert_eq!(desk.account()["profiles"].as_array().map(Vec::len), Some(4 + 50));
}

#[test]
fn the_script_of_a_run_can_be_found_later() {
    let desk = Desk::new();
    desk.write("sub/tag.lua", "iam.profiles.tag('alpha', { Owner = 'ops' })");
    desk.run(&["run", "sub/tag.lua"]).ends(0, "");
    let script = desk.last()["script"].as_str().expect("a path").to_owned();
    assert!(std::path::Path::new(&script).is_absolute(), "{script}");
}

#[test]
fn without_a_place_for_a_journal_it_speaks_of_the_journal() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let write = ["--endpoint-url", &endpoint.url, "--apply", "-e", WORK];
    let mut command = desk.command(&write);
    command.env_remove("HOME").env_remove("IAMLUA_HOME").env_remove("XDG_CONFIG_HOME");
    Ran::from(command.output().expect("it starts")).ends(1, "journal");
}

#[test]
fn a_journal_that_is_just_being_made_is_no_foreign_database() {
    for _ in 0..40 {
        let desk = Desk::new();
        let mut writer =
            desk.command(&["-e", "iam.profiles.create('a')"]).spawn().expect("it starts");
        while writer.try_wait().expect("a child").is_none() {
            desk.run(&["runs"]).ends(0, "");
        }
        Ran::from(writer.wait_with_output().expect("it ended")).ends(0, "1 change");
    }
}

// ------------------------------------------------------------------------------------------------------------------------- undo

#[test]
fn undo_shows_the_way_back_and_goes_it_when_told() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does(WORK);
    let after = desk.account();
    let shown = desk.run(&["undo", "last"]).ends(0, "nothing was changed");
    assert!(shown.out.contains("~ tag profile alpha: Owner ops → dev"), "{shown:?}");
    assert!(shown.out.contains("- delete profile epsilon"), "{shown:?}");
    assert!(shown.err.contains("profile beta is made anew: it gets a new id"), "{shown:?}");
    assert_eq!(desk.account(), after);
    desk.run(&["undo", "last", "--detailed-exitcode"]).ends(3, "");
    let run = desk.last_id();
    desk.run(&["undo", "last", "--apply"]).ends(0, "6 done");
    assert_eq!(desk.account(), before);
    let runs = desk.runs();
    assert_eq!((&runs[0]["command"], &runs[0]["undoes"]), (&json!("undo"), &json!(run)));
    assert_eq!(runs[1]["counts"]["undone"], 6);
    assert!(desk.run(&["runs"]).out.contains("done, undone"));
    desk.run(&["undo", &run]).ends(0, "undone before");
    desk.run(&["undo", &run, "--apply"]).ends(0, "undone before");
    assert_eq!(desk.runs().len(), 2);

    // Taking back what was taken back.
    desk.run(&["undo", "last", "--apply"]).ends(0, "6 done");
    assert_eq!(desk.account(), after);
    desk.run(&["undo", "last", "--apply"]).ends(0, "6 done");
    assert_eq!(desk.account(), before);
}

#[test]
fn what_was_redone_can_be_undone_again() {
    let desk = Desk::new();
    desk.plans("iam.profiles.tag('alpha', { Owner = 'ops' })");
    desk.run(&["apply", "plan.json"]).ends(0, "1 done");
    let run = desk.last_id();
    desk.run(&["undo", &run, "--apply"]).ends(0, "1 done");
    desk.run(&["undo", "last", "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops");
    desk.run(&["apply", "plan.json"]).ends(0, "1 done before");
    assert_eq!(desk.runs()[2]["counts"]["undone"], 0);
    desk.run(&["undo", &run, "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
}

#[test]
fn undo_brings_every_kind_of_change_back() {
    let cases = [
        "iam.profiles.create { name = 'new', path = '/a/b/', tags = { A = '1' } } iam.profiles.add_role('new', 'db')",
        "iam.profiles.delete('gamma', { detach = true })",
        "iam.profiles.tag('alpha', { Owner = 'ops', Other = '' }) iam.profiles.tag('ALPHA', { Owner = 'x' })",
        "iam.profiles.untag('gamma', { 'Owner', 'Nothing' })",
        "iam.profiles.add_role('delta', 'web')",
        "iam.profiles.remove_role('gamma', 'web') iam.profiles.add_role('gamma', 'db')",
        "iam.profiles.ensure { name = 'gamma', role = 'db', tags = { B = '2' }, exact_tags = true }",
        "iam.profiles.delete('beta') iam.profiles.create('beta') iam.profiles.delete('beta')",
        "iam.profiles.create('short') iam.profiles.delete('short')",
        "iam.roles.delete('db')",
        "iam.roles.tag('web', { A = '1' }) iam.roles.attach_policy('web', 'arn:aws:iam::aws:policy/ReadOnlyAccess')",
        "local read = iam.roles.get('web')
         iam.roles.create { name = 'made', path = '/svc/', description = 'd', tags = { K = 'v' }, assume_role_policy = read.assume_role_policy }
         iam.roles.attach_policy('made', 'arn:aws:iam::aws:policy/ReadOnlyAccess')
         iam.roles.untag('made', { 'K' })
         iam.profiles.add_role('delta', 'made')",
        "iam.roles.attach_policy('db', 'arn:aws:iam::aws:policy/ReadOnlyAccess')
         iam.roles.detach_policy('db', 'arn:aws:iam::aws:policy/ReadOnlyAccess')
         iam.roles.tag('db', { Gone = 'soon' }) iam.roles.delete('db')",
    ];
    for code in cases {
        let desk = Desk::new();
        let before = desk.account();
        desk.does(code);
        let after = desk.account();
        desk.run(&["undo", "last", "--apply"]).ends(0, "");
        assert_eq!(desk.account(), before, "undo of {code}");
        desk.run(&["undo", "last", "--apply"]).ends(0, "");
        assert_eq!(desk.account(), after, "undo of the undo of {code}");
    }
}

#[test]
fn undo_refuses_where_the_account_has_moved_on() {
    let cases = [
        (
            "iam.profiles.tag('alpha', { Owner = 'third' })",
            "profile alpha: tag Owner is third and should be ops",
        ),
        ("iam.profiles.delete('alpha')", "profile alpha: it is not there"),
        ("iam.profiles.add_role('epsilon', 'web')", "profile epsilon"),
        ("iam.profiles.create('beta')", "profile beta: it is there and should not be"),
    ];
    for (meanwhile, conflict) in cases {
        let desk = Desk::new();
        desk.does(WORK);
        let run = desk.last_id();
        desk.does(meanwhile);
        let moved = desk.account();
        for apply in [&[][..], &["--apply"]] {
            let refused = desk.run(&[&["undo", &run][..], apply].concat()).ends(4, conflict);
            assert!(refused.err.contains("moved on"), "{refused:?}");
            assert!(refused.err.contains("--skip-drifted"), "{refused:?}");
        }
        assert_eq!(desk.account(), moved, "{meanwhile}");
    }
}

#[test]
fn what_somebody_has_set_back_already_is_no_conflict() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does(WORK);
    let run = desk.last_id();
    desk.does("iam.profiles.remove_role('delta', 'db')");
    desk.run(&["undo", &run, "--apply"]).ends(0, "back already: profile delta");
    assert_eq!(desk.account(), before);
    desk.run(&["undo", &run]).ends(0, "it was undone before");
}

#[test]
fn undo_leaves_what_has_moved_on_if_told() {
    let desk = Desk::new();
    desk.does(WORK);
    let run = desk.last_id();
    desk.does("iam.profiles.tag('alpha', { Owner = 'third' })");
    let left = desk.run(&["undo", &run, "--skip-drifted", "--apply"]).ends(4, "profile alpha: ");
    assert!(left.err.contains("5 done"), "{left:?}");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "third");
    assert_eq!(desk.profile("beta")["tags"]["Owner"], "dev");
    assert_eq!(desk.profile("gamma")["role"], "web");
    assert_eq!(desk.profile("epsilon"), Value::Null);
    assert!(desk.run(&["runs"]).out.contains("undone in part"));
}

#[test]
fn undo_of_a_part() {
    let desk = Desk::new();
    desk.does(WORK);
    let run = desk.last_id();
    desk.run(&["undo", &run, "--only", "nobody"]).ends(2, "changed nothing named nobody");
    let part =
        desk.run(&["undo", &run, "--only", "ALPHA", "--only", "beta", "--apply"]).ends(0, "3 done");
    assert!(!part.out.contains("epsilon"), "{part:?}");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
    assert_eq!(desk.profile("beta")["tags"]["Owner"], "dev");
    assert_eq!(desk.profile("epsilon")["name"], "epsilon");
    desk.run(&["undo", &run, "--only", "alpha"]).ends(0, "undone before");
    desk.run(&["undo", &run, "--apply"]).ends(0, "3 done");
    assert_eq!(desk.account(), Desk::new().account());
}

#[test]
fn the_hint_after_showing_a_part_is_for_that_part() {
    let desk = Desk::new();
    desk.does(WORK);
    desk.run(&["undo", "last", "--only", "alpha"]).ends(0, "--only alpha --apply");
}

#[test]
fn the_hint_after_a_failed_undo_is_about_undo() {
    let desk = Desk::new();
    desk.does("iam.profiles.delete('gamma', { detach = true })");
    let journal = desk.0.path("state/journal.db");
    std::fs::set_permissions(&journal, PermissionsExt::from_mode(0o444)).expect("it is ours");
    let failed = desk.run(&["undo", "last", "--apply"]).ends(1, "is read-only");
    assert!(!failed.err.contains("`iamlua apply`"), "{failed:?}");
}

#[test]
fn a_run_is_named_by_either_end_of_its_id() {
    let desk = Desk::new();
    for n in 0..2 {
        desk.does(&format!("iam.profiles.create('named-{n}')"));
    }
    let (last, first) = (desk.last_id(), desk.runs()[1]["id"].as_str().expect("an id").to_owned());
    for name in [&first[..], &first[first.len() - 5..], &first[..first.len() - 1]] {
        let shown = desk.run(&["runs", "show", name]).ends(0, "");
        assert!(shown.out.starts_with(&format!("run {first}")), "{name}: {shown:?}");
    }
    assert!(desk.run(&["runs", "show", "last"]).out.starts_with(&format!("run {last}")));
    let both = desk.run(&["undo", &first[..8]]).ends(2, "more than one run");
    assert!(both.err.contains(&first) && both.err.contains(&last), "{both:?}");
    for unknown in ["zzzzzzz", "z", ""] {
        desk.run(&["undo", unknown]).ends(2, "`iamlua runs` lists them");
        desk.run(&["runs", "show", unknown]).ends(2, "there is no run");
        desk.run(&["runs", "recover", unknown]).ends(2, "there is no run");
    }
}

#[test]
fn an_undo_can_be_kept_as_a_plan() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does(WORK);
    desk.run(&["undo", "last", "-o", "undo.json"]).ends(0, "kept in undo.json");
    desk.run(&["apply", "undo.json"]).ends(0, "6 done");
    assert_eq!(desk.account(), before);
    assert_eq!(desk.runs()[1]["counts"]["undone"], 6);
    desk.run(&["apply", "undo.json"]).ends(0, "6 done before");
    let json = desk.run(&["undo", "last", "--output", "json"]).ends(0, "");
    assert_eq!(json_of(&json.out)["format"], "iamlua-plan");
}

#[test]
fn a_run_that_changed_nothing_needs_no_undo() {
    let desk = Desk::new();
    desk.run(&["-e", "iam.profiles.create('alpha')"]).ends(1, "EntityAlreadyExists");
    desk.run(&["undo", "last", "--apply"]).ends(0, "nothing to take back");
}

// ----------------------------------------------------------------------------------------------------------------------- limits

const TAG_ALL: &str = "for _, name in ipairs { 'alpha', 'beta', 'gamma', 'delta' } do try(iam.profiles.tag, name, { All = '1' }) end";

/// How many profiles [`TAG_ALL`] has tagged.
fn tagged(desk: &Desk) -> usize {
    let account = desk.account();
    let profiles = account["profiles"].as_array().expect("a list");
    profiles.iter().filter(|profile| profile["tags"]["All"] == "1").count()
}

#[test]
fn no_more_is_changed_than_the_strictest_limit_allows() {
    let runbook = |max: &str| {
        format!(
            "runbook {{ description = 'x', allow = {{ 'profiles.tag' }}, max_changes = {max} }} {TAG_ALL}"
        )
    };
    let cases = [
        (TAG_ALL.to_owned(), &["--max-changes", "2"][..], "", 2, "--max-changes"),
        (TAG_ALL.to_owned(), &["--max-changes", "0"], "", 0, "--max-changes"),
        (TAG_ALL.to_owned(), &["--max-changes", "50%"], "", 2, "50% of 4 profiles"),
        (TAG_ALL.to_owned(), &["--max-changes", "10%"], "", 0, "10% of 4 profiles"),
        (runbook("3"), &[], "", 3, "manifest"),
        (runbook("'25%'"), &[], "", 1, "25% of 4 profiles"),
        (runbook("3"), &["--max-changes", "1"], "", 1, "--max-changes"),
        (runbook("3"), &["--max-changes", "100"], "", 3, "manifest"),
        (runbook("3"), &["--max-changes", "100%"], "", 3, "manifest"),
        (TAG_ALL.to_owned(), &[], "max_changes = 1", 1, "max_changes"),
        (runbook("3"), &[], "max_changes = 2", 2, "iamlua.toml"),
        (TAG_ALL.to_owned(), &["--max-changes", "3"], "max_changes = 1", 3, "--max-changes"),
    ];
    for (code, options, config, most, why) in cases {
        let desk = Desk::new();
        desk.write("tag.lua", &code);
        desk.write("iamlua.toml", config);
        let run = [&["run", "tag.lua"][..], options].concat();
        // The script catches the refusals; the run is refused all the same.
        desk.run(&run).ends(4, why);
        assert_eq!(tagged(&desk), most, "{code} {options:?} {config}");
        if most > 0 {
            assert_eq!(desk.last()["status"], "refused");
            assert_eq!(desk.last()["changes"].as_array().map(Vec::len), Some(most));
        } else {
            assert!(desk.runs().is_empty(), "what is refused is not recorded as a change");
        }
    }
    let desk = Desk::new();
    desk.run(&["--max-changes", "4", "-e", TAG_ALL]).ends(0, "4 changes");
    desk.run(&["--max-changes", "lots", "-e", TAG_ALL]).ends(2, "must be a whole number");
    desk.run(&["--max-changes", "101%", "-e", TAG_ALL]).ends(2, "must be a whole number");
}

#[test]
fn limits_hold_for_plans_and_what_is_done_with_them() {
    let desk = Desk::new();
    let before = desk.account();
    desk.run(&["--plan", "--max-changes", "2", "-e", TAG_ALL]).ends(4, "may make 2 changes");
    assert_eq!(desk.account(), before);
    desk.plans(TAG_ALL);
    desk.run(&["apply", "plan.json", "--max-changes", "3"]).ends(4, "may make 3 changes");
    assert_eq!(tagged(&desk), 0, "half of a plan is not begun");
    desk.run(&["apply", "plan.json"]).ends(0, "4 done");
    desk.does(TAG_ALL);
    desk.does("for _, name in ipairs { 'alpha', 'beta', 'gamma', 'delta' } do iam.profiles.untag(name, { 'All' }) end");
    desk.run(&["undo", "last", "--apply", "--max-changes", "1"]).ends(4, "may make 1 change");
    assert!(tagged(&desk) <= 1);
}

#[test]
fn what_is_protected_is_not_changed_on_any_way() {
    let by_tag = "iam.profiles.tag('gamma', { ['iamlua:protected'] = '' }) iam.profiles.tag('delta', { ['iamlua:protected'] = 'because' })";
    for (tag, config) in [(by_tag, ""), ("", "protect = [\"gam*\", \"?elta\"]")] {
        let desk = Desk::new();
        if !tag.is_empty() {
            desk.does(tag);
        }
        desk.write("iamlua.toml", config);
        let endpoint = desk.serve();
        let before = desk.account();
        for code in [
            "iam.profiles.tag('gamma', { A = '1' })",
            "iam.profiles.tag('GAMMA', { A = '1' })",
            "iam.profiles.untag('gamma', { 'Owner' })",
            "iam.profiles.untag('gamma', { 'iamlua:protected' })",
            "iam.profiles.tag('gamma', { ['iamlua:protected'] = 'other' })",
            "iam.profiles.add_role('delta', 'db')",
            "iam.profiles.remove_role('gamma', 'web')",
            "iam.profiles.delete('delta')",
            "iam.profiles.delete('gamma', { detach = true })",
            "iam.profiles.ensure { name = 'gamma', role = 'db' }",
            "for profile in iam.profiles.each {} do iam.profiles.get(profile.name) end iam.profiles.tag('gamma', { A = '1' })",
        ] {
            let on_aws = ["--endpoint-url", &endpoint.url, "--apply", "-e", code];
            for args in [&["-e", code][..], &["--plan", "-e", code], &on_aws] {
                let refused = desk.run(args).ends(4, "is protected by");
                assert!(refused.err.contains("--override-protection"), "{code}: {refused:?}");
            }
            let caught = format!("local _, err = try(function() {code} end) print(err.kind)");
            assert_eq!(desk.run(&["-e", &caught]).ends(0, "").out, "protected\n", "{code}");
            assert_eq!(desk.account(), before, "{code}");
        }
        desk.run(&["-e", "iam.profiles.tag('alpha', { A = '1' })"]).ends(0, "");
        let lifted =
            "iam.profiles.delete('gamma', { detach = true }) iam.profiles.add_role('delta', 'db')";
        desk.run(&["--override-protection", "-e", lifted]).ends(0, "3 changes");
        assert_eq!(desk.profile("delta")["role"], "db");
    }
}

#[test]
fn what_is_protected_since_is_not_changed_by_a_plan_or_an_undo() {
    let desk = Desk::new();
    desk.plans(
        "iam.profiles.tag('alpha', { Owner = 'ops' }) iam.profiles.tag('gamma', { Owner = 'ops' })",
    );
    desk.write("iamlua.toml", "protect = [\"gamma\"]");
    desk.run(&["apply", "plan.json"]).ends(4, "profile gamma is protected");
    assert_eq!(desk.profile("gamma")["tags"]["Owner"], "dev");
    desk.run(&["apply", "plan.json", "--override-protection"]).ends(0, "1 done, 1 done before");
    assert_eq!(desk.profile("gamma")["tags"]["Owner"], "ops");
    desk.run(&["undo", "last", "--apply"]).ends(4, "profile gamma is protected");
    assert_eq!(desk.profile("gamma")["tags"]["Owner"], "ops");
    desk.run(&["undo", "last", "--apply", "--override-protection"]).ends(0, "1 done");
    assert_eq!(desk.profile("gamma")["tags"]["Owner"], "dev");
}

// ---------------------------------------------------------------------------------------------------------------- configuration

#[test]
fn the_projects_file_wins_over_the_users() {
    let desk = Desk::new();
    desk.write("config/iamlua/iamlua.toml", "max_changes = 1\nprotect = [\"alpha\"]\n");
    desk.run(&["-e", TAG_ALL]).ends(4, "may make 1 change");
    desk.write("iamlua.toml", "max_changes = 2\nprotect = [\"beta\"]\n");
    desk.run(&["-e", "iam.profiles.tag('alpha', { A = '1' })"]).ends(4, "alpha is protected");
    desk.run(&["-e", "iam.profiles.tag('beta', { A = '1' })"]).ends(4, "beta is protected");
    let three = "for i = 1, 3 do iam.profiles.create('n' .. i) end";
    desk.run(&["-e", three]).ends(4, "may make 2 changes");
    let only = desk.0.path("only.toml");
    desk.write("only.toml", "max_changes = 9");
    desk.run(&["--config", only.to_str().expect("UTF-8"), "-e", TAG_ALL]).ends(0, "4 changes");
}

#[test]
fn a_file_that_cannot_be_understood_stops_everything_that_could_change_something() {
    let desk = Desk::new();
    desk.does("iam.profiles.tag('alpha', { Owner = 'ops' })");
    desk.plans("iam.profiles.tag('beta', { Owner = 'ops' })");
    let before = desk.account();
    for (content, why) in [
        ("protct = [\"x\"]", "did you mean \"protect\"?"),
        ("max_changes = -1", "max_changes must be"),
        ("mode = \"apply\"", "--apply"),
        ("account = \"12\"", "account must be 12 digits"),
        ("= 1", "this is not TOML"),
    ] {
        desk.write("iamlua.toml", content);
        for args in [
            &["-e", "iam.profiles.create('x')"][..],
            &["run", "work.lua"],
            &["plan", "work.lua"],
            &["apply", "plan.json"],
            &["undo", "last", "--apply"],
        ] {
            let refused = desk.run(args).ends(2, why);
            assert!(refused.err.contains("iamlua.toml:1:"), "{refused:?}");
        }
        assert_eq!(desk.account(), before, "{content}");
    }
}

#[test]
fn an_empty_config_option_reads_no_file() {
    let desk = Desk::new();
    desk.write("iamlua.toml", "max_changes = 0");
    desk.run(&["--config", "", "-e", TAG_ALL]).ends(0, "4 changes");
    desk.run(&["--config=", "-e", TAG_ALL]).ends(0, "4 changes");
}

#[test]
fn the_configured_mode_holds_unless_a_flag_says_otherwise() {
    let desk = Desk::new();
    let before = desk.account();
    desk.write("iamlua.toml", "mode = \"plan\"");
    desk.run(&["-e", WORK]).ends(0, "nothing was changed: with --apply it is");
    desk.write("iamlua.toml", "mode = \"read-only\"");
    desk.run(&["-e", WORK]).ends(4, "may only read");
    assert_eq!(desk.account(), before);
    desk.run(&["--apply", "-e", WORK]).ends(0, "6 changes");
}

#[test]
fn the_configured_target_holds_unless_a_flag_says_otherwise() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let before = desk.account();
    desk.write("iamlua.toml", format!("target = \"aws\"\nendpoint_url = \"{}\"\n", endpoint.url));
    let planned = desk.run(&["-e", WORK]).ends(0, "nothing was changed: with --apply it is");
    assert!(planned.err.contains("note: on AWS, by"), "{planned:?}");
    assert!(planned.err.contains("Plan for AWS account 123456789012"), "{planned:?}");
    assert_eq!(desk.account(), before, "no file makes writing to AWS the default");
    desk.run(&["--local", "-e", "iam.profiles.tag('alpha', { By = 'local' })"]).ends(0, "1 change");
    assert_eq!(desk.last()["sites"][0]["target"], "local");
    desk.run(&["--apply", "-e", "iam.profiles.tag('alpha', { By = 'aws' })"]).ends(0, "1 change");
    assert_eq!(desk.last()["sites"][0]["target"], "aws");
    desk.run(&["--local", "--aws", "-e", ""]).ends(2, "cannot be used with");
    let local =
        desk.command(&["-e", WORK]).env("IAMLUA_TARGET", "local").output().expect("it starts");
    Ran::from(local).ends(0, "6 changes");
}

#[test]
fn nothing_is_asked_of_an_account_that_the_configuration_is_not_for() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let config = |account: &str| {
        desk.write(
            "iamlua.toml",
            format!("target = \"aws\"\nendpoint_url = \"{}\"\naccount = {account}\n", endpoint.url),
        );
    };
    config("[\"999999999999\", \"123456789012\"]");
    desk.run(&["--apply", "-e", "iam.profiles.tag('alpha', { Mark = '1' })"]).ends(0, "1 change");
    desk.write("work.lua", WORK);
    desk.run(&["plan", "work.lua", "-o", "plan.json"]).ends(0, "");
    let before = desk.account();
    config("\"999999999999\"");
    for args in [
        &["-e", "iam.profiles.get('alpha')"][..],
        &["-e", "for profile in iam.profiles.each {} do print(profile.name) end"],
        &["-e", WORK],
        &["--apply", "-e", WORK],
        &["plan", "work.lua"],
        &["apply", "plan.json"],
        &["undo", "last", "--apply"],
    ] {
        let refused = desk
            .run(args)
            .ends(4, "for account 123456789012, and this configuration is for 999999999999");
        assert!(!refused.out.contains("alpha") && refused.err.contains("hint:"), "{refused:?}");
    }
    assert_eq!(desk.account(), before);
    assert_eq!(
        desk.run(&["--local", "-e", "print(iam.profiles.get('alpha').name)"]).out,
        "alpha\n"
    );
}

#[test]
fn the_variable_for_the_target_holds_for_plans_too() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    desk.write("work.lua", WORK);
    desk.run(&["plan", "work.lua", "--endpoint-url", &endpoint.url, "-o", "plan.json"]).ends(0, "");
    let local = desk.command(&["apply", "plan.json"]).env("IAMLUA_TARGET", "local").output();
    Ran::from(local.expect("it starts")).ends(4, "this is the local account");
}

#[test]
fn what_goes_to_the_local_account_does_not_say_that_it_is_on_aws() {
    let desk = Desk::new();
    desk.does("iam.profiles.create('here')");
    desk.write("iamlua.toml", "target = \"aws\"");
    let undone = desk.run(&["undo", "last", "--apply"]).ends(0, "1 done");
    assert!(!undone.err.contains("on AWS"), "{undone:?}");
}

// ----------------------------------------------------------------------------------------------------------------------- policy

/// The actions that a policy allows.
fn actions(policy: &str) -> BTreeSet<String> {
    let policy = json_of(policy);
    assert_eq!(policy["Version"], "2012-10-17");
    let statements = policy["Statement"].as_array().expect("a list");
    let of = |statement: &Value| {
        assert_eq!(statement["Effect"], "Allow");
        statement["Action"].as_array().expect("a list").clone()
    };
    statements.iter().flat_map(of).map(|action| action.as_str().expect("text").to_owned()).collect()
}

#[test]
fn the_policy_of_each_runbook_has_what_it_needs() {
    let desk = Desk::new();
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
    let mut seen = 0;
    for entry in std::fs::read_dir(scripts).expect("the scripts").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "lua") {
            continue;
        }
        seen += 1;
        let policy = desk.run(&["policy", path.to_str().expect("UTF-8")]).ends(0, "");
        let actions = actions(&policy.out);
        assert!(actions.iter().all(|action| action.starts_with("iam:")), "{path:?}: {actions:?}");
        let needed: &[&str] = match path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("") {
            "inventory" | "untagged" => &["ListInstanceProfiles", "GetInstanceProfile"],
            "bulk_tag" => &["ListInstanceProfiles", "GetInstanceProfile", "TagInstanceProfile"],
            "cleanup_orphans" => {
                &["ListInstanceProfiles", "GetInstanceProfile", "DeleteInstanceProfile"]
            }
            "ensure" => &[
                "GetInstanceProfile",
                "CreateInstanceProfile",
                "TagInstanceProfile",
                "UntagInstanceProfile",
                "AddRoleToInstanceProfile",
                "RemoveRoleFromInstanceProfile",
                "GetRole",
                "PassRole",
            ],
            "swap_role" => &[
                "ListInstanceProfilesForRole",
                "GetInstanceProfile",
                "GetRole",
                "AddRoleToInstanceProfile",
                "RemoveRoleFromInstanceProfile",
                "PassRole",
            ],
            // A new script needs no entry here, only a policy.
            _ => &[],
        };
        for action in needed {
            assert!(actions.contains(&format!("iam:{action}")), "{path:?} lacks {action}");
        }
        if path.ends_with("inventory.lua") || path.ends_with("untagged.lua") {
            let reads = actions
                .iter()
                .all(|action| action.starts_with("iam:Get") || action.starts_with("iam:List"));
            assert!(reads, "{path:?} only reads: {actions:?}");
        }
        let account = ["policy", path.to_str().expect("UTF-8"), "--account", "123456789012"];
        let narrow = desk.run(&account).ends(0, "");
        assert!(!narrow.out.contains("iam::*:"), "{narrow:?}");
    }
    assert!(seen >= 6, "the scripts are there");
}

#[test]
fn a_script_that_does_not_say_what_it_may_call_has_no_policy() {
    let desk = Desk::new();
    for (code, why) in [
        ("print(1)", "has no manifest"),
        ("runbook { description = 'x' }", "does not say what it may call"),
        ("runbook { description = 'x', allow = {} }", "needs no policy"),
        (
            "runbook { description = 'x', allow = { 'profiles.lst' } }",
            "did you mean \"profiles.list\"?",
        ),
        ("error('early')", "early"),
    ] {
        desk.write("script.lua", code);
        desk.run(&["policy", "script.lua"]).ends(1, why);
    }
    desk.write(
        "early.lua",
        "iam.profiles.list() runbook { description = 'x', allow = { 'profiles.list' } }",
    );
    desk.run(&["policy", "early.lua"]).ends(4, "before it declares itself");
    desk.run(&["policy", "nothing.lua"]).ends(2, "there is no script");
    desk.run(&["policy", "early.lua", "--account", "12"]).ends(2, "12 digits");
    assert!(desk.runs().is_empty());
}

#[test]
fn the_policy_allows_what_the_limit_needs() {
    let desk = Desk::new();
    desk.write(
        "share.lua",
        "runbook { description = 'x', allow = { 'profiles.tag' }, max_changes = '5%' }",
    );
    let policy = desk.run(&["policy", "share.lua"]).ends(0, "");
    assert!(actions(&policy.out).contains("iam:GetAccountSummary"), "{policy:?}");
}

// ------------------------------------------------------------------------------------------------------------------------ kills

/// Starts a bulk job, kills it once that many profiles have been reported, which leaves it no time for anything.
fn kill_after(desk: &Desk, args: &[&str], lines: usize) {
    let mut child = desk.command(args).stderr(Stdio::null()).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    for _ in 0..lines {
        out.read_line(&mut line).expect("it speaks");
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
}

/// That the journal says of each profile that a run has made what the account says.
fn agree(desk: &Desk) {
    let account = desk.account();
    let there: BTreeSet<_> = account["profiles"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|profile| profile["name"].as_str().filter(|name| name.starts_with("bulk")))
        .map(|name| (name.to_owned(), is_tagged(&account, name)))
        .collect();
    let run = desk.last();
    let mut told = std::collections::BTreeMap::new();
    for change in run["changes"].as_array().expect("a list") {
        let name = change["name"].as_str().expect("a name").to_owned();
        match (change["outcome"].as_str(), change["action"].as_str()) {
            (Some("done"), Some("CreateInstanceProfile")) => {
                told.entry(name).or_insert(false);
            }
            (Some("done"), Some("TagInstanceProfile")) => {
                told.insert(name, true);
            }
            (Some("failed"), _) => {}
            other => panic!("{other:?} after recovery: {change}"),
        }
    }
    assert_eq!(there, told.into_iter().collect::<BTreeSet<_>>());
}

fn is_tagged(account: &Value, name: &str) -> bool {
    let profiles = account["profiles"].as_array().expect("a list");
    profiles.iter().any(|profile| profile["name"] == name && profile["tags"]["Bulk"] == "1")
}

#[test]
fn after_a_kill_at_any_moment_the_journal_tells_the_truth() {
    let code = "
        local tasks = {}
        for worker = 1, 4 do
            tasks[worker] = task.spawn(function()
                for i = 1, 1500 do
                    local name = ('bulk-%d-%d'):format(worker, i)
                    print(name) io.stdout:flush()
                    iam.profiles.create(name)
                    iam.profiles.tag(name, { Bulk = '1' })
                end
            end)
        end
        for worker = 1, 4 do tasks[worker]:wait() end
    ";
    let mut open = 0;
    for kill in 0..12 {
        let desk = Desk::new();
        desk.write("bulk.lua", code);
        let weather = format!("latency={}ms", 1 + kill % 4);
        kill_after(&desk, &["run", "bulk.lua", "--faults", &weather], 6 + kill * 4);
        let run = desk.last();
        assert_eq!(run["status"], "killed", "{run}");
        let in_doubt = run["counts"]["in_doubt"].as_u64().expect("a number");
        open += in_doubt;
        if in_doubt > 0 {
            desk.run(&["undo", "last"]).ends(4, "runs recover");
        }
        let recovered = desk.run(&["runs", "recover", "last", "--settle-after", "0s"]).ends(0, "");
        assert_eq!(recovered.out.lines().count() as u64, in_doubt, "{recovered:?}");
        assert_eq!(desk.last()["counts"]["in_doubt"], 0);
        agree(&desk);
        desk.run(&["runs", "recover", "last"]).ends(0, "nothing of run");
        desk.run(&["undo", "last", "--apply"]).ends(0, "");
        assert_eq!(desk.account(), Desk::new().account());
    }
    assert!(open > 0, "at least one kill hit a change in flight");
}

#[test]
fn an_apply_that_was_killed_does_the_rest_when_started_again() {
    for kill in 1..4_u64 {
        let desk = Desk::new();
        desk.has_a_journal();
        desk.plans("for i = 1, 120 do iam.profiles.create { name = 'bulk-' .. i, tags = { Bulk = '1' } } end");
        let mut child = desk
            .command(&["apply", "plan.json", "--faults", "latency=20ms"])
            .spawn()
            .expect("it starts");
        // Not a fixed time: until so many changes are in the journal.
        let begun = Instant::now();
        while desk.runs().first().is_none_or(|run| run["counts"]["done"].as_u64() < Some(kill * 20))
        {
            assert!(begun.elapsed() < Duration::from_mins(1), "it makes changes");
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
        desk.run(&["apply", "plan.json", "--settle-after", "0s"]).ends(0, "done before");
        let made: u64 = desk.runs().iter().filter_map(|run| run["counts"]["done"].as_u64()).sum();
        assert_eq!(made, 120, "each was made once");
        assert_eq!(desk.account()["profiles"].as_array().map(Vec::len), Some(124));
        desk.run(&["apply", "plan.json"]).ends(0, "120 done before");
    }
}

#[test]
fn an_undo_that_was_killed_does_the_rest_when_started_again() {
    for kill in 1..4_u64 {
        let desk = Desk::new();
        desk.has_a_journal();
        desk.does("for i = 1, 60 do iam.profiles.create { name = 'bulk-' .. i, tags = { Old = '1', Stay = '1' } } end");
        let before = desk.account();
        desk.does("for i = 1, 60 do iam.profiles.untag('bulk-' .. i, { 'Old' }) iam.profiles.ensure { name = 'bulk-' .. i, tags = { New = '1', Stay = '2' } } end");
        let run = desk.last_id();
        let mut child = desk
            .command(&["undo", &run, "--apply", "--faults", "latency=20ms"])
            .spawn()
            .expect("it starts");
        let begun = Instant::now();
        while desk.runs()[0]["undoes"] != run
            || desk.runs()[0]["counts"]["done"].as_u64() < Some(kill * 20)
        {
            assert!(begun.elapsed() < Duration::from_mins(1), "it makes changes");
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
        desk.run(&["undo", &run, "--apply", "--settle-after", "0s"]).ends(0, "done");
        assert_eq!(desk.account(), before);
        desk.run(&["undo", &run]).ends(0, "it was undone before");
    }
}

#[test]
fn a_run_that_is_still_going_is_left_alone() {
    let desk = Desk::new();
    let code = "iam.profiles.create('early') print('up') io.stdout:flush() time.sleep('1h')";
    let mut child = desk.command(&["-e", code]).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it speaks");
    assert_eq!(desk.runs()[0]["status"], "running");
    desk.run(&["undo", "last", "--apply"]).ends(4, "is still going");
    desk.run(&["runs", "recover", "last"]).ends(4, "is still going");
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
    assert_eq!(desk.runs()[0]["status"], "killed");
    // Its outcome may have been on the way to the disk.
    desk.run(&["runs", "recover", "last", "--settle-after", "0s"]).ends(0, "");
    desk.run(&["undo", "last", "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("early"), Value::Null);
}

/// Kills a run while a change is in flight, so that nobody knows whether it has happened, and as many others are done.
fn leaves_in_doubt(desk: &Desk, code: &str, done: u64) {
    desk.has_a_journal();
    let mut child =
        desk.command(&["-e", code, "--faults", "latency=1s"]).spawn().expect("it starts");
    let begun = Instant::now();
    let is_there = |run: &Value| run["counts"]["done"] == done && run["counts"]["in_doubt"] == 1;
    while !desk.runs().first().is_some_and(is_there) {
        assert!(begun.elapsed() < Duration::from_mins(1), "it makes changes");
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
}

#[test]
fn what_nobody_can_tell_is_not_guessed() {
    let desk = Desk::new();
    leaves_in_doubt(&desk, "iam.profiles.tag('alpha', { Owner = 'ops' })", 0);
    let run = desk.last_id();
    desk.does("iam.profiles.tag('alpha', { Owner = 'third' })");
    let recover = ["runs", "recover", &run, "--settle-after", "0s"];
    let told = desk.run(&recover).ends(1, "1 change still in doubt");
    assert!(told.out.contains("tag Owner is third and should be ops"), "{told:?}");
    assert_eq!(desk.runs()[1]["counts"]["in_doubt"], 1);
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "third");
}

#[test]
fn what_nobody_can_tell_does_not_bar_the_rest() {
    let desk = Desk::new();
    let code = "for _, name in ipairs { 'beta', 'alpha' } do iam.profiles.tag(name, { Owner = 'ops' }) end";
    leaves_in_doubt(&desk, code, 1);
    let run = desk.last_id();
    desk.does("iam.profiles.tag('alpha', { Owner = 'third' })");
    desk.run(&["runs", "recover", &run, "--settle-after", "0s"]).ends(1, "still in doubt");
    desk.run(&["undo", &run]).ends(4, "alpha");
    desk.run(&["undo", &run, "--only", "beta", "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("beta")["tags"]["Owner"], "dev");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "third");
}
