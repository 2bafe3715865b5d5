//! Commands in the documentation. Each `$ iamlua …` of a console block runs as it is written, page
//! by page, on a local account and on an endpoint that stands for AWS.
//!
//! A fence can say `exit=4`, the exit code of all commands in it. Commands of other programs are
//! left out. Lua blocks that begin with `-- NAME.lua` are files beside which the commands run, and
//! so are blocks with the fence `csv NAME.csv`. With `shown` in its fence, a block shows lines that
//! its commands print.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use regex::Regex;

use crate::docs::{pages, read};
use crate::end_to_end::{Home, Ran, serve};
use crate::registry::root;

/// Signing of `plan.json`, which the tests do themselves.
const SIGN: &str = "minisign -S -s reviewer.key -m plan.json";

/// Fenced block of a page.
struct Fence {
    line: usize,
    /// Words behind the fence: the language and others.
    words: Vec<String>,
    text: String,
}

fn fences(page: &str) -> Vec<Fence> {
    let mut fences: Vec<Fence> = Vec::new();
    let mut is_open = false;
    for (at, line) in page.lines().enumerate() {
        if let Some(info) = line.strip_prefix("```") {
            is_open = !is_open;
            if is_open {
                let words = info.split_whitespace().map(str::to_owned).collect();
                fences.push(Fence { line: at + 1, words, text: String::new() });
            }
        } else if is_open {
            let text = &mut fences.last_mut().expect("an open fence").text;
            text.push_str(line);
            text.push('\n');
        }
    }
    fences
}

