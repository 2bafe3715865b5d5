//! `iamlua show`, and the checks of `iamlua apply` that the approved plan is applied.

use std::path::Path;

use iamlua::config::Target;
use iamlua::session::destination::Destination;
use iamlua::session::plan::{Change, Plan, sha256};
use serde_json::json;

use super::{Desk, Endpoint, WORK, json_of};
use crate::end_to_end::Ran;
use crate::terminal::Terminal;

/// Key pair of `minisign -G -W`, without a password.
const KEY: &str = "untrusted comment: minisign encrypted secret key\n\
    RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbQQ2Rpy0hAq69mg759etBEL8oLIZlSpaPvx/2GWQIJJj3BI8MkBssHD5SFwl0flteryvac0pCtTm2JPWMa5Cix1v8K6zRpG6AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
const PUBLIC: &str = "RWRtBDZGnLSECnD5SFwl0flteryvac0pCtTm2JPWMa5Cix1v8K6zRpG6";
/// Public key of somebody else.
const OTHER: &str = "RWRRxl6SpNa4Q6QWf7mj9vZNDQSSW441xApPQBWNVDoKPgdKl3zB27ry";
/// Secret key with the password `pass wörd`, and its public key.
const LOCKED: &str = "untrusted comment: a key with a password\n\
    RWRTY0IymF+x6+L+YpEe/6ZWBZW4staNw7tiDBVr6N/6DNb5bYoAABAAAAAAAAAAAAIAAAAAJyobHSKT0OAb31eCOd/SdfME5uKW+uNJDZDwWhZ1tj4SCouIUEGKIzd79HYibNXKpsb0bReFs0fcwuLk/z0ogMDK+XqGFTbCD8XZa/IzqIxCnk0iIBWTVKj9nXv8tw0Se8eDia6XArw=\n";
const LOCKED_PUBLIC: &str = "RWRIO4J8I0sO9IN75OyIyyCHRvrsrFdKCRlwsV3Y91+PvcV51mZLwqZG";

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

/// Edits the plan in `plan.json`.
fn edit(desk: &Desk, edit: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = Plan::from_file("plan.json", &desk.read("plan.json")).expect("a plan");
    edit(&mut plan);
    desk.write("plan.json", plan.to_file().expect("a plan is JSON"));
    plan
}

fn site(account: &str) -> Destination {
    Destination {
        target: Target::Aws,
        account: Some(account.into()),
        caller: None,
        profile: None,
        region: None,
        endpoint_url: None,
        roles: Vec::new(),
    }
}

/// Writes a plan with that many changes, over three accounts.
fn large(desk: &Desk, count: usize) {
    desk.plans("iam.profiles.tag('alpha', { Owner = 'ops' })");
    edit(desk, |plan| {
        plan.sites = ["111111111111", "222222222222", "333333333333"].map(site).into();
        let one = plan.changes[0].clone();
        let changes = (0..count).map(|at| {
            let name = format!("profile-{at}");
            let named = |state: &Option<iamlua::iam::snapshot::Snapshot>| {
                let mut state = state.clone();
                state.as_mut().expect("it is there").name.clone_from(&name);
                state
            };
            Change {
                number: at as u64 + 1,
                site: at % 3,
                arguments: json!({ "name": name, "tags": { "Owner": "ops" } }),
                before: named(&one.before),
                after: named(&one.after),
                name,
                ..one.clone()
            }
        });
        plan.changes = changes.collect();
    });
}

