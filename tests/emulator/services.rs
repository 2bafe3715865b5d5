//! Services whose resources may name an instance profile: each with its own protocol, errors and
//! regions.
//!
//! Methods, paths, names and codes are from botocore's service models.
//! `tests/clients/usage_shapes_check.py` reads the same responses with boto3.

use std::collections::BTreeSet;

use iamlua::emulator::{Answer, Emulator, Faults, Reply, Request, actions};
use serde_json::{Value, json};

use super::{Client, Element, TRUST, options};

/// Request of an action: service, action, method, path, body.
type Way = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Every action, with parameters that name something in `account`.
const WAYS: [Way; 20] = [
    ("ec2", "DescribeRegions", "POST", "/", ""),
    ("ec2", "DescribeInstances", "POST", "/", ""),
    ("ec2", "DescribeIamInstanceProfileAssociations", "POST", "/", ""),
    ("ec2", "DescribeLaunchTemplates", "POST", "/", ""),
    ("ec2", "DescribeLaunchTemplateVersions", "POST", "/", "&LaunchTemplateName=t"),
    ("ec2", "DescribeSpotFleetRequests", "POST", "/", ""),
    ("ec2", "DescribeSpotInstanceRequests", "POST", "/", ""),
    ("autoscaling", "DescribeLaunchConfigurations", "POST", "/", ""),
    ("batch", "DescribeComputeEnvironments", "POST", "/v1/describecomputeenvironments", "{}"),
    ("ecs", "ListClusters", "POST", "/", "{}"),
    ("ecs", "DescribeCapacityProviders", "POST", "/", r#"{"cluster":"c"}"#),
    (
        "imagebuilder",
        "ListInfrastructureConfigurations",
        "POST",
        "/ListInfrastructureConfigurations",
        "{}",
    ),
    ("elasticmapreduce", "ListClusters", "POST", "/", "{}"),
    ("elasticmapreduce", "DescribeCluster", "POST", "/", r#"{"ClusterId":"j-1"}"#),
    ("elasticbeanstalk", "DescribeEnvironments", "POST", "/", ""),
    (
        "elasticbeanstalk",
        "DescribeConfigurationSettings",
        "POST",
        "/",
        "&ApplicationName=a&EnvironmentName=env",
    ),
    ("eks", "ListClusters", "GET", "/clusters", ""),
    ("eks", "ListNodegroups", "GET", "/clusters/k/node-groups?maxResults=9", ""),
    ("eks", "DescribeNodegroup", "GET", "/clusters/k/node-groups/g", ""),
    ("rds", "DescribeDBInstances", "POST", "/", ""),
];

/// Account with one resource of each kind, in eu-west-1, with the profile `p` of the path `/team/`.
fn account() -> Value {
    let one = |kind: &str, more: Value| {
        let mut entry = json!({"kind": kind, "region": "eu-west-1"});
        entry.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        entry
    };
    let trust: Value = serde_json::from_str(TRUST).expect("JSON");
    json!({
        "format": "iamlua-account",
        "version": 1,
        "roles": [{"name": "nodes", "path": "/k8s/", "assume_role_policy": trust}],
        "profiles": [{"name": "p", "path": "/team/", "id": "AIPA2222222222222222P"}],
        "resources": [
            one("ec2.instance", json!({"id": "i-1", "profile": "p"})),
            one("ec2.association", json!({"id": "iip-assoc-1", "instance_id": "i-1", "profile": "p"})),
            one("ec2.launch_template", json!({"id": "lt-1", "name": "t", "versions": [{"profile": "p"}, {}]})),
            one("ec2.spot_fleet", json!({"id": "sfr-1", "profiles": ["p"]})),
            one("ec2.spot_request", json!({"id": "sir-1", "profile": "p"})),
            one("autoscaling.launch_configuration", json!({"name": "l", "profile": "p"})),
            one("batch.compute_environment", json!({"name": "b", "profile": "p"})),
            one("ecs.capacity_provider", json!({"name": "cp", "cluster": "c", "profile": "p"})),
            one("imagebuilder.infrastructure_configuration", json!({"name": "i", "profile": "p"})),
            one("emr.cluster", json!({"id": "j-1", "name": "n", "profile": "p"})),
            one("elasticbeanstalk.environment", json!({"id": "e-1", "name": "env", "application": "a", "profile": "p"})),
            one("eks.node_group", json!({"name": "g", "cluster": "k", "role": "nodes"})),
            one("rds.instance", json!({"id": "d", "profile": "p"})),
        ],
    })
}

fn holding(account: &Value) -> Client {
    let client = Client::of_empty_account();
    client.emulator.import(account.to_string().as_bytes()).expect("the account is valid");
    client
}

/// Request as an SDK sends it.
fn request((service, action, method, path, inside): Way, region: &str) -> Request {
    let version = match service {
        "ec2" => "2016-11-15",
        "autoscaling" => "2011-01-01",
        "elasticbeanstalk" => "2010-12-01",
        _ => "2014-10-31",
    };
    let target = match service {
        "ecs" => Some(format!("AmazonEC2ContainerServiceV20141113.{action}")),
        "elasticmapreduce" => Some(format!("ElasticMapReduce.{action}")),
        _ => None,
    };
    let body = match service {
        "ec2" | "autoscaling" | "elasticbeanstalk" | "rds" => {
            format!("Action={action}&Version={version}{inside}")
        }
        _ => inside.to_owned(),
    };
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260102/{region}/{service}/aws4_request, \
         SignedHeaders=host, Signature=00"
    );
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        target,
        authorization: Some(authorization),
        body: body.into_bytes(),
    }
}

