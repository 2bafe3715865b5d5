//! Consistency of the registry with everything that is derived from it or stands beside it. The
//! tests walk all entries, so that a new one cannot be forgotten.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use iamlua::iam::snapshot::Subject;
use iamlua::iam::{self, Implementation, Reads};
use iamlua::spec::{Action, Args, Service, Value};
use iamlua::{emulator, stdlib};

use crate::lua::Bench;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All `.lua` files below a folder.
pub fn lua_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(lua_files(&path));
        } else if path.extension().is_some_and(|end| end == "lua") {
            found.push(path);
        }
    }
    found
}

#[test]
fn names_are_unique_and_documented() {
    let mut seen = BTreeSet::new();
    for entry in iam::registry() {
        let spec = &entry.spec;
        assert!(seen.insert(spec.path()), "{} is there twice", spec.path());
        assert!(spec.doc.ends_with('.') && spec.doc.len() > 10, "{}: {:?}", spec.path(), spec.doc);
        assert!(!spec.example.trim().is_empty(), "{} has no example", spec.path());
        assert!(!spec.actions.is_empty(), "{} calls no action", spec.path());
        for name in spec.positional {
            assert!(spec.param(name).is_some(), "{}: no parameter {name}", spec.path());
        }
        for param in spec.params {
            assert!(param.doc.ends_with('.'), "{}: {}: {:?}", spec.path(), param.name, param.doc);
        }
        if let Implementation::Iterate(iterate) = &entry.run {
            let page = iam::find(iterate.page).expect("the page function of an iterator");
            assert!(matches!(page.run, Implementation::Read(..)));
        }
    }
}

/// Single words of a text in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_text_of_a_function_names_no_parameter_that_only_others_have() {
    let all: BTreeSet<_> =
        iam::registry().flat_map(|entry| entry.spec.params).map(|param| param.name).collect();
    let mut named = 0;
    for entry in iam::registry() {
        let spec = &entry.spec;
        let texts = spec.params.iter().map(|param| param.doc).chain([spec.doc, spec.long]);
        for word in texts.flat_map(quoted).filter(|word| all.contains(word)) {
            assert!(spec.param(word).is_some(), "{}: no parameter `{word}`", spec.lua_name());
            named += 1;
        }
    }
    assert!(named > 5, "{named}");
}

#[test]
fn the_emulator_and_the_registry_know_the_same_actions() {
    let named: BTreeSet<_> = iam::registry()
        .flat_map(|entry| entry.spec.actions)
        .map(|action| (action.service.prefix(), action.name))
        .collect();
    let handled: BTreeSet<_> = emulator::actions().collect();
    let missing: Vec<_> = named.difference(&handled).collect();
    assert!(missing.is_empty(), "the emulator does not know {missing:?}");
    // IAM and STS serve other clients as well; the other services exist only for the scan.
    let own = |(service, _): &&(&str, &str)| !matches!(*service, "iam" | "sts");
    let idle: Vec<_> = handled.difference(&named).filter(own).collect();
    assert!(idle.is_empty(), "no function calls {idle:?}");
}

#[test]
fn the_options_of_a_scan_are_told_alike_in_both_places() {
    let source = stdlib::source("usage.lua").expect("the module");
    let (_, class) = source.split_once("---@class usage.ScanOptions").expect("the class");
    let fields = class.lines().skip(1).map_while(|line| line.strip_prefix("---@field "));
    let told: BTreeSet<_> = fields.filter_map(|field| field.split('?').next()).collect();
    let params = iam::find("usage.scan").expect("the function").spec.params;
    assert_eq!(told, params.iter().map(|param| param.name).collect());
}

