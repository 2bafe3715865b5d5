//! Terminal control characters from endpoints, files, the environment and the command line. All
//! must be shown, and none may act.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;

use crate::commands::Desk;
use crate::end_to_end::Ran;
use crate::terminal::Terminal;

/// Title, cleared screen in both forms, carriage return, backspace, DEL, and right-to-left text.
const HOSTILE: &str = "h\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}2J\r\u{8}\u{7f}\u{202e}e";
/// Hostile text that is cut at control characters of one byte.
const HIGH: &str = "h\u{9b}2J\u{202e}\u{2066}e";

/// Endpoint of an attacker that answers each action of AWS with a text.
fn endpoint(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut part = [0; 4096];
            let action = loop {
                let Ok(n @ 1..) = stream.read(&mut part) else { break String::new() };
                request.extend_from_slice(&part[..n]);
                let text = String::from_utf8_lossy(&request);
                // The body holds little more than the action and a tag or two.
                let action = text.split("Action=").nth(1).and_then(|rest| rest.split('&').next());
                if let Some(action) = action.filter(|_| text.contains("Version=")) {
                    break action.to_owned();
                }
            };
            let (status, body) = answer(&action);
            let id = "x-amzn-requestid: r\u{9b}2J\u{202e}";
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{id}\r\n");
            let length = format!("content-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(
                [head.as_bytes(), length.as_bytes(), body.as_bytes()].concat().as_slice(),
            );
        }
    });
    url
}

fn error_of(text: &str) -> (u16, String) {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>C{text}</Code><Message>M{text}</Message>\
         </Error><RequestId>R{text}</RequestId></ErrorResponse>"
    );
    (400, body)
}

/// Account in which every name is the text.
fn inventory(action: &str, text: &str) -> (u16, String) {
    let role = format!(
        "<member><Path>/{text}/</Path><RoleName>r{text}</RoleName><RoleId>AROA{text}</RoleId>\
         <Arn>arn:aws:iam::123456789012:role/{text}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
         <Description>{text}</Description></member>"
    );
    let profile = format!(
        "<Path>/{text}/</Path><InstanceProfileName>p{text}</InstanceProfileName>\
         <InstanceProfileId>AIPA{text}</InstanceProfileId>\
         <Arn>arn:aws:iam::123456789012:instance-profile/{text}</Arn>\
         <CreateDate>2026-01-01T00:00:00Z</CreateDate><Roles>{role}</Roles>\
         <Tags><member><Key>k{text}</Key><Value>v{text}</Value></member>\
         <member><Key>A</Key><Value>v{text}</Value></member></Tags>"
    );
    let result = match action {
        "ListInstanceProfiles" => {
            format!("<InstanceProfiles><member>{profile}</member></InstanceProfiles>")
        }
        "GetInstanceProfile" => format!("<InstanceProfile>{profile}</InstanceProfile>"),
        "ListInstanceProfileTags" => {
            format!("<Tags><member><Key>k{text}</Key><Value>v{text}</Value></member></Tags>")
        }
        "GetCallerIdentity" => format!(
            "<Arn>arn:aws:iam::123456789012:user/{text}</Arn><UserId>AIDA{text}</UserId>\
             <Account>123456789012</Account>"
        ),
        "ListAccountAliases" => {
            format!("<AccountAliases><member>a{text}</member></AccountAliases>")
        }
        "TagInstanceProfile" => String::new(),
        _ => return error_of(text),
    };
    let body = format!(
        "<{action}Response><{action}Result>{result}<IsTruncated>false</IsTruncated></{action}Result>\
         <ResponseMetadata><RequestId>{text}</RequestId></ResponseMetadata></{action}Response>"
    );
    (200, body)
}

/// Outputs that would act on a terminal, or lack what they must show.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn harmless(&mut self, what: &str, ran: &Ran) {
        for text in [&ran.out, &ran.err] {
            let acts = |c: &char| iamlua::escape::acts(*c) && !matches!(c, '\n' | '\t');
            if let Some(acting) = text.chars().find(acts) {
                self.0.push(format!("{what}: {acting:?} in {text:?}"));
            }
        }
    }

    /// Checks also that the text is shown.
    fn shown(&mut self, what: &str, ran: &Ran) {
        self.harmless(what, ran);
        let shown = ["\\x1b", "\\u{9b}", "\\u{202e}", "\\u001b", "\\u009b", "\\u202e"];
        let all = format!("{}{}", ran.out, ran.err);
        if !shown.iter().any(|text| all.contains(text)) {
            self.0.push(format!("{what} shows nothing: {ran:?}"));
        }
    }
}

impl Drop for Failures {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{} fail:\n{}", self.0.len(), self.0.join("\n\n"));
        }
    }
}

