//! Resources in account files: an export can be imported, errors are refused with their place, and
//! an addition replaces only resources of the same id.

use iamlua::emulator::{Contents, Emulator};
use iamlua::error::Kind;
use serde_json::{Value, json};

use super::{Client, options};

fn export(emulator: &Emulator) -> Value {
    let mut out = Vec::new();
    emulator.export(&mut out).expect("memory can be read");
    serde_json::from_slice(&out).expect("JSON")
}

fn file(inside: Value) -> Value {
    let mut file = json!({"format": "iamlua-account", "version": 1});
    let (Value::Object(file_fields), Value::Object(inside)) = (&mut file, inside) else {
        panic!("an object")
    };
    file_fields.extend(inside);
    file
}

fn import(emulator: &Emulator, inside: Value) {
    emulator.import(file(inside).to_string().as_bytes()).expect("it is valid");
}

#[test]
fn the_example_goes_out_and_comes_back() {
    let first = Client::of(Emulator::in_memory(options()).expect("memory needs no file"));
    let exported = export(&first.emulator);
    let second = Client::of_empty_account();
    let summary = second.emulator.import(exported.to_string().as_bytes()).expect("an export");
    let resources = exported["resources"].as_array().expect("a list").len();
    assert_eq!(summary.resources, u64::try_from(resources).expect("few"));
    assert_eq!(export(&second.emulator), exported);
    second.emulator.reset(Contents::Empty).expect("memory can be written");
    let empty = export(&second.emulator);
    assert_eq!((&empty["resources"], &empty["regions"]), (&Value::Null, &Value::Null));
}