#[test]
fn no_code_decides_by_comparing_a_subject() {
    // A match makes the compiler ask what holds of a new one.
    fn look(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                look(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                let compares = ["== Subject::", "!= Subject::"];
                let lines = text.lines().filter(|line| compares.iter().any(|c| line.contains(c)));
                found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
            }
        }
    }
    let mut found = Vec::new();
    look(&root().join("src/iam"), &mut found);
    look(&root().join("src/session"), &mut found);
    look(&root().join("src/app"), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_actions_of_an_entry_are_named_by_its_own_row() {
    for entry in iam::registry() {
        // What a function calls besides its own action is another entry's, or a read.
        for action in entry.spec.actions {
            let own = iam::write(action.name).map(|(entry, _)| entry.action().name);
            let reads = iam::registry()
                .any(|other| other.reads().is_some() && other.spec.actions.contains(action));
            let elsewhere = action.service != Service::IAM;
            assert!(
                own == Some(action.name) || reads || elsewhere,
                "no single call makes {} of {}",
                action.name,
                entry.spec.path()
            );
        }
        if let Implementation::Write(write) = &entry.run {
            let (found, _) = iam::write(entry.action().name).expect("the write of the action");
            assert_eq!(found.spec.path(), entry.spec.path());
            assert!(!(write.creates() && write.deletes()), "{}", entry.spec.path());
            if let Some(name) = write.idle_without {
                assert!(entry.spec.param(name).is_some(), "{}: {name}", entry.spec.path());
            }
            assert!(!write.passes_role || entry.spec.param("role").is_some());
        }
    }
}

#[test]
fn the_functions_and_actions_of_every_subject_are_those_of_the_registry() {
    for subject in Subject::ALL {
        assert_eq!(Subject::from_name(subject.name()), Some(subject));
        let (functions, actions) = (subject.functions(), subject.actions());
        assert_eq!(iam::entry(functions.get).reads(), Some(Reads::One(subject)));
        assert_eq!(iam::entry(functions.list).reads(), Some(Reads::Page(subject)));
        for (path, action) in [
            (functions.create, actions.create),
            (functions.tag, actions.tag),
            (functions.untag, actions.untag),
        ] {
            assert_eq!(iam::entry(path).action(), action);
        }
        let write = |action: Action| iam::write(action.name).expect("a write").1;
        assert!(write(actions.create).creates() && write(actions.delete).deletes());
        for action in [actions.create, actions.delete, actions.tag, actions.untag] {
            assert_eq!(write(action).subject, subject);
        }
    }
    assert_eq!(Subject::from_name("association"), None);
}

#[test]
fn what_a_manifest_may_say_is_what_is_documented() {
    let fields = |class| stdlib::fields("runbook.lua", class);
    assert!(fields("runbook.Manifest").iter().any(|field| field == "max_changes"));
    assert_eq!(fields("runbook.OnFailure"), ["command", "webhook"]);
    assert_eq!(fields("runbook.Nothing"), [""; 0]);
    let bench = Bench::new();
    for field in fields("runbook.Manifest") {
        // A field that nothing reads would make every manifest fail.
        let ran = bench.run(&format!("runbook {{ {field} = coroutine.create(print) }}"), &field);
        let error = ran.result.expect_err("no field takes a thread").message;
        assert!(error.contains(&field), "{field}: {error}");
    }
}

#[test]
fn every_example_runs_on_the_example_account() {
    for entry in iam::registry() {
        let bench = Bench::new();
        let ran = bench.run(entry.spec.example, &format!("example of {}", entry.spec.path()));
        assert!(ran.result.is_ok(), "{}: {}", entry.spec.path(), ran.result.unwrap_err());
        let called = bench.session.calls();
        // `connect` itself makes no call. Its example makes one through the new connection.
        let action = if matches!(entry.run, Implementation::Host) {
            "GetCallerIdentity"
        } else {
            entry.spec.actions[0].name
        };
        assert!(
            called.contains_key(action),
            "the example of {} calls no {action}",
            entry.spec.path()
        );
    }
}

#[test]
fn every_function_has_a_lua_test() {
    let text: String = lua_files(&root().join("tests/lua"))
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("a test file"))
        .collect();
    let untested: Vec<_> = iam::registry()
        .map(|entry| entry.spec.lua_name())
        .filter(|name| {
            !text.match_indices(name.as_str()).any(|(at, _)| {
                let after = text[at + name.len()..].chars().next();
                after.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            })
        })
        .collect();
    assert!(untested.is_empty(), "no test in tests/lua calls {untested:?}");
}

#[test]
fn the_policy_in_the_documentation_names_every_action() {
    let page = std::fs::read_to_string(root().join("docs/permissions.md")).expect("a page");
    for action in iam::registry().flat_map(|entry| entry.spec.actions) {
        if action.service == Service::IAM {
            assert!(
                page.contains(&format!("\"iam:{}\"", action.name)),
                "{} is missing",
                action.name
            );
        }
    }
}

#[test]
fn every_lua_file_compiles() {
    let mut checked = 0;
    for folder in ["stdlib", "scripts"] {
        for path in lua_files(&root().join(folder)) {
            let source = std::fs::read_to_string(&path).expect("a Lua file");
            let lua = mlua::Lua::new();
            let compiled = lua.load(&source).set_name(path.display().to_string()).into_function();
            assert!(compiled.is_ok(), "{}", compiled.unwrap_err());
            checked += 1;
        }
    }
    assert!(checked > 10);
    assert!(stdlib::modules().contains(&"task"));
}

#[test]
fn arguments_are_held_to_the_limits_of_aws() {
    let refused = |path: &'static str, args: Vec<(&str, Value)>| {
        let args = args.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        iam::entry(path).spec.check(args).expect_err("refused").message
    };
    let text = |text: &str| Value::Str(text.to_owned());
    assert!(refused("profiles.get", vec![("nmae", text("x"))]).contains("did you mean \"name\"?"));
    assert!(refused("profiles.get", vec![]).contains("name is missing"));
    assert!(
        refused("profiles.get", vec![("name", text(&"x".repeat(129)))]).contains("at most 128")
    );
    assert!(refused("profiles.get", vec![("name", text("a/b"))]).contains("'/'"));
    assert!(
        refused("profiles.get", vec![("name", Value::Int(3))])
            .contains("must be a string, got number")
    );
    assert!(
        refused("profiles.list", vec![("max_items", Value::Int(1001))]).contains("from 1 to 1000")
    );
    assert!(refused("profiles.list", vec![("path_prefix", text("ec2"))]).contains("\"/ec2\""));
    assert!(
        refused("profiles.create", vec![("name", text("x")), ("path", text("/ec2"))])
            .contains("\"/ec2/\"")
    );
    let tags = |n: usize| Value::Map((0..n).map(|n| (format!("k{n}"), text("v"))).collect());
    assert!(
        refused("profiles.tag", vec![("name", text("x")), ("tags", tags(51))])
            .contains("at most 50")
    );
    let fine = iam::entry("profiles.tag")
        .spec
        .check(vec![("name".into(), text("x")), ("tags".into(), tags(50))]);
    assert_eq!(fine.expect("50 tags").tags("tags").map(|tags| tags.len()), Some(50));
    assert_eq!(Args::of([("name", Value::Nil)]), Args::default());
}