#[test]
fn what_an_endpoint_answers() {
    let mut failures = Failures::default();
    let desk = Desk::new();
    let run = |url: &str, args: &[&str]| {
        let command = usize::from(!args[0].starts_with('-'));
        desk.run(&[&args[..command], &["--endpoint-url", url], &args[command..]].concat())
    };
    let name = "for profile in iam.profiles.each() do name = profile.name end ";
    for text in [HOSTILE, HIGH] {
        let refusing = endpoint(move |_| error_of(text));
        let not_xml = endpoint(move |_| (500, format!("{text}<html>{text}")));
        let lying = endpoint(move |action| inventory(action, text));
        for (what, url, args) in [
            ("an error", &refusing, &["-e", "iam.profiles.get('a')"][..]),
            ("an error of a plan", &refusing, &["--plan", "-e", "iam.profiles.delete('a')"]),
            ("an error of the identity", &refusing, &["whoami"]),
            ("an error of the identity as JSON", &refusing, &["whoami", "--output", "json"]),
            ("no XML", &not_xml, &["-e", "iam.profiles.get('a')"]),
            (
                "an error that is logged",
                &refusing,
                &["-e", "local _, e = try(iam.profiles.get, 'a') log.warn(e)"],
            ),
            (
                "an error that is raised again",
                &refusing,
                &["-e", "local _, e = try(iam.profiles.get, 'a') error(e)"],
            ),
            ("an identity", &lying, &["whoami"]),
            ("an identity as JSON", &lying, &["whoami", "--output", "json"]),
            ("a log", &lying, &["-e", &format!("{name} log.info(name, {{ [name] = name }})")]),
            ("an error of a script", &lying, &["-e", &format!("{name} error(name)")]),
            (
                "an inspected value",
                &lying,
                &["-e", &format!("{name} print(require('inspect')(iam.profiles.get(name)))")],
            ),
            ("a scan", &lying, &["-e", &format!("{name} iam.usage.scan {{}}")]),
        ] {
            let ran = run(url, args);
            failures.shown(&format!("{what} of {text:?}"), &ran);
        }
        // Names that no account can have abort a plan; those of a run are in the journal.
        let tag = "iam.profiles.tag('alpha', { A = 'b' })";
        failures.harmless("planning", &run(&lying, &["--plan", "-e", tag]));
        failures.harmless("applying", &run(&lying, &["--apply", "-e", tag]));
        shows_the_journal(&desk, &mut failures);
    }
}

fn shows_the_journal(desk: &Desk, failures: &mut Failures) {
    for args in [
        &["runs"][..],
        &["runs", "--output", "json"],
        &["runs", "--output", "jsonl"],
        &["runs", "show", "last"],
        &["runs", "show", "last", "--full"],
        &["runs", "show", "last", "--output", "json"],
        &["runs", "export", "last"],
        &["undo", "last"],
        &["undo", "last", "--full"],
        &["redo", "last"],
    ] {
        failures.harmless(&format!("{args:?}"), &desk.run(args));
    }
}

#[test]
fn what_a_journal_says() {
    let mut failures = Failures::default();
    let desk = Desk::new();
    desk.does("iam.profiles.tag('alpha', { Owner = 'ops' })");
    for text in [HOSTILE, HIGH] {
        let journal = rusqlite::Connection::open(desk.path("state/journal.db")).expect("a journal");
        let json = serde_json::json!({ "owner": text }).to_string();
        let set =
            "UPDATE run SET script = ?1, operator = ?1, error = ?1, command = ?1, parameters = ?2";
        journal.execute(set, [text, &json]).expect("it is ours");
        let set = "UPDATE change SET name = ?1, error = ?1, note = ?1";
        journal.execute(set, [text]).expect("it is ours");
        journal
            .execute("UPDATE change SET before = replace(before, 'dev', ?1)", [HIGH])
            .expect("it is ours");
        drop(journal);
        shows_the_journal(&desk, &mut failures);
        failures.shown("runs", &desk.run(&["runs"]));
        failures.shown("runs show", &desk.run(&["runs", "show", "last"]));
        failures.shown("runs export", &desk.run(&["runs", "export", "last"]));
    }
}

