//! Network access: no script may send calls to a host that is not allowed.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::commands::Desk;

/// Host of an attacker, which counts connections.
struct Trap {
    place: String,
    visits: Arc<AtomicUsize>,
}

impl Trap {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = listener.local_addr().expect("an address").to_string();
        let visits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&visits);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                if let Ok(mut stream) = stream {
                    let _ = stream.read(&mut [0; 64]);
                }
            }
        });
        Self { place, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

#[test]
fn calls_go_nowhere_that_nobody_has_allowed() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let trap = Trap::new();
    let there = &trap.place;
    let own = endpoint.url.trim_start_matches("http://");
    let port = there.rsplit_once(':').expect("a port").1.to_owned();
    desk.write(
        "aws-config",
        format!(
            "[profile plain]\nregion = eu-west-1\naws_access_key_id = AKIAPLAIN\n\
             aws_secret_access_key = plain\n\
             [profile own]\nendpoint_url = {}\n\
             [profile away]\nendpoint_url = http://{there}\n\
             [profile part]\nservices = part\n[services part]\nsts =\n  endpoint_url = http://{there}\n\
             [profile ec2]\nservices = ec2\n[services ec2]\nec2 =\n  endpoint_url = http://{there}\n\
             [profile role]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = plain\n\
             endpoint_url = http://{there}\n",
            endpoint.url
        ),
    );
    let refused = [
        format!("endpoint_url = 'http://{there}'"),
        format!("endpoint_url = 'http://{there}/'"),
        format!("endpoint_url = 'HTTP://{there}'"),
        format!("endpoint_url = 'http://localhost:{port}'"),
        format!("endpoint_url = 'http://{own}@{there}'"),
        format!("endpoint_url = 'http://iam.amazonaws.com@{there}'"),
        format!("endpoint_url = 'http://{there}/{own}'"),
        format!("endpoint_url = 'http://{there}?{own}'"),
        format!("endpoint_url = 'http://{there}#@{own}'"),
        format!("endpoint_url = 'http://[::ffff:127.0.0.1]:{port}'"),
        format!("endpoint_url = 'http://2130706433:{port}'"),
        "endpoint_url = 'https://iam.amazonaws.com.evil.example'".into(),
        "endpoint_url = 'https://iam.s3.amazonaws.com'".into(),
        "endpoint_url = 'http://iam.amazonaws.com'".into(),
        "endpoint_url = 'http://169.254.169.254'".into(),
        "endpoint_url = 'https://x.execute-api.us-east-1.amazonaws.com/prod'".into(),
        format!("endpoint_url = 'http://{there}\\\\@{own}'"),
        format!("endpoint_url = 'http://{there} '"),
        "endpoint_url = 'gopher://evil.example'".into(),
        "endpoint_url = 'evil.example:80'".into(),
        "profile = 'away'".into(),
        "profile = 'part'".into(),
        "profile = 'ec2'".into(),
        "profile = 'role'".into(),
        format!("profile = 'plain', endpoint_url = 'http://{there}'"),
        format!("role_arn = 'arn:aws:iam::123456789012:role/web', endpoint_url = 'http://{there}'"),
        format!("region = 'x.{there}/'"),
        "region = 'evil.example/#'".into(),
        "region = 'us-east-1@evil.example'".into(),
        "region = 'evil.example'".into(),
        "region = '..'".into(),
        "region = 'us-east-1\\n'".into(),
        "region = '%65vil'".into(),
    ];
    let config = desk.path("aws-config");
    let run = |args: &[&str]| {
        let mut command = desk.command(args);
        command.env("AWS_CONFIG_FILE", &config);
        crate::end_to_end::Ran::from(command.output().expect("the program starts"))
    };
    for target in &refused {
        // Also through another connection.
        for iam in ["iam", "iam.connect { region = 'us-west-2' }"] {
            let code = format!(
                "local other = {iam}.connect {{ {target} }}
                 try(other.account) try(other.profiles.list) try(other.usage.scan, {{}})"
            );
            for mode in ["--plan", "--apply", "--read-only"] {
                // An explicit endpoint applies to all profiles.
                let base = if target.starts_with("profile") {
                    ["--profile", "own"]
                } else {
                    ["--endpoint-url", &endpoint.url]
                };
                let ran = run(&[&base[..], &[mode, "-e", &code]].concat());
                assert!(matches!(ran.code, Some(1 | 2 | 4)), "{target}: {ran:?}");
                let is_named = ["--allow-net=", "is no address", "is no region", "must be"];
                assert!(is_named.iter().any(|says| ran.err.contains(says)), "{target}: {ran:?}");
            }
        }
    }
    // A grant for one host does not cover another, and other permissions cover no host.
    for grant in [
        "--allow-net=evil.example",
        "--allow-net=127.0.0.1:1",
        "--allow-net=127.0.0.10",
        "--allow-net=localhost",
        "--allow-run",
        "--allow-read",
        "--yes",
    ] {
        let code = format!("iam.connect {{ endpoint_url = 'http://{there}' }}");
        run(&["--endpoint-url", &endpoint.url, grant, "-e", &code])
            .ends(4, &format!("--allow-net={there}"));
    }
    assert_eq!(trap.visits(), 0, "somebody has called");
}