#[test]
fn a_plan_is_shown_with_where_it_comes_from() {
    let desk = Desk::new();
    desk.write("work.lua", format!("runbook {{ params = {{ owner = {{}} }} }}\n{WORK}"));
    desk.run(&["plan", "work.lua", "--owner", "ops", "-o", "plan.json"]).ends(0, "iamlua show");
    let file = desk.read("plan.json");
    let plan = Plan::from_file("plan.json", &file).expect("a plan");
    let before = desk.account();
    let shown = desk.run(&["show", "plan.json"]).ends(0, "");
    let hash = sha256(file.as_bytes());
    let script = plan.script.as_ref().expect("a script");
    has(
        &shown.out,
        &[
            &format!("plan {}\n", plan.id),
            "  file       plan.json\n",
            &format!("  sha256     {hash}\n"),
            &format!("  created    {}\n", plan.created),
            &format!("  script     {}, sha256 {}\n", script.0, &script.1[..12]),
            "owner=ops",
            "Plan for the local account 123456789012",
            "~ tag profile alpha: Owner dev → ops",
            "Plan: 1 to create, 3 to change, 1 to delete (6 calls to make)",
        ],
    );
    let json = desk.run(&["show", "plan.json", "--output", "json"]).ends(0, "");
    assert_eq!(json.out, file);
    let lines = desk.run(&["show", "plan.json", "--output", "jsonl"]).ends(0, "");
    let lines: Vec<_> = lines.out.lines().map(json_of).collect();
    assert_eq!(json!(lines), json_of(&file)["changes"]);
    desk.run(&["show", "plan.json", "--output", "csv"]).ends(2, "--output json");
    desk.run(&["show", "no-such-plan.json"]).ends(2, "there is no plan no-such-plan.json");
    let mut from_input = desk.command(&["show", "-"]);
    from_input.stdin(std::fs::File::open(desk.path("plan.json")).expect("a plan"));
    let from_input = Ran::from(from_input.output().expect("it starts")).ends(0, "");
    assert_eq!(from_input.out, shown.out.replace("file       plan.json", "file       -"));
    desk.write("broken.json", &file[..file.len() / 2]);
    desk.run(&["show", "broken.json"]).ends(4, "is cut short");
    assert_eq!(desk.account(), before);
}

#[test]
fn a_plan_of_an_undo_and_one_that_is_not_whole_say_so() {
    let desk = Desk::new();
    desk.does("iam.profiles.tag('alpha', { Owner = 'ops' })");
    let run = desk.last_id();
    desk.run(&["undo", "last", "-o", "undo.json"]).ends(0, "kept in undo.json");
    let shown = desk.run(&["show", "undo.json"]).ends(0, "");
    has(&shown.out, &[&format!("  undoes     run {run}\n")]);
    desk.write("half.lua", "iam.profiles.tag('beta', { A = '1' }) error('then it broke')");
    desk.run(&["plan", "half.lua", "-o", "half.json"]).ends(1, "then it broke");
    let shown = desk.run(&["show", "half.json"]).ends(0, "");
    has(&shown.out, &["  incomplete ", "then it broke"]);
    let markdown = desk.run(&["show", "half.json", "--markdown"]).ends(0, "");
    has(&markdown.out, &["**The plan is incomplete", "then it broke"]);
}

#[test]
fn a_large_plan_over_several_accounts_fits_one_screen() {
    let desk = Desk::new();
    large(&desk, 1000);
    let shown = desk.run(&["show", "plan.json"]).ends(0, "");
    let lines: usize = shown.out.lines().map(|line| line.len().div_ceil(80).max(1)).sum();
    assert!(lines <= 24, "{lines} lines: {}", shown.out);
    for (account, count) in [("111111111111", 334), ("222222222222", 333), ("333333333333", 333)] {
        has(&shown.out, &[&format!("AWS account {account}: {count} to change")]);
    }
    let full = desk.run(&["show", "plan.json", "--full"]).ends(0, "");
    assert_eq!(full.out.matches("~ tag profile profile-").count(), 1000);
    let markdown = desk.run(&["show", "plan.json", "--markdown"]).ends(0, "");
    has(&markdown.out, &["| <code>AWS account 222222222222</code> | 0 | 333 | 0 |"]);
    assert!(markdown.out.lines().count() < 30, "{}", markdown.out);
}

