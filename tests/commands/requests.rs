//! Requests of scripts to a web server: what is sent, what a plan holds back, and limits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex, PoisonError};

use super::Desk;

/// Web server that records requests. The path of a request says what it does.
struct Server {
    place: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (own, together) = (Arc::clone(&requests), Arc::new(Barrier::new(4)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, together) = (Arc::clone(&own), Arc::clone(&together));
                std::thread::spawn(move || while serve(&stream, &requests, &together) {});
            }
        });
        Self { place, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.place)
    }

    /// Requests so far: first line, headers in lower case and body.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers one request; false if the connection has ended.
fn serve(stream: &TcpStream, requests: &Mutex<Vec<String>>, together: &Barrier) -> bool {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        let line = line.trim_end();
        let lower = line.to_ascii_lowercase();
        if let Some(given) = lower.strip_prefix("content-length: ") {
            length = given.parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
        request.push_str(if request.is_empty() { line } else { &lower });
        request.push('\n');
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    request.push_str(&String::from_utf8_lossy(&body));
    let path = request.split(' ').nth(1).expect("a path").to_owned();
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let mut out = stream;
    let mut answer = |head: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
        out.write_all(head.as_bytes()).and_then(|()| out.write_all(body)).is_ok()
    };
    match &*path {
        "/together" => {
            together.wait();
            answer("200 OK", b"all")
        }
        "/never" => {
            // Until the client closes the connection.
            let _ = reader.read(&mut [0]);
            false
        }
        "/bytes" => answer("200 OK\r\nX-One: a\r\nX-One: b", b"\xff\0bytes"),
        "/large" => answer("200 OK", &vec![b'x'; 30 << 20]),
        "/cut" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx");
            false
        }
        "/noise" => {
            let _ = out.write_all(b"what?\r\n\r\n");
            false
        }
        _ => answer("200 OK", path.as_bytes()),
    }
}

#[test]
fn a_request_is_sent_as_it_is_written() {
    let (desk, server) = (Desk::new(), Server::new());
    let code = format!(
        "local answer = http.get('{}', {{ query = {{ q = 'a b' }}, headers = {{ ['X-A'] = '1' }} }})
         print(answer.status, answer.body)
         local posted = http.post('{}', {{ done = true }})
         print(posted.ok, posted.url)
         http.request('{}', {{ method = 'PUT', headers = {{ ['User-Agent'] = 'own' }} }})
         local bytes = http.get('{}')
         print(bytes.body == '\\xff\\0bytes', bytes.headers['x-one'])",
        server.url("/get#part"),
        server.url("/post"),
        server.url("/put"),
        server.url("/bytes"),
    );
    let allow = format!("--allow-net={}", server.place);
    let ran = desk.run(&[&allow, "-e", &code]).ends(0, "");
    let url = server.url("/post");
    assert_eq!(ran.out, format!("200\t/get?q=a+b\ntrue\t{url}\ntrue\ta, b\n"));
    let requests = server.requests();
    let has = |request: &str, part: &str| assert!(request.contains(part), "{part}: {request}");
    has(&requests[0], "GET /get?q=a+b HTTP/1.1\n");
    has(&requests[0], "x-a: 1\n");
    has(&requests[0], &format!("host: {}\n", server.place));
    has(&requests[0], concat!("user-agent: iamlua/", env!("CARGO_PKG_VERSION"), "\n"));
    has(&requests[1], "content-type: application/json\n");
    has(&requests[1], "\n{\"done\":true}");
    has(&requests[2], "PUT /put HTTP/1.1\n");
    has(&requests[2], "content-length: 0\n");
    has(&requests[2], "user-agent: own\n");
}