#[test]
fn requests_go_nowhere_that_nobody_has_allowed() {
    let desk = Desk::new();
    let trap = Trap::new();
    let there = &trap.place;
    let port = there.rsplit_once(':').expect("a port").1.to_owned();
    let urls = [
        format!("http://{there}/"),
        format!("HTTP://{there}/"),
        format!("http://localhost:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://hooks.example.com@{there}/"),
        format!("http://{there}/?hooks.example.com"),
        format!("http://{there}#@hooks.example.com"),
        format!("http://{there}\\\\@hooks.example.com"),
        format!("http:\\n//{there}/"),
        format!("//{there}/"),
        format!("file://{there}/etc/passwd"),
        "http://169.254.169.254/latest/meta-data/".into(),
    ];
    for grant in
        ["--allow-net=hooks.example.com", "--allow-net=127.0.0.1:1", "--allow-run", "--yes"]
    {
        for mode in ["--plan", "--apply", "--plan-runs-programs"] {
            for url in &urls {
                let code = format!(
                    "for _, call in ipairs {{ http.get, http.post, http.request }} do
                       local answer, err = try(call, '{url}')
                       assert(not answer and (err.kind == 'permission' or err.kind == 'argument'),
                         tostring(err))
                     end
                     print('held')"
                );
                let ran = desk.run(&[grant, mode, "-e", &code]).ends(0, "");
                assert!(ran.out.starts_with("held\n"), "{grant} {mode} {url}: {ran:?}");
            }
        }
    }
    // A header cannot become a request of its own.
    let allow = format!("--allow-net={there}");
    for headers in [
        "['X'] = 'a\\r\\nHost: evil'",
        "['X\\r\\nY'] = 'a'",
        "Host = 'evil'",
        "['Content-Length'] = '0'",
        "['Transfer-Encoding'] = 'chunked'",
    ] {
        let code = format!("http.get('http://{there}/', {{ headers = {{ {headers} }} }})");
        desk.run(&[&allow, "-e", &code]).ends(1, "header");
    }
    assert_eq!(trap.visits(), 0, "somebody has called");
}

#[test]
fn hosts_of_ones_own_and_those_that_were_allowed_are_reached() {
    let desk = Desk::new();
    let (endpoint, other) = (desk.serve(), desk.serve());
    let there = other.url.trim_start_matches("http://");
    let count = "local n = 0 for _ in {target}.profiles.each() do n = n + 1 end print(n)";
    let code = |target: &str| count.replace("{target}", target);
    let elsewhere = format!("iam.connect {{ endpoint_url = '{}' }}", other.url);
    for (grant, target) in [
        ("--yes", "iam".to_owned()),
        ("--yes", "iam.connect { region = 'us-west-2' }".into()),
        ("--yes", format!("iam.connect {{ endpoint_url = '{}' }}", endpoint.url)),
        (&format!("--allow-net={there}"), elsewhere.clone()),
        ("--allow-net=127.0.0.1", elsewhere.clone()),
        ("--allow-net", elsewhere.clone()),
    ] {
        let args = ["--endpoint-url", &endpoint.url, grant, "-e", &code(&target)];
        assert_eq!(desk.run(&args).ends(0, "").out, "4\n", "{grant} {target}");
    }
    // A manifest asks for a host, and `-y` answers. Without an answer it is refused.
    let manifest = format!("runbook {{ permissions = {{ net = {{ '{there}' }} }} }} ");
    desk.write("asks.lua", manifest + &code(&elsewhere));
    let args = ["run", "--endpoint-url", &endpoint.url, "asks.lua"];
    desk.run(&args).ends(4, &format!("allow it with --allow-net={there}"));
    let ran = desk.run(&[&args[..], &[&format!("--allow-net={there}")]].concat()).ends(0, "");
    assert_eq!(ran.out, "4\n");
    desk.run(&["run", "asks.lua", "--help"]).ends(0, "");
    desk.write("odd.lua", "runbook { permissions = { net = { 'http://x/y' } } }");
    desk.run(&["run", "odd.lua", "-y"]).ends(4, "was not allowed");
    desk.run(&["run", "odd.lua", "--allow-net=http://x/y"]).ends(2, "takes a host");
}
