//! Secrets on the command line: values of parameters and words whose names suggest one.

use crate::commands::Desk;

const SECRET: &str = "hunter2-s3cr3t";

/// Everything that is kept of the runs: journal, lists, exports.
fn kept(desk: &Desk) -> String {
    let mut kept = String::new();
    for args in [
        &["runs", "show", "last"][..],
        &["runs", "show", "last", "--output", "json"],
        &["runs", "export"],
    ] {
        let ran = desk.run(args).ends(0, "");
        kept.push_str(&ran.out);
        kept.push_str(&ran.err);
    }
    for name in ["journal.db", "journal.db-wal", "plan.json"] {
        for folder in ["state", "."] {
            let bytes = std::fs::read(desk.path(folder).join(name)).unwrap_or_default();
            kept.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    kept
}

#[test]
fn words_that_suggest_a_secret_are_not_kept() {
    let desk = Desk::new();
    desk.write("plain.lua", "iam.profiles.tag('alpha', { At = tostring(math.random(1 << 40)) })");
    desk.write(
        "failing.lua",
        "iam.profiles.tag('alpha', { At = tostring(math.random(1 << 40)) }) error('not with ' .. select(-1, ...))",
    );
    let s = SECRET;
    for words in [
        vec!["--password".to_owned(), s.into()],
        vec![format!("--password={s}")],
        vec![format!("--PASSWORD={s}")],
        vec!["--DbPassword".into(), s.into()],
        vec!["--api_key".into(), s.into()],
        vec!["--api-key".into(), format!("-{s}")],
        vec!["--auth".into(), s.into()],
        vec![format!("X-Auth-Token: {s}")],
        vec!["-H".into(), format!("Authorization: Bearer {s}")],
        vec!["password".into(), s.into()],
        vec![format!("token={s}")],
        vec!["--credential".into(), s.into()],
        vec!["--client-secret".into(), s.into()],
        vec![format!("passwd={s}")],
        vec![format!("https://me:{s}@example.com/")],
        vec![format!("https://example.com/?a=1&access_token={s}")],
        vec![format!("host=h;Password={s};port=1")],
        vec![format!("{{\"api_key\": \"{s}\"}}")],
    ] {
        for (script, code) in [("plain.lua", 0), ("failing.lua", 1)] {
            let mut args = vec!["run", script, "--"];
            args.extend(words.iter().map(String::as_str));
            desk.run(&args).ends(code, "run ");
            assert!(!kept(&desk).contains(s), "{words:?}");
        }
        let mut args = vec!["plan", "failing.lua", "-o", "plan.json", "--"];
        args.extend(words.iter().map(String::as_str));
        desk.run(&args).ends(1, "incomplete");
        assert!(!desk.read("plan.json").contains(s), "{words:?}");
    }
}

#[test]
fn parameters_that_suggest_a_secret_are_not_kept() {
    let desk = Desk::new();
    desk.write(
        "runbook.lua",
        "local p = runbook { params = {
           db_password = {}, api_key = {}, header = { type = 'map' }, words = { type = 'list' },
           url = {}, partition_key = {}, token_file = { type = 'file' },
           token_limit = { type = 'integer', secret = false }, pass = { secret = true },
           auth_mode = { choices = { 'basic', 'none' } } } }
         iam.profiles.tag('alpha', { At = tostring(math.random(1 << 40)) })
         log.info('with ' .. tostring(p.db_password), { api_token = 'hunter2-s3cr3t', shown = 'x' })
         error('not with ' .. tostring(p.api_key or p.db_password))",
    );
    desk.write("plain.txt", "x");
    let s = SECRET;
    for words in [
        vec![format!("--db-password={s}")],
        vec!["--db-password".to_owned(), s.into()],
        vec!["--api-key".into(), s.into()],
        vec![format!("--header=X-Auth-Token={s}")],
        vec![format!("--words=password={s}")],
        vec![format!("--url=https://u:{s}@h/?token={s}")],
        vec![format!("--pass={s}")],
    ] {
        let mut args = vec!["run", "runbook.lua"];
        args.extend(words.iter().map(String::as_str));
        let ran = desk.run(&args).ends(1, "run ");
        let log = ran.err.lines().find(|line| line.contains("INFO")).expect("the log");
        assert!(!log.contains(s) && log.contains("api_token=(secret) shown=x"), "{log}");
        let kept = kept(&desk);
        assert!(!kept.contains(s) && kept.contains("(secret)"), "{words:?}");
    }
    // Other values and names are kept.
    let plain = ["--partition-key=customer", "--token-limit=5000", "--token-file=plain.txt"];
    let mut args = vec!["run", "runbook.lua", "--auth-mode=basic"];
    args.extend(plain);
    desk.run(&args).ends(1, "");
    for shown in ["customer", "5000", "plain.txt", "basic"] {
        assert!(kept(&desk).contains(shown), "{shown}");
    }
    // An error about a value does not contain it.
    desk.write(
        "strict.lua",
        "runbook { params = { token = { pattern = 'x' }, pin_secret = { type = 'integer' },
           keys = { type = 'map' } } }",
    );
    for word in ["--token", "--pin-secret", "--keys"] {
        let ran = desk.run(&["run", "strict.lua", &format!("{word}={s}")]).ends(2, word);
        assert!(!ran.err.contains(s), "{ran:?}");
    }
}

#[test]
fn endpoints_are_kept_without_user_and_query() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let place = endpoint.url.trim_start_matches("http://").to_owned();
    let url = format!("http://me:{SECRET}@{place}/?token={SECRET}#{SECRET}");
    desk.write("plain.lua", "iam.profiles.tag('alpha', { At = tostring(math.random(1 << 40)) })");
    let ran = desk.run(&["run", "plain.lua", "--endpoint-url", &url, "--apply", "--yes"]);
    let planned = desk.run(&["plan", "plain.lua", "--endpoint-url", &url, "-o", "plan.json"]);
    let who = desk.run(&["whoami", "--endpoint-url", &url]);
    let odd = desk.run(&["plan", "plain.lua", "--endpoint-url", &format!("http://:{SECRET}@/?x")]);
    for shown in [&ran, &planned, &who, &odd] {
        assert!(!shown.out.contains(SECRET) && !shown.err.contains(SECRET), "{shown:?}");
    }
    let plan = std::fs::read_to_string(desk.path("plan.json")).unwrap_or_default();
    let journal = desk.run(&["runs", "export"]).ends(0, "");
    assert!(!plan.contains(SECRET) && !journal.out.contains(SECRET));
}
