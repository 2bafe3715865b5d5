//! Account in the prompt, planned changes, changes, and undo.

use super::{HERE, Seat};
use crate::commands::Desk;
use crate::end_to_end::Home;

#[test]
fn plans_are_shown_committed_and_taken_back() {
    let mut seat = Seat::with(&["--plan"], 60, 100, |_| {});
    seat.until_line("local acme-example plan> ");
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", "plan+1> ");
    seat.enter("for _, n in ipairs { 'a', 'b' } do iam.profiles.create(n) end", "plan+3> ");
    seat.enter("iam.profiles.find('a') ~= nil", "\ntrue\n");
    seat.enter(".changes", "Plan: 2 to create, 1 to change, 0 to delete");
    seat.enter(".apply", "changes are planned, which come before changing the mode");
    seat.enter(".undo", "2 changes no longer planned");
    seat.until_line("local acme-example plan+1> ");
    seat.enter("iam.profiles.find('a')", "\nnil\n");
    seat.enter("iam.profiles.tags('bastion').A", "\n\"1\"\n");
    seat.enter(".commit", "1 done");
    seat.until_line("local acme-example plan> ");
    seat.enter(".changes", "1 change made by this prompt");
    seat.enter(".undo", "Undo this in the local account");
    seat.enter("y", "1 done");
    seat.until_line("local acme-example plan> ");
    seat.enter("iam.profiles.tags('bastion').A", "\nnil\n");
    seat.enter("iam.profiles.create('c').name", "plan+1> ");
    seat.enter(".discard", "1 planned change forgotten");
    seat.enter("iam.profiles.create('d').name", "plan+1> ");
    seat.keys("\x04");
    seat.until("1 planned change will be forgotten");
    seat.keys("\x04");
    assert_eq!(seat.ends().code(), Some(0));
    let listed = seat.home.run(&["-e", "print(iam.profiles.find('c'), iam.profiles.find('d'))"]);
    assert_eq!(listed.out, "nil\tnil\n", "{listed:?}");
}

#[test]
fn programs_and_files_are_planned_until_the_mode_is_another() {
    let flags = ["--plan", "--allow-read", "--allow-write", "--allow-run"];
    let mut seat = Seat::with(&flags, 60, 160, |_| {});
    let file = seat.home.path("report.txt");
    seat.enter("iamlua.mode", "\n\"plan\"\n");
    seat.enter(&format!("local file = '{}'", file.display()), "plan> ");
    seat.enter("fs.write(file, '12')", "plan> ");
    seat.enter("#fs.read(file)", "\n2\n");
    seat.enter("process.run('true')", "not run: this is a plan");
    seat.enter(".changes", "Plan: nothing to change; outside of the account 1 program and 1 file");
    seat.enter(".commit", "1 program and 1 file are not part of .commit");
    seat.enter(".discard", "0 planned changes, 1 program and 1 file forgotten");
    seat.enter("try(fs.read, file) == nil", "\ntrue\n");
    seat.enter("fs.write(file, '12')", "plan> ");
    seat.enter(".apply", "1 file of the plan forgotten");
    seat.enter("iamlua.mode", "\n\"apply\"\n");
    assert!(!file.exists());
    seat.enter("fs.write(file, '12')", "APPLY> ");
    seat.enter("#fs.read(file)", "\n2\n");
    assert!(file.exists());
}

#[test]
fn a_plan_kept_in_a_file_is_one_for_apply() {
    let mut seat = Seat::with(&["--plan"], 40, 100, |_| {});
    let file = seat.home.path("plan.json");
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", "plan+1> ");
    seat.enter(&format!(".changes {}", file.display()), "makes the changes");
    seat.home.run(&["apply", file.to_str().expect("UTF-8")]).ends(0, "1 done");
}

