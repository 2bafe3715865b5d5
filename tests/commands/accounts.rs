//! Plans, runs and their undo over several accounts.

use serde_json::Value;

use super::{ACCOUNT, Desk, Endpoint, hash_of};

/// Permission for scripts to reach the accounts behind these URLs.
const NET: &str = "--allow-net=127.0.0.1";
const IDS: [&str; 3] = ["111111111111", "222222222222", "333333333333"];

/// Three accounts behind URLs, and a desk that reaches them all.
struct Accounts {
    desk: Desk,
    /// Accounts, each with its desk.
    served: Vec<(Desk, Endpoint)>,
}

impl Accounts {
    fn new() -> Self {
        let serve = |id: &&str| {
            let desk = Desk::new();
            desk.write("account.json", ACCOUNT.replace("123456789012", id));
            desk.run(&["account", "import", "account.json"]).ends(0, "4 profiles");
            let endpoint = desk.serve();
            (desk, endpoint)
        };
        Self { desk: Desk::new(), served: IDS.iter().map(serve).collect() }
    }

    /// Name of an account in messages.
    fn name(&self, at: usize) -> String {
        format!("AWS account {} at {}", IDS[at], self.served[at].1.url)
    }

    /// Writes a script that runs `code` in each of these accounts, with its functions in `iam`.
    fn write(&self, accounts: &[usize], code: &str) {
        let urls: Vec<_> =
            accounts.iter().map(|at| format!("{:?}", self.served[*at].1.url)).collect();
        let script = format!(
            "local root = iam\n\
             for _, url in ipairs {{ {} }} do\n\
               local iam = root.connect {{ endpoint_url = url }}\n\
               {code}\n\
             end\n",
            urls.join(", ")
        );
        self.desk.write("work.lua", script);
    }

    fn plan(&self, more: &[&str]) -> String {
        let url = &self.served[0].1.url;
        let plan = ["plan", "work.lua", "--endpoint-url", url, NET, "-o", "plan.json"];
        self.desk.run(&[&plan[..], more].concat()).ends(0, "kept in plan.json").out
    }
}

#[track_caller]
fn has(text: &str, parts: &[String]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

const TAG: &str = "for _, name in ipairs { 'alpha', 'beta', 'gamma', 'delta' } do \
                     iam.profiles.tag(name, { All = '1' }) \
                     iam.profiles.tag(name, { Two = '2' }) \
                   end";

#[test]
fn a_plan_over_several_accounts_counts_and_names_each_of_them() {
    let accounts = Accounts::new();
    let desk = &accounts.desk;
    accounts.write(&[0, 1, 2], TAG);
    let names: Vec<_> = (0..3).map(|at| accounts.name(at)).collect();
    let all = format!("{}, {} and {}", names[0], names[1], names[2]);
    let counts = names.iter().map(|name| format!("\n  {name}: 4 to change\n")).collect::<Vec<_>>();
    let shown = accounts.plan(&[]);
    has(
        &shown,
        &[
            format!("Plan for {all}\n"),
            format!(
                "~ tag 12 profiles in 3 accounts: All → 1: all new  alpha, beta, gamma and 1 more name; {all}"
            ),
            "Plan: 0 to create, 12 to change, 0 to delete in 3 accounts (24 calls to make)".into(),
        ],
    );
    for count in &counts {
        assert!(shown.contains(count.trim_end()), "{count} is not in {shown}");
    }
    let full = accounts.plan(&["--full"]);
    let headings: Vec<_> = names.iter().map(|name| full.find(&format!("\n  {name}\n"))).collect();
    assert!(headings.is_sorted() && headings[0].is_some(), "{headings:?} {full}");
    assert_eq!(full.matches("\n    ~ tag profile alpha: All (none) → 1\n").count(), 3, "{full}");

    let hash = hash_of(&desk.path("plan.json"));
    let there = ["apply", "plan.json", "--yes", "--sha256", &hash];
    let applied = desk.run(&there).ends(0, "24 changes to 3 accounts\n");
    for name in &names {
        has(&applied.err, &[format!("\n  {name}: 8 changes\n")]);
    }
    let shown = desk.run(&["runs", "show", "last"]).ends(0, "").out;
    has(&shown, &["done: 24 changes in 3 accounts\n".into(), "tag 12 profiles in 3".into()]);
    has(&shown, &names);
    let listed = desk.run(&["runs"]).ends(0, "").out;
    has(&listed, &["aws 111111111111, 222222222222 and 333333333333".into()]);

    let second = format!("profile alpha in {}", accounts.name(1));
    accounts.served[1].0.does("iam.profiles.tag('alpha', { All = '7' })");
    let undone = desk.run(&["undo", "last"]).ends(4, &format!("left out: {second}: tag All"));
    assert!(!undone.err.contains(&names[0]), "{undone:?}");
    has(
        &undone.out,
        &["Plan: 0 to create, 11 to change, 0 to delete in 3 accounts (11 calls to make)".into()],
    );
}

#[test]
fn what_is_left_out_or_fails_in_one_of_several_accounts_is_said_with_its_name() {
    let accounts = Accounts::new();
    let desk = &accounts.desk;
    accounts.write(&[0, 1], "iam.profiles.tag('alpha', { A = '1' })");
    let shown = accounts.plan(&[]);
    for at in 0..2 {
        let line = format!("~ tag profile alpha in {}: A (none) → 1", accounts.name(at));
        has(&shown, &[line]);
    }
    accounts.served[1].0.does("iam.profiles.tag('alpha', { A = '7' })");
    let second = format!("profile alpha in {}", accounts.name(1));
    let hash = hash_of(&desk.path("plan.json"));
    let apply = ["apply", "plan.json", "--yes", "--sha256", &hash];
    desk.run(&apply).ends(4, &format!("{second} is not as it was"));
    let skipped = desk.run(&[&apply[..], &["--skip-drifted"]].concat());
    skipped.ends(4, &format!("left out: TagInstanceProfile {second}: "));

    // With one account, its name is not repeated.
    accounts.write(&[0], TAG);
    let shown = accounts.plan(&[]);
    assert!(shown.contains("Plan: 0 to create, 4 to change, 0 to delete (8 calls"), "{shown}");
    assert_eq!(shown.matches(IDS[0]).count(), 1, "{shown}");
}

#[test]
fn an_account_that_cannot_be_reached_holds_up_no_other() {
    let mut accounts = Accounts::new();
    let desk = &accounts.desk;
    accounts.write(&[0, 1], "iam.profiles.tag('alpha', { A = '1' })");
    let url = accounts.served[0].1.url.clone();
    desk.run(&["run", "work.lua", "--endpoint-url", &url, NET, "--apply"]).ends(0, "2 changes");
    let (gone, endpoint) = accounts.served.remove(1);
    drop(endpoint);
    let desk = &accounts.desk;
    let left = desk
        .run(&["undo", "last", "--apply"])
        .ends(4, "left out: profile alpha in AWS account 222222222222");
    assert!(left.err.contains("1 done"), "{left:?}");
    assert_eq!(accounts.served[0].0.profile("alpha")["tags"]["A"], Value::Null);
    assert_eq!(gone.profile("alpha")["tags"]["A"], "1");
}