#[test]
fn a_plan_holds_back_what_could_change_something_and_keeps_no_secret() {
    let (desk, server) = (Desk::new(), Server::new());
    let code = format!(
        "print(http.get('{}').body)
         iam.profiles.tag('alpha', {{ Owner = 'ops' }})
         local sent = http.post('{}?token=s3cret-query', {{ key = 's3cret-body' }},
           {{ headers = {{ Authorization = 'Bearer s3cret-header' }} }})
         print(sent and sent.status)",
        server.url("/read"),
        server.url("/hooks/0123456789-s3cret-path"),
    );
    desk.write("work.lua", &code);
    let allow = format!("--allow-net={}", server.place);
    let planned = desk.run(&["plan", "work.lua", &allow, "-o", "plan.json"]).ends(0, "");
    let line = format!("would send POST http://{}/hooks/…?… (21 bytes)", server.place);
    assert!(planned.out.contains(&line), "{planned:?}");
    assert!(planned.out.contains("outside of the account 1 request"), "{planned:?}");
    assert!(planned.err.starts_with("/read\nnil\n"), "{planned:?}");
    let shown = desk.run(&["show", "plan.json"]).ends(0, "");
    assert!(shown.out.contains(&line), "{shown:?}");
    assert_eq!(server.requests().len(), 1, "only the read is sent");
    desk.run(&["apply", "plan.json", "--yes"]).ends(0, "");
    assert_eq!(server.requests().len(), 1, "a plan applies changes of the account alone");
    let run = ["run", "work.lua", &allow];
    let applied = desk.run(&[&run[..], &["--apply"]].concat()).ends(0, "");
    assert!(applied.out.ends_with("200\n"), "{applied:?}");
    let all = desk.run(&[&run[..], &["--plan", "--plan-runs-programs"]].concat()).ends(0, "");
    assert!(all.out.contains("200\n"), "{all:?}");
    assert_eq!(server.requests().len(), 5);
    let kept = desk.journal() + &desk.read("plan.json") + &planned.out + &planned.err;
    assert!(!kept.contains("s3cret"), "a secret was kept");
}

#[test]
fn requests_of_tasks_are_in_flight_together() {
    let (desk, server) = (Desk::new(), Server::new());
    let code = format!(
        "local bodies = bulk.map({{ 1, 2, 3, 4 }}, {{ concurrency = 4 }}, function() return http.get('{}').body end)
         print(#bodies, bodies[4])",
        server.url("/together"),
    );
    let allow = format!("--allow-net={}", server.place);
    assert_eq!(desk.run(&[&allow, "-e", &code]).ends(0, "").out, "4\tall\n");
}

#[test]
fn a_server_cannot_hold_or_fill_a_script() {
    let (desk, server) = (Desk::new(), Server::new());
    let allow = format!("--allow-net={}", server.place);
    let get = |path: &str, options: &str| {
        format!(
            "local _, err = try(http.get, '{}', {options}) print(err.kind, err.message)",
            server.url(path)
        )
    };
    for (path, options, says) in [
        ("/never", "{ timeout = 0.2 }", "/never has not answered within 200ms"),
        ("/large", "{}", "is larger than"),
        ("/cut", "{}", "was cut off"),
        ("/noise", "{}", "no answer from 127.0.0.1"),
    ] {
        let args = ["--max-memory", "32M", &allow, "-e", &get(path, options)];
        let ran = desk.run(&args).ends(0, "");
        assert!(ran.out.starts_with("connection\thttp.get: "), "{path}: {ran:?}");
        assert!(ran.out.contains(says), "{path}: {ran:?}");
    }
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let code = format!("http.get('http://{gone}/')");
    let ran = desk.run(&["--allow-net=127.0.0.1", "-e", &code]).ends(1, "no answer from 127.0.0.1");
    assert!(ran.err.contains("check the address and the network"), "{ran:?}");
    // The time limit of the run ends a wait.
    let args = ["--timeout", "1s", &allow, "-e", &format!("http.get('{}')", server.url("/never"))];
    desk.run(&args).ends(1, "the run took longer than its timeout allows");
}