#[test]
fn what_a_plan_holds_cannot_act_on_a_terminal_or_end_a_block_of_markdown() {
    let desk = Desk::new();
    desk.plans("iam.profiles.tag('alpha', { Owner = 'ops' })");
    let hostile = "\u{1b}[2J\u{202e}x\u{200b}\n```\n</details>| @all `";
    edit(&desk, |plan| {
        plan.created = format!("now{hostile}");
        plan.script = Some((format!("work.lua{hostile}"), "0".repeat(64)));
        plan.parameters = Some(json!({ "owner": hostile }));
        plan.sites[0].account = Some(format!("1{hostile}"));
        plan.incomplete = Some(hostile.into());
        let before = plan.changes[0].before.as_mut().expect("it is there");
        before.tags.insert("Owner".into(), hostile.into());
    });
    let acts = |text: &str| text.chars().any(|c| c != '\n' && iamlua::escape::acts(c));
    let shown = desk.run(&["show", "plan.json"]).ends(0, "");
    assert!(!acts(&shown.out), "{shown:?}");
    has(&shown.out, &[r"Owner", r"\x1b[2J\u{202e}x\u{200b}\n```\n</details>| @all `"]);
    let markdown = desk.run(&["show", "plan.json", "--markdown"]).ends(0, "").out;
    assert!(!acts(&markdown), "{markdown}");
    let lines: Vec<_> = markdown.lines().collect();
    let fences: Vec<_> = (0..lines.len()).filter(|at| lines[*at].starts_with("````")).collect();
    assert_eq!((fences.len(), lines[fences[0]]), (2, "````diff"), "{markdown}");
    for (at, line) in lines.iter().enumerate() {
        if (fences[0]..=fences[1]).contains(&at) {
            continue;
        }
        assert!(!line.contains(['`', '@']), "{line}");
        assert!(!line.contains("</details>") || *line == "</details>", "{line}");
        if line.starts_with('|') {
            assert_eq!(line.matches('|').count(), 5, "{line}");
        }
    }
    // The id becomes part of a file name.
    for id in ["../../plan", "a b", "", hostile] {
        let mut plan = Plan::from_file("plan.json", &desk.read("plan.json")).expect("a plan");
        plan.undoes = Some(id.into());
        desk.write("undoes.json", plan.to_file().expect("a plan is JSON"));
        plan = Plan { id: id.into(), undoes: None, ..plan };
        desk.write("id.json", plan.to_file().expect("a plan is JSON"));
        for name in ["undoes.json", "id.json"] {
            desk.run(&["apply", name, "--allow-incomplete"]).ends(4, "has an id that is none");
        }
    }
}

#[test]
fn a_plan_that_does_something_else_than_it_shows_is_refused() {
    let desk = Desk::new();
    desk.plans("iam.profiles.tag('alpha', { Owner = 'ops' })");
    edit(&desk, |plan| {
        plan.changes[0].arguments = json!({ "name": "alpha", "tags": { "Owner": "evil" } });
    });
    for command in ["show", "apply"] {
        desk.run(&[command, "plan.json"]).ends(4, "does not say what change 1 does");
    }
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
}

#[test]
fn a_plan_is_no_script() {
    let desk = Desk::new();
    desk.plans(WORK);
    let plan = desk.read("plan.json");
    desk.write("cut short.json", &plan[..200]);
    desk.write("sorted.json", json_of(&plan).to_string());
    for command in ["run", "plan", "policy"] {
        for (name, word) in [
            ("plan.json", "plan.json"),
            ("cut short.json", "'cut short.json'"),
            ("sorted.json", "sorted.json"),
        ] {
            let refused = desk.run(&[command, name]).ends(2, &format!("{name} is a plan"));
            let (show, apply) = (format!("iamlua show {word}"), format!("iamlua apply {word}"));
            has(&refused.err, &[&show, &apply]);
        }
    }
    let mut from_input = desk.command(&["run", "-"]);
    from_input.stdin(std::fs::File::open(desk.path("plan.json")).expect("a plan"));
    Ran::from(from_input.output().expect("it starts")).ends(2, "iamlua apply -");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
}

/// Desk with a plan for an account behind a URL.
fn on_aws() -> (Desk, Endpoint) {
    let desk = Desk::new();
    let endpoint = desk.serve();
    desk.write("work.lua", WORK);
    desk.run(&["plan", "work.lua", "--endpoint-url", &endpoint.url, "-o", "plan.json"]).ends(0, "");
    (desk, endpoint)
}