fn answer(emulator: &Emulator, request: Request) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(emulator.answer(request))
}

fn ask(client: &Client, way: Way, region: &str) -> Reply {
    match answer(&client.emulator, request(way, region)) {
        Answer::Reply(reply) => reply,
        other => panic!("{way:?}: {other:?}"),
    }
}

/// Result of a call to EC2 in eu-west-1.
fn ec2(client: &Client, action: &'static str, inside: &'static str) -> Element {
    let reply = ask(client, ("ec2", action, "POST", "/", inside), "eu-west-1");
    assert_eq!(reply.status, 200, "{action}{inside}: {}", reply.body);
    xml(&reply.body)
}

fn xml(body: &str) -> Element {
    Element::parse(body.trim_start_matches("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
}

fn items(element: &Element, list: &str) -> Vec<Element> {
    let list = element.child(list).unwrap_or_else(|| panic!("no {list} in {element:?}"));
    assert!(list.children.iter().all(|child| child.name == "item"), "{list:?}");
    list.children.clone()
}

/// Status and code of a refusal, from where its protocol has them.
fn refusal(service: &str, reply: &Reply) -> (u16, String) {
    let code = match service {
        "ec2" => xml(&reply.body).text("Errors/Error/Code"),
        "iam" | "sts" | "autoscaling" | "elasticbeanstalk" | "rds" => {
            xml(&reply.body).text("Error/Code")
        }
        "ecs" | "elasticmapreduce" => {
            let body: Value = serde_json::from_str(&reply.body).expect("JSON");
            assert!(body["message"].is_string(), "{body}");
            body["__type"].as_str().expect("a type").to_owned()
        }
        _ => {
            let body: Value = serde_json::from_str(&reply.body).expect("JSON");
            assert!(body["message"].is_string(), "{body}");
            reply.error_type.expect("the header").to_owned()
        }
    };
    (reply.status, code)
}

#[test]
fn every_action_answers_in_its_protocol_and_names_what_it_holds() {
    let known: BTreeSet<_> =
        actions().filter(|(service, _)| !matches!(*service, "iam" | "sts")).collect();
    let tried: BTreeSet<_> = WAYS.iter().map(|way| (way.0, way.1)).collect();
    assert_eq!(known, tried, "the table above is not whole");
    let client = holding(&account());
    for way in WAYS {
        let (service, action, ..) = way;
        let reply = ask(&client, way, "eu-west-1");
        assert_eq!((reply.status, reply.error_type), (200, None), "{way:?}: {}", reply.body);
        let content_type = match service {
            "ec2" => "text/xml;charset=UTF-8",
            "autoscaling" | "elasticbeanstalk" | "rds" => "text/xml",
            "ecs" | "elasticmapreduce" => "application/x-amz-json-1.1",
            _ => "application/json",
        };
        assert_eq!(reply.content_type, content_type, "{way:?}");
        match service {
            "ec2" => {
                let response = xml(&reply.body);
                assert_eq!(response.name, format!("{action}Response"));
                assert_eq!(response.text("requestId"), reply.request_id);
                assert!(response.attributes.contains("http://ec2.amazonaws.com/doc/2016-11-15/"));
            }
            "autoscaling" | "elasticbeanstalk" | "rds" => {
                let response = xml(&reply.body);
                assert!(response.child(&format!("{action}Result")).is_some(), "{}", reply.body);
                assert_eq!(response.text("ResponseMetadata/RequestId"), reply.request_id);
            }
            _ => {
                let body: Value = serde_json::from_str(&reply.body).expect("JSON");
                assert!(body.is_object(), "{body}");
            }
        }
        // The same call in another region returns none of it.
        let elsewhere = ask(&client, way, "eu-west-2");
        assert!(!elsewhere.body.contains("instance-profile"), "{way:?}: {}", elsewhere.body);
    }
}

#[test]
fn a_profile_is_an_arn_where_aws_resolves_it_and_else_comes_back_as_given() {
    let mut account = account();
    let more = json!([
        {"kind": "ec2.instance", "region": "eu-west-1", "id": "i-2", "state": "stopped",
         "profile": "p", "profile_id": "AIPA3333333333333333P"},
        {"kind": "ec2.instance", "region": "eu-west-1", "id": "i-3", "profile": "gone"},
        {"kind": "ec2.instance", "region": "eu-west-1", "id": "i-4",
         "profile": "arn:aws:iam::210987654321:instance-profile/x/p"},
        {"kind": "ec2.instance", "region": "eu-west-1", "id": "i-5"},
    ]);
    let resources = account["resources"].as_array_mut().expect("a list");
    resources.extend(more.as_array().expect("a list").clone());
    // Profiles come after the resources that name them.
    let profiles = account.as_object_mut().expect("an object").remove("profiles").expect("some");
    account["profiles"] = profiles;
    let client = holding(&account);
    let shown = |client: &Client| -> Vec<_> {
        let result = ec2(client, "DescribeInstances", "");
        let instances = items(&result, "reservationSet")
            .into_iter()
            .flat_map(|reservation| items(&reservation, "instancesSet"));
        instances
            .map(|instance| {
                let profile = instance.child("iamInstanceProfile");
                let profile = profile.map(|profile| (profile.text("arn"), profile.text("id")));
                (instance.text("instanceId"), instance.text("instanceState/code"), profile)
            })
            .collect()
    };
    let own = "arn:aws:iam::123456789012:instance-profile/team/p".to_owned();
    let before = shown(&client);
    let made_up = before[2].2.clone().expect("it has one").1;
    assert!(made_up.starts_with("AIPA") && made_up.len() == 21, "{made_up}");
    assert_eq!(
        before[0],
        ("i-1".into(), "16".into(), Some((own.clone(), "AIPA2222222222222222P".into())))
    );
    assert_eq!(
        before[1],
        ("i-2".into(), "80".into(), Some((own.clone(), "AIPA3333333333333333P".into())))
    );
    assert_eq!(
        before[2].2.as_ref().expect("one").0,
        "arn:aws:iam::123456789012:instance-profile/gone"
    );
    assert_eq!(
        before[3].2.as_ref().expect("one").0,
        "arn:aws:iam::210987654321:instance-profile/x/p"
    );
    assert_eq!(before[4].2, None);
    // A profile that is created again is another one, and an instance keeps the first.
    client.get("DeleteInstanceProfile", &[("InstanceProfileName", "p")]);
    client.create_profile("p", "/");
    assert_eq!(shown(&client), before);

    let versions = ec2(&client, "DescribeLaunchTemplateVersions", "&LaunchTemplateId=lt-1");
    let versions = items(&versions, "launchTemplateVersionSet");
    assert_eq!(versions[0].text("launchTemplateData/iamInstanceProfile/name"), "p");
    assert!(versions[0].child("launchTemplateData/iamInstanceProfile/arn").is_none());
    assert!(versions[1].child("launchTemplateData/iamInstanceProfile").is_none());
    let ask = |at: usize| -> Value {
        serde_json::from_str(&ask(&client, WAYS[at], "eu-west-1").body).expect("JSON")
    };
    assert_eq!(ask(8)["computeEnvironments"][0]["computeResources"]["instanceRole"], "p");
    let template =
        &ask(10)["capacityProviders"][0]["managedInstancesProvider"]["instanceLaunchTemplate"];
    assert_eq!(template["ec2InstanceProfileArn"], own);
    assert_eq!(ask(13)["Cluster"]["Ec2InstanceAttributes"]["IamInstanceProfile"], "p");
    assert_eq!(ask(18)["nodegroup"]["nodeRole"], "arn:aws:iam::123456789012:role/k8s/nodes");
}

#[test]
fn managed_instances_show_only_in_their_cluster() {
    let client = holding(&account());
    let names = |inside| {
        let way = ("ecs", "DescribeCapacityProviders", "POST", "/", inside);
        let reply = ask(&client, way, "eu-west-1");
        let body: Value = serde_json::from_str(&reply.body).expect("JSON");
        let providers = body["capacityProviders"].as_array().expect("a list").clone();
        providers
            .iter()
            .map(|one| one["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("{}"), ["FARGATE", "FARGATE_SPOT"]);
    assert_eq!(names(r#"{"cluster":"arn:aws:ecs:eu-west-1:123456789012:cluster/c"}"#), ["cp"]);
}

#[test]
fn thousands_of_instances_come_in_pages_once_each() {
    let instances: Vec<_> = (0..2345)
        .map(|n| {
            let state = if n % 10 == 0 { "terminated" } else { "running" };
            json!({"kind": "ec2.instance", "region": "eu-west-1", "state": state, "profile": format!("p{}", n % 7)})
        })
        .collect();
    let account = json!({"format": "iamlua-account", "version": 1, "resources": instances});
    let client = holding(&account);
    let page = |inside: &str| {
        let inside: &'static str = Box::leak(inside.to_owned().into_boxed_str());
        let result = ec2(&client, "DescribeInstances", inside);
        let ids: Vec<_> = items(&result, "reservationSet")
            .iter()
            .flat_map(|reservation| items(reservation, "instancesSet"))
            .map(|instance| instance.text("instanceId"))
            .collect();
        (ids, result.child("nextToken").map(|token| token.content.clone()))
    };
    let walk = |parameters: &str, sizes: &[usize]| {
        let (mut all, mut token) = (BTreeSet::new(), None::<String>);
        for size in sizes {
            let inside = token
                .map_or(parameters.to_owned(), |token| format!("{parameters}&NextToken={token}"));
            let (ids, next) = page(&inside);
            assert_eq!(ids.len(), *size, "{inside}");
            all.extend(ids);
            token = next;
        }
        assert_eq!(token, None, "there is more");
        all.len()
    };
    assert_eq!(walk("", &[1000, 1000, 345]), 2345);
    assert_eq!(walk("&MaxResults=1000", &[1000, 1000, 345]), 2345);
    let running =
        "&Filter.1.Name=instance-state-name&Filter.1.Value.1=pending&Filter.1.Value.2=run%2A";
    assert_eq!(walk(running, &[1000, 1000, 110]), 2110);

    // A token is valid for its own list only.
    let (_, token) = page("&MaxResults=5");
    let token = token.expect("there is more");
    let inside: &'static str = Box::leak(format!("&NextToken={token}").into_boxed_str());
    let other = |way, region| refusal("ec2", &ask(&client, way, region));
    let wrong = (400, "InvalidNextToken".to_owned());
    assert_eq!(other(("ec2", "DescribeInstances", "POST", "/", inside), "eu-west-2"), wrong);
    assert_eq!(
        other(("ec2", "DescribeSpotInstanceRequests", "POST", "/", inside), "eu-west-1"),
        wrong
    );
}

#[test]
fn a_region_that_is_not_enabled_knows_nobody() {
    let mut account = account();
    account["regions"] = json!({
        "eu-west-1": "opt-in-not-required", "af-south-1": "opted-in", "me-south-1": "not-opted-in",
    });
    let client = holding(&account);
    let regions = |inside| {
        let result = ec2(&client, "DescribeRegions", inside);
        let regions = items(&result, "regionInfo");
        regions.iter().map(|region| region.text("regionName")).collect::<Vec<_>>()
    };
    assert_eq!(regions(""), ["af-south-1", "eu-west-1"]);
    assert_eq!(regions("&AllRegions=true"), ["af-south-1", "eu-west-1", "me-south-1"]);
    for way in WAYS {
        assert_eq!(ask(&client, WAYS[1], "af-south-1").status, 200);
        let got = refusal(way.0, &ask(&client, way, "me-south-1"));
        let wanted = match way.0 {
            "ec2" => (401, "AuthFailure"),
            "autoscaling" | "elasticbeanstalk" | "rds" => (403, "InvalidClientTokenId"),
            "ecs" | "elasticmapreduce" => (400, "UnrecognizedClientException"),
            _ => (403, "UnrecognizedClientException"),
        };
        assert_eq!((got.0, got.1.as_str()), wanted, "{way:?}");
    }
    // Without its own list, an account has AWS's regions: the 17 that are always enabled.
    let usual = Client::of_empty_account();
    assert_eq!(items(&ec2(&usual, "DescribeRegions", ""), "regionInfo").len(), 17);
    let all = ec2(&usual, "DescribeRegions", "&AllRegions=true");
    let off = items(&all, "regionInfo").into_iter();
    assert!(off.filter(|region| region.text("optInStatus") == "not-opted-in").count() > 10);
}

#[test]
fn faults_hit_the_calls_that_they_name_and_no_others() {
    let client = holding(&account());
    let set = |faults: &str| {
        client.emulator.set_faults(faults.parse::<Faults>().expect("the faults are well written"));
    };
    for way in WAYS {
        let (service, action, ..) = way;
        let kind = match service {
            "ec2" => 0,
            "autoscaling" | "elasticbeanstalk" | "rds" => 1,
            "ecs" | "elasticmapreduce" => 2,
            _ => 3,
        };
        let denied = [
            (403, "UnauthorizedOperation"),
            (403, "AccessDenied"),
            (400, "AccessDeniedException"),
            (403, "AccessDeniedException"),
        ];
        set(&format!("deny={service}:{action}@eu-west-1"));
        let reply = ask(&client, way, "eu-west-1");
        let (status, code) = refusal(service, &reply);
        assert_eq!((status, code.as_str()), denied[kind], "{way:?}");
        assert!(reply.body.contains(&format!("{service}:{action}")), "{}", reply.body);
        let elsewhere = ask(&client, way, "eu-west-2");
        assert!(!elsewhere.body.contains("not authorized"), "{way:?}: {}", elsewhere.body);

        set(&format!("fail={service}@eu-*"));
        assert_eq!(refusal(service, &ask(&client, way, "eu-west-1")).0, 500, "{way:?}");
        set(&format!("choke=*:{action}"));
        let (status, code) = refusal(service, &ask(&client, way, "eu-west-1"));
        let throttled = match service {
            "ec2" => (503, "RequestLimitExceeded"),
            "batch" => (429, "TooManyRequestsException"),
            "imagebuilder" => (429, "CallRateLimitExceededException"),
            "eks" => (429, "ThrottlingException"),
            "ecs" | "elasticmapreduce" => (400, "ThrottlingException"),
            _ => (400, "Throttling"),
        };
        assert_eq!((status, code.as_str()), throttled, "{way:?}");

        set(&format!("cut={service}"));
        let cut = answer(&client.emulator, request(way, "eu-west-1"));
        assert!(matches!(cut, Answer::Cut(Reply { status: 200, .. })), "{way:?}: {cut:?}");
        set("");
        assert_eq!(ask(&client, way, "eu-west-1").status, 200, "{way:?}");
    }
    set("deny=iam:ListRoles+sts,cut=iam");
    assert_eq!(client.refused("ListRoles", &[]).1, "AccessDenied");
    assert_eq!(client.refused("GetCallerIdentity", &[]).1, "AccessDenied");
    assert!(matches!(client.answer("ListInstanceProfiles", &[]), Answer::Cut(_)));
}

#[test]
fn the_example_has_something_of_every_kind() {
    let client = Client::of(Emulator::in_memory(options()).expect("memory needs no file"));
    let mut export = Vec::new();
    client.emulator.export(&mut export).expect("memory can be read");
    let export: Value = serde_json::from_slice(&export).expect("JSON");
    let resources = export["resources"].as_array().expect("a list");
    let every = |key: &str| -> BTreeSet<_> {
        resources.iter().filter_map(|one| one[key].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(every("kind").len(), 13, "{:?}", every("kind"));
    assert!(every("region").len() >= 3);
    assert!(every("state").contains("terminated") && every("state").contains("stopped"));
    // The named profiles exist, except those of the partner account.
    let profiles = export["profiles"].as_array().expect("a list");
    let arns: BTreeSet<_> = profiles.iter().filter_map(|profile| profile["arn"].as_str()).collect();
    let text = export["resources"].to_string();
    let named = text
        .split('"')
        .filter(|word| word.starts_with("arn:aws:iam::123456789012:instance-profile"));
    assert!(named.clone().count() > 10);
    for arn in named {
        assert!(arns.contains(arn), "{arn}");
    }
    assert!(text.contains("arn:aws:iam::210987654321:instance-profile"));
}