#[test]
fn what_stops_a_commit_leaves_the_rest_planned() {
    let mut seat = Seat::with(&["--plan"], 60, 100, |_| {});
    for name in ["bastion", "worker", "eks-node"] {
        seat.enter(&format!("iam.profiles.tag('{name}', {{ A = '1' }})"), "plan+");
    }
    seat.until_line("local acme-example plan+3> ");
    // Another process makes a change first.
    seat.home.run(&["-e", "iam.profiles.tag('worker', { A = 'other' })"]).ends(0, "");
    seat.enter(".commit", "is not as it was when the plan was made");
    seat.until("still planned");
    seat.enter(".changes", "A other → 1");
    seat.enter(".commit", "done");
    seat.until_line("local acme-example plan> ");
    let tags = seat.home.run(&["-e", "for _, n in ipairs { 'bastion', 'worker', 'eks-node' } do print(iam.profiles.tags(n).A) end"]);
    assert_eq!(tags.out, "1\n1\n1\n");
}

#[test]
fn an_interrupted_commit_leaves_the_rest_planned() {
    let faults = "hold=iam:TagInstanceProfile";
    let mut seat = Seat::with(&["--plan", "--faults", faults], 60, 100, |_| {});
    // Each change depends on the one before, so they are made one after the other.
    seat.enter(
        "for i = 1, 12 do iam.profiles.tag('bastion', { A = tostring(i) }) end",
        "plan+12> ",
    );
    seat.clear();
    seat.keys(".commit\r");
    seat.until("12 changes to the local account");
    let gate = seat.home.gatekeeper();
    gate.passes(1);
    gate.holds(1);
    seat.keys("\x03");
    seat.until("calls in flight are being finished");
    let _open = gate.opens();
    let screen = seat.until("error: interrupted");
    assert!(screen.contains("still planned"), "{screen}");
    // Remaining planned changes are undone first, then those that were made.
    seat.enter(".undo", "no longer planned");
    seat.enter(".changes", "made by this prompt");
    seat.enter(".undo", "[y/N]");
    seat.enter("y", " done");
    seat.enter("iam.profiles.tags('bastion').A", "\nnil\n");
}

#[test]
fn changes_are_taken_back_one_entry_after_the_other() {
    let mut seat = Seat::new();
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", HERE);
    seat.enter(
        "for _, n in ipairs { 'worker', 'test' } do iam.profiles.tag(n, { A = '2' }) end",
        HERE,
    );
    seat.enter(".changes", "3 changes made by this prompt");
    seat.enter(".undo", "2 done");
    seat.enter(".undo", "1 done");
    seat.enter(".undo", "this prompt has made no change that could be undone");
    seat.enter(".changes", "what was changed was undone");
    seat.enter("iam.profiles.tags('test').A", "\nnil\n");
    // Redo in the opposite order.
    seat.enter(".redo", "1 done");
    seat.enter(".redo", "2 done");
    seat.enter(".redo", "there is no .undo whose changes could be made again");
    seat.enter("iam.profiles.tags('test').A", "\n\"2\"\n");
    seat.enter(".undo", "2 done");
    seat.enter("iam.profiles.tag('bastion', { A = '3' })", HERE);
    seat.enter(".redo", "there is no .undo whose changes could be made again");
    seat.enter(".undo", "1 done");
    seat.enter("iam.profiles.tags('bastion').A", "\n\"1\"\n");
}

#[test]
fn an_undo_of_a_deletion_does_not_stand_in_the_way_of_its_own_undo() {
    let mut seat = Seat::new();
    seat.enter("iam.profiles.create('u1') .name", "u1");
    seat.enter("iam.profiles.tag('u1', { A = '1' })", HERE);
    seat.enter("iam.profiles.delete('u1')", HERE);
    seat.enter(".undo", "create profile u1");
    seat.enter(".undo", "untag profile u1");
    seat.enter(".undo", "delete profile u1");
    seat.enter("iam.profiles.find('u1')", "\nnil\n");
}

#[test]
fn what_somebody_else_has_changed_is_passed_over() {
    let mut seat = Seat::new();
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", HERE);
    seat.enter("iam.profiles.tag('worker', { A = '1' })", HERE);
    seat.home.run(&["-e", "iam.profiles.tag('worker', { A = 'other' })"]).ends(0, "");
    seat.enter(".undo", "nothing is changed: profile worker: tag A was 1");
    seat.enter(".undo", "untag profile bastion");
    seat.enter(".undo", "this prompt has made no change that could be undone");
}