#[test]
fn on_aws_apply_asks_or_is_told_not_to() {
    let (desk, _endpoint) = on_aws();
    let before = desk.account();
    let refused = desk.run(&["apply", "plan.json"]).ends(4, "the plan makes 6 changes on AWS");
    has(&refused.err, &["no terminal to ask at", "hint:", "--yes"]);
    let at_terminal = || Terminal::start(&mut desk.command(&["apply", "plan.json"]), 40, 100);
    let mut terminal = at_terminal();
    let screen = terminal.until("Make these 6 changes? [y/N]");
    has(&screen, &["Plan for AWS account 123456789012", "~ tag profile alpha: Owner dev → ops"]);
    terminal.keys("\r");
    terminal.until("not confirmed, so nothing was changed");
    assert_eq!(terminal.ends().code(), Some(4));
    assert_eq!(desk.account(), before);

    let mut terminal = at_terminal();
    terminal.until("Make these 6 changes? [y/N]");
    terminal.keys("y\r");
    terminal.until("6 done");
    assert_eq!(terminal.ends().code(), Some(0));
    let hash = sha256(desk.read("plan.json").as_bytes());
    desk.run(&["apply", "plan.json", "-y", "--sha256", &hash]).ends(0, "6 done before");
    // A plan without changes needs no answer.
    edit(&desk, |plan| plan.changes.clear());
    desk.run(&["apply", "plan.json"]).ends(0, "the plan has no changes");
}

#[test]
fn apply_takes_no_other_file_than_the_one_that_was_approved() {
    let desk = Desk::new();
    desk.plans(WORK);
    let hash = sha256(desk.read("plan.json").as_bytes());
    let (before, zeros) = (desk.account(), "0".repeat(64));
    // The hash differs each time; a digit of it may be a zero.
    let digit = if hash.as_bytes()[16] == b'0' { '1' } else { '0' };
    for other in [&zeros[..], &zeros[..16], &format!("{}{digit}", &hash[..16])] {
        let refused = desk.run(&["apply", "plan.json", "--sha256", other]);
        let refused = refused.ends(4, "is not the plan that was approved");
        has(&refused.err, &[&hash, other, "iamlua show plan.json"]);
    }
    for wrong in ["", "abc", &hash[..15], &format!("{hash}0"), &zeros.replace('0', "g")] {
        desk.run(&["apply", "plan.json", "--sha256", wrong]).ends(2, "16 to 64 hexadecimal digits");
    }
    // A change of white space alone changes the hash.
    desk.write("spaced.json", desk.read("plan.json").replace("\": ", "\" : "));
    desk.run(&["show", "spaced.json"]).ends(0, "");
    desk.run(&["apply", "spaced.json", "--sha256", &hash]).ends(4, "is not the plan");
    assert_eq!(desk.account(), before);
    let approved = hash[..16].to_uppercase();
    desk.run(&["apply", "plan.json", "--sha256", &approved]).ends(0, "6 done");
    desk.run(&["apply", "plan.json", "--sha256", &hash]).ends(0, "6 done before");
}