#[test]
fn ids_are_made_up_the_same_way_every_time() {
    let made = || {
        let client = Client::of_empty_account();
        let one = |kind: &str| json!({"kind": kind, "region": "us-east-1", "name": "n"});
        let instance = json!({"kind": "ec2.instance", "region": "us-east-1"});
        let resources = json!([instance, instance, one("emr.cluster"), one("ec2.launch_template")]);
        import(&client.emulator, json!({"resources": resources}));
        let exported = export(&client.emulator)["resources"].clone();
        let ids = exported.as_array().expect("a list").iter();
        ids.map(|one| one["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    let ids = made();
    assert_eq!(ids, made());
    assert_ne!(ids[0], ids[1]);
    assert!(ids[0].starts_with("i-0") && ids[0].len() == 19, "{ids:?}");
    assert!(ids[2].starts_with("lt-0") && ids[3].starts_with("j-"), "{ids:?}");
}

#[test]
fn wrong_resources_stay_out() {
    let client = Client::of(Emulator::in_memory(options()).expect("memory needs no file"));
    let before = export(&client.emulator);
    let good = json!({"kind": "ec2.instance", "region": "us-east-1", "id": "i-1"});
    let instance = |more: Value| {
        let mut entry = json!({"kind": "ec2.instance", "region": "us-east-1"});
        entry.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        json!({"resources": [good, entry]})
    };
    let template = |versions: Value| json!({"resources": [{"kind": "ec2.launch_template", "region": "us-east-1", "name": "t", "versions": versions}]});
    for (inside, message) in [
        (instance(json!({"id": "i-1"})), "resources[1].id: `i-1` is there twice in us-east-1"),
        (instance(json!({"profile": 7})), "resources[1].profile: must be a text, not a number"),
        (
            instance(json!({"profile": "arn:aws:iam::1:role/x"})),
            "resources[1].profile: `arn:aws:iam::1:role/x` is not an instance profile's ARN",
        ),
        (
            instance(json!({"state": "asleep"})),
            "resources[1].state: must be one of running, pending, shutting-down, terminated, stopping, stopped, not `asleep`",
        ),
        (
            instance(json!({"profil": "p"})),
            "resources[1].profil: is not a known key; did you mean `profile`?",
        ),
        (
            json!({"resources": [good, {"kind": "ec2.instanse", "region": "us-east-1"}]}),
            "resources[1].kind: there is no kind `ec2.instanse`; did you mean `ec2.instance`?",
        ),
        (json!({"resources": [good, {"region": "us-east-1"}]}), "resources[1].kind: is missing"),
        (json!({"resources": [{"kind": "ec2.instance"}]}), "resources[0].region: is missing"),
        (
            json!({"resources": [good, {"kind": "ec2.instance", "region": "us-west-9"}]}),
            "resources[1].region: there is no region `us-west-9`; did you mean `us-west-1`?",
        ),
        (
            json!({"resources": [{"kind": "ec2.instance", "region": "Frankfurt"}]}),
            "resources[0].region: `Frankfurt` is not a region such as eu-central-1",
        ),
        (
            json!({"resources": [good], "regions": {"eu-west-1": "opted-in"}}),
            "resources[0].region: there is no region `us-east-1` among the regions",
        ),
        (
            json!({"regions": {"eu-west-1": "on"}}),
            "regions.eu-west-1: must be one of opt-in-not-required, opted-in, not-opted-in, not `on`",
        ),
        (json!({"regions": []}), "regions: must be an object, not a list"),
        (template(json!([])), "resources[0].versions: must have one entry at least"),
        (
            template(json!([{"number": 3}, {"number": 3}])),
            "resources[0].versions[1].number: must be more than 3: numbers only grow",
        ),
        (
            template(json!([{"profile": []}])),
            "resources[0].versions[0].profile: must be a text, not a list",
        ),
        (
            json!({"resources": [{"kind": "ec2.spot_fleet", "region": "us-east-1", "profiles": ["a", 1]}]}),
            "resources[0].profiles[1]: must be a text, not a number",
        ),
        (
            json!({"resources": [{"kind": "eks.node_group", "region": "us-east-1", "name": "g", "cluster": "c"}]}),
            "resources[0].role: is missing",
        ),
    ] {
        let error = client.emulator.import(file(inside).to_string().as_bytes()).expect_err(message);
        assert_eq!((error.kind, error.message.as_str()), (Kind::Argument, message));
        assert!(export(&client.emulator) == before, "something got in: {message}");
    }
}

#[test]
fn what_is_added_replaces_the_same_and_nothing_else() {
    let client = Client::of_empty_account();
    let instance = |id: &str, profile: &str| json!({"kind": "ec2.instance", "region": "us-east-1", "id": id, "profile": profile});
    let template = |id: &str, versions: Value| json!({"kind": "ec2.launch_template", "region": "us-east-1", "id": id, "name": "t", "versions": versions});
    import(
        &client.emulator,
        json!({
            "profiles": [{"name": "a"}, {"name": "b"}],
            "resources": [instance("i-1", "a"), instance("i-2", "a"), template("lt-1", json!([{"profile": "a"}, {"profile": "b"}]))],
        }),
    );
    let added = file(json!({
        "regions": {"af-south-1": "opted-in"},
        "resources": [instance("i-2", "b"), instance("i-3", "b"), template("lt-2", json!([{}]))],
    }));
    client.emulator.absorb(&added).expect("it is valid");
    let now = export(&client.emulator);
    let resources = now["resources"].as_array().expect("a list");
    let seen: Vec<_> = resources
        .iter()
        .map(|one| {
            let profile = one["profile"].as_str().unwrap_or("-").rsplit('/').next();
            format!("{} {}", one["id"].as_str().expect("an id"), profile.expect("a name"))
        })
        .collect();
    assert_eq!(seen, ["i-1 a", "i-2 b", "i-3 b", "lt-2 -"]);
    assert_eq!(resources[3]["versions"], json!([{"number": 1}]), "no version of the other is left");
    assert_eq!(now["regions"]["af-south-1"], "opted-in");
    assert_eq!(now["regions"]["me-south-1"], "not-opted-in", "the others are as they were");
    assert_eq!(now["profiles"].as_array().expect("a list").len(), 2);
}