#[test]
fn an_undo_asks_where_changes_are_not_made() {
    let mut seat = Seat::new();
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", HERE);
    seat.enter(".read-only", "changes are refused from now on");
    seat.enter(".undo", "Undo this in the local account 123456789012 (acme-example)? [y/N]");
    seat.enter("", "nothing was changed");
    seat.enter(".undo", "[y/N]");
    seat.enter("y", "1 done");
}

#[test]
fn read_only_refuses_and_modes_are_switched() {
    let mut seat = Seat::with(&["--read-only"], 40, 100, |_| {});
    seat.until_line("local acme-example read-only> ");
    seat.enter("iam.profiles.create('a')", "this run may only read");
    seat.enter(".plan", "changes are planned from now on");
    seat.until_line("local acme-example plan> ");
    seat.enter(".plan", "it is plan already");
    seat.enter(".apply", "changes are made from now on");
    seat.until_line(HERE);
    seat.enter("iam.profiles.create('a').name", "\n\"a\"\n");
    seat.enter(".read-only", "changes are refused from now on");
    seat.enter("iam.profiles.delete('a')", "this run may only read");
    seat.enter(".aply", "did you mean .apply? .help lists them");
}

#[test]
fn on_aws_it_plans_and_asks_before_it_writes() {
    let home = Home::new();
    let (mut served, url) = crate::end_to_end::serve(&home, &[]);
    let keys = |command: &mut std::process::Command| {
        command.env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR").env("AWS_SECRET_ACCESS_KEY", "secret");
    };
    let mut seat = Seat::at(home, &["--endpoint-url", &url], 50, 100, keys);
    seat.enter("iam.account().alias", "\n\"acme-example\"\n");
    seat.until_line("aws acme-example plan> ");
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", "plan+1> ");
    seat.enter(".commit", "[y/N]");
    seat.enter("n", "nothing was changed");
    seat.until_line("aws acme-example plan+1> ");
    seat.enter(".commit", "Make 1 change in AWS account");
    seat.enter("y", "1 done");
    seat.enter(
        ".apply",
        "Make changes from now on in AWS account 123456789012 (acme-example)? [y/N]",
    );
    seat.keys("\x03");
    seat.until("nothing was changed");
    seat.enter(".apply", "[y/N]");
    seat.enter("y", "changes are made from now on");
    seat.until_line("aws acme-example APPLY> ");
    assert!(seat.raw().contains("\x1b[1m\x1b[31mAPPLY"), "{:?}", seat.raw());
    served.kill().expect("it serves");
    served.wait().expect("it ends");
}

#[test]
fn a_question_names_the_accounts_that_are_changed() {
    let (home, other) = (Home::new(), Desk::new());
    let account = other.read("account.json").replace("123456789012", "999999999999");
    other.write("account.json", account);
    other.run(&["account", "import", "account.json"]).ends(0, "account 999999999999");
    let elsewhere = other.serve();
    let (mut served, url) = crate::end_to_end::serve(&home, &[]);
    let keys = |command: &mut std::process::Command| {
        command.env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR").env("AWS_SECRET_ACCESS_KEY", "secret");
    };
    let mut seat =
        Seat::at(home, &["--endpoint-url", &url, "--allow-net=127.0.0.1"], 50, 200, keys);
    let there = &elsewhere.url;
    seat.enter(&format!("other = iam.connect {{ endpoint_url = {there:?} }}"), "plan> ");
    seat.enter("other.profiles.tag('alpha', { A = '1' })", "plan+1> ");
    let second = format!("AWS account 999999999999 at {there}");
    seat.enter(".commit", &format!("Make 1 change in {second}? [y/N]"));
    seat.enter("n", "nothing was changed");
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", "plan+2> ");
    let both = format!("AWS account 123456789012 at {url} and {second}");
    seat.enter(".commit", &format!("Make 2 changes in {both}? [y/N]"));
    seat.enter("y", "2 done");
    assert_eq!(other.profile("alpha")["tags"]["A"], "1");
    served.kill().expect("it serves");
    served.wait().expect("it ends");
}