/// Command lines of this program in a block.
fn commands(fence: &Fence) -> Vec<String> {
    match fence.words.first().map(String::as_str) {
        Some("sh") if fence.text.contains("iamlua ") => vec![fence.text.clone()],
        Some("console") => {
            let text = fence.text.replace("\\\n", " ");
            let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
            let is_own = |line: &&str| {
                *line == "iamlua" || line.starts_with("iamlua ") || line.starts_with(SIGN)
            };
            let own = lines.filter(is_own);
            own.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Command line that ends by itself and asks nothing, and names what is there.
fn runnable(command: &str) -> String {
    // What another program reads is written all the same.
    let command = command.split(" | ").next().unwrap_or(command);
    let id = Regex::new(r"\b\d{8}-\d{6}-[0-9a-z]+\b").expect("a pattern");
    let command = id.replace_all(command, "last");
    let command = if command.contains("--yes") {
        command.into_owned()
    } else {
        command.replace("iamlua apply ", "iamlua apply --yes ")
    };
    let command = command.replace("iamlua watch ", "iamlua watch --once ");
    let stays = Regex::new(r"iamlua schedule (-|[a-z_]*/)").expect("a pattern");
    let ends = |word| word == "--list" || word == "--dry-run";
    if stays.is_match(&command) && !command.split_whitespace().any(ends) {
        return command.replace("iamlua schedule ", "iamlua schedule --dry-run ");
    }
    command
}

/// Folder of one page, where its commands run.
struct Desk {
    home: Home,
    url: String,
}

impl Desk {
    fn new(url: &str) -> Self {
        let home = Home::new();
        for folder in ["scripts", "examples/runbooks"] {
            for file in std::fs::read_dir(root().join(folder)).expect("a folder").flatten() {
                let name = file.file_name().into_string().expect("UTF-8");
                let text = std::fs::read(file.path()).expect("a file");
                home.write(&format!("work/{folder}/{name}"), text);
            }
        }
        let profile = |name: &str| {
            format!("[profile {name}]\naws_access_key_id = any\naws_secret_access_key = any\n")
        };
        home.write("aws", ["dev", "stage", "prod"].map(profile).concat());
        Self { home, url: url.to_owned() }
    }

    fn run(&self, command: &str) -> Ran {
        let program = Path::new(env!("CARGO_BIN_EXE_iamlua"));
        let folder = program.parent().expect("a folder").display().to_string();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .env_clear()
            .envs(crate::end_to_end::clock_settings())
            .env("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"))
            .env("HOME", self.home.path("home"))
            .env("IAMLUA_HOME", self.home.path("state"))
            .env("AWS_CONFIG_FILE", self.home.path("aws"))
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("APPROVED", self.hash_of_the_plan())
            .current_dir(self.home.path("work"))
            .stdin(Stdio::null());
        Ran::from(shell.output().expect("a shell"))
    }

    /// SHA-256 of `plan.json`, if there is one.
    fn hash_of_the_plan(&self) -> String {
        let plan = std::fs::read(self.home.path("work/plan.json"));
        plan.map(|plan| iamlua::session::plan::sha256(&plan)).unwrap_or_default()
    }

    /// Signs `plan.json` with a new key.
    fn sign(&self) {
        let plan = std::fs::read(self.home.path("work/plan.json")).expect("a plan");
        let keys = minisign::KeyPair::generate_unencrypted_keypair().expect("keys");
        let signed = minisign::sign(Some(&keys.pk), &keys.sk, plan.as_slice(), None, None);
        self.home.write("work/plan.json.minisig", signed.expect("a signature").to_string());
        let key = keys.pk.to_box().expect("a key");
        self.home.write("work/reviewer.pub", key.to_string());
    }

    /// Runs the commands of a page, and returns their number and what failed.
    fn page(&self, path: &Path) -> (usize, Vec<String>) {
        let shown = path.strip_prefix(root()).expect("a page").display().to_string();
        let (mut ran, mut failed) = (0, Vec::new());
        for fence in fences(&read(path)) {
            if let [language, name, ..] = &fence.words[..]
                && language == "csv"
            {
                self.home.write(&format!("work/{name}"), &fence.text);
            }
            let name = fence.text.lines().next().and_then(|line| line.strip_prefix("-- "));
            if fence.words.first().is_some_and(|word| word == "lua")
                && let Some(name) =
                    name.filter(|name| Path::new(name).extension().is_some_and(|end| end == "lua"))
            {
                self.home.write(&format!("work/{name}"), &fence.text);
            }
            if fence.words.iter().any(|word| word == "no-run") {
                continue;
            }
            let code = fence.words.iter().find_map(|word| word.strip_prefix("exit="));
            let code: i32 = code.map_or(0, |code| code.parse().expect("an exit code"));
            let mut printed = String::new();
            for command in commands(&fence) {
                // What stays in the background ends with its test.
                if command.trim_end().ends_with('&') {
                    continue;
                }
                if command == SIGN {
                    self.sign();
                    continue;
                }
                let command = runnable(&command);
                let end = self.run(&command);
                ran += 1;
                let lists_nothing = command.contains("schedule --list")
                    && ["there are no jobs", "(broken)"].iter().any(|text| end.out.contains(text));
                if end.code != Some(code) || lists_nothing {
                    failed.push(format!("{shown}:{}: {command}\n{end:?}", fence.line));
                }
                printed.extend([end.out, end.err]);
            }
            if fence.words.iter().any(|word| word == "shown") {
                let lines = fence.text.lines().filter(|line| !line.starts_with("$ "));
                for line in lines.filter(|line| !printed.lines().any(|other| other == *line)) {
                    failed.push(format!("{shown}:{}: nothing prints {line:?}", fence.line));
                }
            }
        }
        (ran, failed)
    }
}

#[test]
fn every_command_in_the_documentation_runs() {
    let only = std::env::var("IAMLUA_TEST_PAGES").unwrap_or_default();
    let has_commands = |page: &PathBuf| {
        page.display().to_string().contains(&only)
            && fences(&read(page)).iter().any(|fence| !commands(fence).is_empty())
    };
    let pages = Mutex::new(pages().into_iter().filter(has_commands));
    let results = Mutex::new((0, Vec::new()));
    // Pages do not meet: each has a home and an endpoint of its own.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = pages.lock().expect("the pages").next();
                    let Some(page) = next else { break };
                    let aws = Home::new();
                    let (mut served, url) = serve(&aws, &[]);
                    let (count, failures) = Desk::new(&url).page(&page);
                    served.kill().expect("it runs");
                    let _ = served.wait();
                    let mut results = results.lock().expect("the results");
                    results.0 += count;
                    results.1.extend(failures);
                }
            });
        }
    });
    let (ran, failed) = results.into_inner().expect("the results");
    println!("{ran} commands");
    assert!(failed.is_empty(), "{} of {ran}:\n{}", failed.len(), failed.join("\n"));
    assert!(ran > 80 || !only.is_empty(), "only {ran}");
}

#[test]
fn every_configuration_in_the_documentation_is_one() {
    let mut checked = 0;
    for page in pages() {
        for fence in fences(&read(&page)) {
            let is_toml = fence.words.first().is_some_and(|word| word == "toml");
            if !is_toml || fence.text.contains("[dependencies]") {
                continue;
            }
            let home = Home::new();
            let file = home.write("iamlua.toml", &fence.text);
            let file = file.to_str().expect("UTF-8");
            home.run(&["--config", file, "--local", "-e", "assert(iam.account().id)"]).ends(0, "");
            let wrong = home.write("wrong.toml", fence.text.replace("= ", "= [[]] # "));
            let wrong = wrong.to_str().expect("UTF-8");
            home.run(&["--config", wrong, "-e", ""]).ends(2, "wrong.toml");
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked}");
}