#[test]
fn what_a_plan_says() {
    let mut failures = Failures::default();
    let desk = Desk::new();
    desk.write("work.lua", "iam.profiles.tag('alpha', { Owner = 'ops' })");
    let planned = desk.run(&["plan", "work.lua", "--output", "json"]).ends(0, "");
    let mut plan: serde_json::Value = serde_json::from_str(&planned.out).expect("a plan");
    for text in [HOSTILE, HIGH] {
        // The previous state in a plan is untrusted text.
        plan["changes"][0]["before"]["tags"]["Owner"] = text.into();
        plan["script"][0] = text.into();
        plan["parameters"] = serde_json::json!({ text: text });
        plan.as_object_mut().expect("an object").shift_remove("checksum");
        let checksum = iamlua::session::plan::sha256(plan.to_string().as_bytes());
        plan["checksum"] = format!("sha256:{checksum}").into();
        desk.write("plan.json", plan.to_string());
        for args in [
            &["show", "plan.json"][..],
            &["show", "plan.json", "--full"],
            &["show", "plan.json", "--output", "json"],
            &["show", "plan.json", "--output", "jsonl"],
        ] {
            let ran = desk.run(args).ends(0, "");
            failures.shown(&format!("{args:?}"), &ran);
        }
        failures.harmless("Markdown", &desk.run(&["show", "plan.json", "--markdown"]));
        failures.shown("apply", &desk.run(&["apply", "plan.json"]).ends(4, "is not as it was"));
    }
}

/// Writes files whose names and contents are hostile, and returns the name of a script.
fn write_files(desk: &Desk, text: &str, quoted: &str) -> String {
    let script = format!("{text}.lua");
    desk.write(&script, "error('x')");
    desk.write("error.lua", format!("error({quoted})"));
    desk.write("table.lua", format!("error({{ [{quoted}] = {quoted} }})"));
    desk.write("module.lua", format!("require({quoted})"));
    desk.write("global.lua", format!("local t = {{}} t[{quoted}]()"));
    desk.write("syntax.lua", format!("x = '{}' )", text.replace('\r', "")));
    desk.write("chunk.lua", format!("local f = assert(load('error(1)', {quoted})) f()"));
    desk.write(
        "runbook.lua",
        format!(
            "runbook {{ description = {quoted}, params = {{ owner = {{ help = {quoted}, \
             choices = {{ {quoted}, 'b' }} }} }} }}"
        ),
    );
    desk.write("wrong.lua", format!("runbook {{ [{quoted}] = 1 }}"));
    desk.write("asks.lua", format!("runbook {{ permissions = {{ run = {{ {quoted} }} }} }}"));
    desk.write("reads.lua", format!("fs.read({quoted})"));
    desk.write("starts.lua", format!("process.run({quoted}, {{ {quoted} }})"));
    desk.write("fails.lua", format!("print(process.run('sh', {{ '-c', 'printf %s \"$1\" >&2; exit 3', 'x', {quoted} }}, {{ check = true }}))"));
    desk.write("argument.lua", format!("iam.profiles.get({quoted})"));
    desk.write("log.lua", format!("log.error({quoted}, {{ a = {quoted} }})"));
    desk.write("config/a.toml", format!("'{HIGH}' = 1\n"));
    desk.write("config/b.toml", format!("mode = '{HIGH}'\n"));
    desk.write(
        "account2.json",
        format!("{{\"format\": \"iamlua-account\", {}: 1 }}", serde_json::json!(text)),
    );
    desk.write(
        "tests/a_test.lua",
        format!("it({quoted}, function() print({quoted}) error({quoted}) end)"),
    );
    desk.write(&format!("jobs/{text}.lua"), "runbook { every = '1h' }");
    desk.write("jobs/wrong.lua", format!("runbook {{ schedule = {quoted} }}"));
    script
}