#[test]
fn a_configuration_that_only_reads_is_kept_to() {
    let home = Home::new();
    home.write("iamlua.toml", "mode = \"read-only\"\n");
    let folder = home.path(".");
    let mut seat = Seat::at(home, &[], 40, 100, |command| {
        command.current_dir(&folder);
    });
    seat.until_line("local acme-example read-only> ");
    seat.enter(".apply", "the configuration says `mode = \"read-only\"`");
    seat.enter(".plan", "changes are planned from now on");
    seat.enter("iam.profiles.create('a').name", "plan+1> ");
    seat.enter(".commit", "the configuration says `mode = \"read-only\"`");
}

#[test]
fn what_a_runbook_is_granted_ends_with_it() {
    let mut seat = Seat::new();
    let data = seat.home.write("data/x.txt", "inside");
    let folder = data.parent().expect("a folder").display().to_string();
    let code = format!(
        "runbook {{ permissions = {{ read = {{ '{folder}' }} }} }}\nprint(io.open('{}'):read('a'))\n",
        data.display()
    );
    let script = seat.home.write("reads.lua", code);
    seat.enter(&format!(".load {}", script.display()), "Allow it? [y/N]");
    seat.enter("y", "\ninside\n");
    seat.enter(&format!("io.open('{}')", data.display()), "may not read");
    // Ctrl-C at the question does not answer the next one.
    seat.enter(&format!(".load {}", script.display()), "Allow it? [y/N]");
    seat.keys("\x03");
    seat.until("error: interrupted");
}

#[test]
fn scripts_are_loaded_with_their_flags_and_entries_saved_as_one() {
    let mut seat = Seat::new();
    let file = seat.home.write("tag.lua", "local p = runbook { params = { owner = { required = true } }, allow = { 'profiles.tag' } }\nwho = p.owner\niam.profiles.tag('bastion', { Owner = p.owner })\n");
    let saved = seat.home.path("saved.lua");
    seat.enter(&format!(".load {} --owner 'the ops'", file.display()), HERE);
    seat.enter("who", "\n\"the ops\"\n");
    // Permissions of a runbook hold for it alone.
    seat.enter("iam.profiles.get('bastion').tags.Owner", "\n\"the ops\"\n");
    seat.enter(&format!(".load {}", file.display()), "missing: --owner TEXT");
    seat.enter(&format!(".load {} --help", file.display()), "Usage: iamlua run");
    seat.enter(".load nothing.lua", "there is no script nothing.lua");
    seat.enter("local n = 20", HERE);
    seat.enter("n * 2 + 2", "\n42\n");
    seat.enter("error('no')", "error:");
    seat.enter("1, nil", "\n1\nnil\n");
    seat.enter("local f = print", HERE);
    seat.enter("(f)('called')", "\ncalled\n");
    seat.enter("local x = 7 return x", "\n7\n");
    seat.enter(&format!(".save {}", saved.display()), "saved in");
    let text = std::fs::read_to_string(&saved).expect("a script");
    assert!(text.contains("\nlocal n = 20\n") && !text.contains("error('no')"), "{text}");
    let ran = seat.home.run(&["run", saved.to_str().expect("UTF-8")]);
    assert!(ran.out.ends_with("\n42\n1\nnil\ncalled\n7\n") && ran.code == Some(0), "{ran:?}");
    seat.enter(&format!(".save {}", saved.display()), "Replace it? [y/N]");
    seat.enter("", "was left as it is");
    seat.enter(".time 1 + 1", "; 0 calls");
    seat.enter(".time", "how long an entry takes is said from now on");
    seat.enter("iam.account().id", "calls: GetAccountSummary 1, GetCallerIdentity 1");
    seat.enter(".doc TagInstanceProfile", "iam.profiles.tag(name, tags)");
    seat.enter(".doc quotaa", "nothing is named quotaa");
    seat.enter(".help", "Undo what the last entry has planned or changed");
}