#[test]
fn a_plan_must_be_signed_where_that_is_required() {
    let desk = Desk::new();
    desk.write("minisign.key", KEY);
    desk.write("other.pub", format!("untrusted comment: somebody else\n{OTHER}\n"));
    desk.write("work.lua", WORK);
    let plan = ["plan", "work.lua", "-o", "plan.json", "--sign", "minisign.key"];
    desk.run(&plan).ends(0, "signed with the key 0A84B49C4636046D: plan.json.minisig");
    let (signed, signature) = (desk.read("plan.json"), desk.read("plan.json.minisig"));
    let before = desk.account();
    let apply = |more: &[&str]| desk.run(&[&["apply", "plan.json"], more].concat());
    let by = |key| ["--require-signature", key];

    apply(&by(OTHER)).ends(4, "was made with the key 0A84B49C4636046D, and the plan must be");
    apply(&by("other.pub")).ends(4, "must be signed with 43B8D6A4925EC651");
    apply(&by("no.pub")).ends(2, "there is no public key no.pub");
    desk.write("plan.json", signed.replace("\": ", "\" : "));
    apply(&by(PUBLIC)).ends(4, "is not a signature of this plan by the key 0A84B49C4636046D");
    desk.write("plan.json", &signed);
    std::fs::remove_file(desk.path("plan.json.minisig")).expect("a signature");
    let unsigned =
        apply(&by(PUBLIC)).ends(4, "plan.json must be signed, and there is no plan.json.minisig");
    has(&unsigned.err, &["minisign -S -m plan.json", "--sign"]);
    desk.write("plan.json.minisig", "nonsense");
    apply(&by(PUBLIC)).ends(4, "is not a signature of minisign");
    desk.write("plan.json.minisig", &signature);
    let mut from_input = desk.command(&["apply", "-", "--require-signature", PUBLIC]);
    from_input.stdin(std::fs::File::open(desk.path("plan.json")).expect("a plan"));
    Ran::from(from_input.output().expect("it starts")).ends(4, "on standard input");

    // Requirements of the configuration hold in addition to the command line.
    desk.write("iamlua.toml", "require_signature = [\"other.pub\"]");
    apply(&[]).ends(4, "must be signed with 43B8D6A4925EC651");
    apply(&by(PUBLIC)).ends(4, "must be signed with 43B8D6A4925EC651");
    desk.write("iamlua.toml", format!("require_signature = [\"other.pub\", \"{PUBLIC}\"]"));
    apply(&by(OTHER)).ends(4, "must be signed with 43B8D6A4925EC651");
    assert_eq!(desk.account(), before);
    apply(&[]).ends(0, "signed with the key 0A84B49C4636046D");
    apply(&[&by(OTHER)[..], &by(PUBLIC)].concat()).ends(0, "6 done before");
}

#[test]
fn a_key_that_cannot_sign_is_found_before_the_script_runs() {
    let desk = Desk::new();
    desk.write("work.lua", "print('the script speaks')");
    desk.write("locked.key", LOCKED);
    desk.write("no.key", "nonsense");
    for (key, why) in [
        ("missing.key", "there is no secret key missing.key"),
        ("no.key", "is not a secret key of minisign"),
        ("locked.key", "has a password, and there is no terminal to ask at"),
    ] {
        let mut command = desk.command(&["plan", "work.lua", "-o", "plan.json", "--sign", key]);
        // Detached from the terminal of the test process.
        let ran = Ran::from(detached(&mut command).output().expect("it starts")).ends(2, why);
        assert!(!ran.err.contains("the script speaks"), "{ran:?}");
        assert!(!desk.path("plan.json").exists());
    }
    desk.write("minisign.key", KEY);
    desk.run(&["plan", "work.lua", "--sign", "minisign.key"]).ends(2, "--out");
    desk.run(&["run", "work.lua", "-o", "plan.json", "--sign", "minisign.key"]).ends(2, "--plan");
}

/// Puts the command into its own session, without a controlling terminal.
fn detached(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    // SAFETY: one system call between fork and exec.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        })
    }
}

#[test]
fn the_password_of_a_key_is_asked_for_without_an_echo() {
    let desk = Desk::new();
    desk.write("locked.key", LOCKED);
    desk.write("work.lua", WORK);
    let plan = ["plan", "work.lua", "-o", "plan.json", "--sign", "locked.key"];
    let mut terminal = Terminal::start(&mut desk.command(&plan), 40, 100);
    for (password, shows) in
        [("wrong", "That is not its password."), ("pass wörx\u{7f}d", "signed with the key")]
    {
        terminal.wait("a question", |screen| screen.trim_end().ends_with("locked.key:"));
        while terminal.echoes() {
            std::thread::yield_now();
        }
        terminal.keys(&format!("{password}\r"));
        let screen = terminal.until(shows);
        assert!(!screen.contains("wrong") && !screen.contains("pass w"), "{screen}");
    }
    assert_eq!(terminal.ends().code(), Some(0));
    assert!(Path::new(&desk.path("plan.json.minisig")).exists());
    let apply = ["apply", "plan.json", "--require-signature", LOCKED_PUBLIC];
    desk.run(&apply).ends(0, "6 done");
}
