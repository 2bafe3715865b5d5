//! `iamlua.toml`.

use super::{Desk, TAG_ALL, WORK};
use crate::end_to_end::Ran;
use crate::terminal::Terminal;

#[test]
fn the_projects_file_wins_over_the_users_and_tightens_its_guards() {
    let desk = Desk::new();
    desk.write("config/iamlua/iamlua.toml", "max_changes = 1\nprotect = [\"alpha\"]\n");
    desk.run(&["-e", TAG_ALL]).ends(4, "may make 1 change");
    desk.write("iamlua.toml", "max_changes = 2\nregion = 'eu-west-1'\nprotect = [\"beta\"]\n");
    desk.run(&["-e", "iam.profiles.tag('alpha', { A = '1' })"]).ends(4, "alpha is protected");
    desk.run(&["-e", "iam.profiles.tag('beta', { A = '1' })"]).ends(4, "beta is protected");
    let three = "for i = 1, 3 do iam.profiles.create('n' .. i) end";
    desk.run(&["-e", three]).ends(4, "may make 1 change");
    desk.write("config/iamlua/iamlua.toml", "max_changes = 3\nprotect = [\"alpha\"]\n");
    desk.run(&["-e", three.replace("'n'", "'m'").as_str()]).ends(4, "may make 2 changes");
    let only = desk.0.path("only.toml");
    desk.write("only.toml", "max_changes = 9");
    // One of the four changes was made before the limit was reached, and is not repeated.
    desk.run(&["--config", only.to_str().expect("UTF-8"), "-e", TAG_ALL]).ends(0, "3 changes");
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
fn an_empty_config_option_drops_defaults_and_keeps_guards() {
    let desk = Desk::new();
    desk.write("iamlua.toml", "target = \"aws\"\nprofile = \"none\"\ntimeout = \"1ms\"");
    desk.run(&["--config", "", "-e", TAG_ALL]).ends(0, "4 changes");
    let again = TAG_ALL.replace("'1'", "'2'");
    desk.run(&["--config=", "-e", &again]).ends(0, "4 changes");
    let before = desk.account();
    for (guard, code, why) in [
        ("max_changes = 0", 4, "max_changes"),
        ("mode = \"plan\"", 0, "Plan only."),
        ("mode = \"read-only\"", 4, "may only read"),
        ("protect = [\"*\"]", 4, "protect"),
    ] {
        desk.write("iamlua.toml", format!("timeout = \"1ms\"\n{guard}"));
        let create = "iam.profiles.tag('alpha', { All = '3' })";
        desk.run(&["--config", "", "-e", create]).ends(code, why);
        assert_eq!(desk.account(), before, "{guard}");
    }
    desk.write("iamlua.toml", "max_changes = nonsense");
    desk.run(&["--config", "", "-e", TAG_ALL]).ends(2, "this is not TOML");
    // Another file has its own guards.
    desk.write("other.toml", "");
    desk.run(&["--config", "other.toml", "-e", &TAG_ALL.replace("'1'", "'4'")])
        .ends(0, "4 changes");
}

#[test]
fn the_configured_mode_holds_unless_a_flag_says_otherwise() {
    let desk = Desk::new();
    let before = desk.account();
    desk.write("iamlua.toml", "mode = \"plan\"");
    desk.run(&["-e", WORK]).ends(0, "Plan only. Add --apply to make these changes.");
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
    desk.run(&["trust"]).ends(0, "trusted: ./iamlua.toml sets endpoint_url");
    let planned = desk.run(&["-e", WORK]).ends(0, "Plan only. Add --apply to make these changes.");
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
    desk.run(&["trust"]).ends(0, "trusted");
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
        &["apply", "plan.json", "--yes"],
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

#[test]
fn a_project_leads_calls_elsewhere_only_once_somebody_has_accepted_it() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let config = |more: &str| format!("endpoint_url = \"{}\"\n{more}", endpoint.url);
    desk.write("aws-config", "[profile dev]\nregion = eu-west-1\n");
    desk.write("iamlua.toml", config(""));
    desk.write("work.lua", WORK);
    desk.run(&["--local", "-e", "iam.profiles.tag('alpha', { By = 'local' })"]).ends(0, "");
    let calls = || desk.account();
    let before = calls();
    for args in [
        &["-e", "print(iam.account().id)"][..],
        &["--yes", "-e", "print(iam.account().id)"],
        &["--aws", "-e", "print(iam.account().id)"],
        &["run", "work.lua", "--apply", "--yes"],
        &["plan", "work.lua"],
        &["undo", "last", "--apply"],
        &["whoami"],
        &["watch", "work.lua"],
        &["schedule", "work.lua"],
    ] {
        let ran = desk.run(args).ends(4, "iamlua.toml sets endpoint_url \"http://127.0.0.1:");
        assert!(ran.err.contains("is not trusted yet") && ran.out.is_empty(), "{args:?}: {ran:?}");
        assert!(ran.err.contains("hint: if you know who wrote it, `iamlua trust "), "{ran:?}");
    }
    assert_eq!(calls(), before);
    // Options that replace the settings need no trust, and neither does a file that is named.
    for args in [
        &["--local", "-e", ""][..],
        &["--config", "", "-e", ""],
        &["--config", "iamlua.toml", "-e", ""],
        &["--endpoint-url", &endpoint.url.replace("127.0.0.1", "localhost"), "-e", ""],
    ] {
        desk.run(args).ends(0, "");
    }
    desk.run(&["trust"]).ends(0, "trusted: ./iamlua.toml sets endpoint_url");
    let ran = desk.run(&["-e", "print(iam.account().id)"]).ends(0, "iamlua.toml sets endpoint_url");
    assert_eq!(ran.out, "123456789012\n");
    // An additional setting, or another value, must be accepted again.
    desk.write("iamlua.toml", config("profile = \"dev\"\n"));
    desk.run(&["-e", ""]).ends(4, "sets endpoint_url");
    desk.write("iamlua.toml", config("max_changes = 5\n"));
    desk.run(&["-e", ""]).ends(0, "");
    desk.write("iamlua.toml", "endpoint_url = \"http://127.0.0.1:9\"\n");
    desk.run(&["-e", ""]).ends(4, "http://127.0.0.1:9");
    // Trust belongs to the project, and can be revoked.
    desk.write("iamlua.toml", config(""));
    let listed = desk.run(&["trust", "--list"]).ends(0, "");
    assert!(listed.out.contains("/iamlua.toml  endpoint_url \"http://127.0.0.1:"), "{listed:?}");
    desk.write("copy/iamlua.toml", config(""));
    let mut elsewhere = desk.command(&["-e", ""]);
    let ran = elsewhere.current_dir(desk.path("copy")).output().expect("it starts");
    Ran::from(ran).ends(4, "is not trusted yet");
    desk.run(&["trust", "--revoke"]).ends(0, "is not trusted any more");
    desk.run(&["-e", ""]).ends(4, "is not trusted yet");
    desk.write("iamlua.toml", "region = \"eu-west-1\"\n");
    desk.run(&["trust"]).ends(0, "it needs no trust");
}

#[test]
fn a_person_at_the_terminal_is_asked_about_a_project_once() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    desk.write("iamlua.toml", format!("endpoint_url = \"{}\"\n", endpoint.url));
    let start = || Terminal::start(&mut desk.command(&["-e", "print('ran')"]), 24, 200);
    for (answer, runs) in [("n", false), ("", false), ("y", true)] {
        let mut terminal = start();
        terminal.wait("[y/N]", |screen| screen.contains("Trust it? [y/N]"));
        terminal.keys(&format!("{answer}\r"));
        assert_eq!(terminal.ends().code(), Some(if runs { 0 } else { 4 }));
    }
    let mut terminal = start();
    terminal.wait("ran", |screen| screen.contains("\nran"));
    assert_eq!(terminal.ends().code(), Some(0));
    assert!(!terminal.screen().contains("[y/N]"), "{}", terminal.screen());
    assert!(terminal.screen().contains("iamlua.toml sets endpoint_url"), "{}", terminal.screen());
}