#[test]
fn what_is_in_files_and_on_the_command_line() {
    let mut failures = Failures::default();
    let desk = Desk::new();
    for text in [HOSTILE, HIGH] {
        let quoted = format!("{text:?}").replace("\\u{", "\\u{");
        let script = write_files(&desk, text, &quoted);
        let hostile: &[&[&str]] = &[
            &["run", &script],
            &["plan", &script],
            &["run", "error.lua"],
            &["run", "table.lua"],
            &["run", "module.lua"],
            &["run", "global.lua"],
            &["run", "syntax.lua"],
            &["run", "chunk.lua"],
            &["run", "runbook.lua", "--help"],
            &["run", "runbook.lua", "--owner", text, HIGH],
            &["run", "runbook.lua", &format!("--{HIGH}")],
            &["run", "wrong.lua"],
            &["run", "asks.lua"],
            &["run", "reads.lua"],
            &["run", "starts.lua"],
            &["run", "--allow-run", "starts.lua"],
            &["run", "--allow-run", "--plan", "starts.lua"],
            &["run", "argument.lua"],
            &["run", "log.lua"],
            &["schedule", "jobs", "--log-format", text],
            &["run", &format!("missing{text}.lua")],
            &[&format!("--{HIGH}")],
            &[text],
            &["--config", text, "-e", ""],
            &["--config", "config/a.toml", "-e", ""],
            &["--config", "config/b.toml", "-e", ""],
            &["--output", text, "-e", ""],
            &["--profile", text, "-e", "iam.account()"],
            &["--region", text, "--aws", "-e", "iam.account()"],
            &["--endpoint-url", text, "-e", "iam.account()"],
            &["--faults", text, "-e", ""],
            &["--timeout", text, "-e", ""],
            &["--allow-net", text, "-e", ""],
            &["show", text],
            &["apply", text],
            &["account", "import", "account2.json"],
            &["account", "import", text],
            &["account", "quota", text],
            &["runs", "show", text],
            &["undo", text],
            &["redo", text],
            &["doc", text],
            &["init", &format!("new/{HIGH}")],
            &["test", "tests"],
            &["test", "tests", "--output", "junit"],
            &["test", "tests", "--output", "tap"],
            &["test", "tests", "--list"],
            &["test", text],
            &["schedule", "jobs", "--list"],
            &["schedule", "jobs", "--list", "--output", "json"],
            &["schedule", "show", text],
            &["schedule", "run", text],
            &["policy", &script],
            &["policy", "wrong.lua"],
            &["watch", text],
        ];
        for args in hostile {
            failures.shown(&format!("{args:?}"), &desk.run(args));
        }
        failures.harmless("a failed program", &desk.run(&["run", "--allow-run=sh", "fails.lua"]));
        for file in [script, format!("jobs/{text}.lua")] {
            fs::remove_file(desk.path(&file)).expect("it is ours");
        }
    }
}

#[test]
fn what_is_in_the_environment() {
    let mut failures = Failures::default();
    let desk = Desk::new();
    desk.write(
        "aws-config",
        format!(
            "[profile {HIGH}]\nregion = {HIGH}\n[profile role]\nrole_arn = {HIGH}\n\
             source_profile = {HIGH}\n[profile process]\n\
             credential_process = sh -c \"printf 'h\\\\033[2J\\\\302\\\\2332Je' >&2; exit 3\"\n\
             [profile says]\ncredential_process = printf 'h\\\\302\\\\2332Je'\n"
        ),
    );
    for (name, value, args) in [
        ("AWS_PROFILE", HOSTILE, &["whoami"][..]),
        ("AWS_PROFILE", HIGH, &["whoami"]),
        ("AWS_PROFILE", "role", &["whoami"]),
        ("AWS_PROFILE", "process", &["whoami"]),
        ("AWS_PROFILE", "says", &["whoami"]),
        ("AWS_REGION", HOSTILE, &["--aws", "whoami"]),
        ("AWS_ENDPOINT_URL", HOSTILE, &["--aws", "whoami"]),
        ("AWS_CONFIG_FILE", HOSTILE, &["--profile", "a", "whoami"]),
        ("AWS_CA_BUNDLE", HOSTILE, &["--aws", "whoami"]),
        ("HTTPS_PROXY", HOSTILE, &["--aws", "whoami"]),
        ("IAMLUA_HOME", HOSTILE, &["runs", "show", "x"]),
        ("IAMLUA_MODE", HOSTILE, &["-e", ""]),
        ("IAMLUA_CONFIG", HOSTILE, &["-e", ""]),
    ] {
        let mut command = desk.command(args);
        command.env("AWS_CONFIG_FILE", desk.path("aws-config"));
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env(name, value);
        let ran = Ran::from(command.output().expect("the program starts"));
        failures.harmless(&format!("{name}={value:?}"), &ran);
    }
    let no_text = OsStr::from_bytes(b"h\xff\x1b[2J.lua");
    let mut command = desk.command(&["run"]);
    failures
        .shown("no text", &Ran::from(command.arg(no_text).output().expect("the program starts")));
}

#[test]
fn what_a_script_prints_at_a_terminal() {
    let desk = Desk::new();
    let code = r#"
        print("a\27[2J\27]0;title\7b\r\u{9b}2J\u{202e} \27[31mred\27[0m")
        report({ { name = "c\27[2Jd" } })
        log.info("e\27[2Jf")
        io.write("raw\27[1mbold\27[0m\n") print("end")"#;
    let terminal = Terminal::start(&mut desk.command(&["-e", code]), 24, 100);
    terminal.wait("end", |screen| screen.contains("\nend"));
    let screen = terminal.screen();
    for shown in ["a\\x1b[2J\\x1b]0;title\\ab\\r", "red", "c\\x1b[2Jd", "e\\x1b[2Jf", "rawbold"] {
        assert!(screen.contains(shown), "{shown}: {screen}");
    }
    let ran = desk.run(&["-e", "print('a\\27[2J')"]).ends(0, "");
    assert_eq!(ran.out, "a\u{1b}[2J\n", "a program that reads it gets the bytes");
}
