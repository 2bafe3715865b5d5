//! Account on a port, as any HTTP client sees it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use iamlua::emulator::{Emulator, EmulatorSettings, Serving, bind, serve, serve_with};
use iamlua::error::Kind;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{options, request};
use crate::patience::{PATIENCE, until};

/// Longer than any test waits.
const FAREWELL: Duration = Duration::from_hours(1);

struct Served {
    emulator: Emulator,
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<iamlua::error::Result<()>>,
}

fn served(faults: &str) -> Served {
    served_with(faults, Serving { farewell: FAREWELL, ..Serving::default() })
}

fn served_with(faults: &str, serving: Serving) -> Served {
    let faults = faults.parse().expect("the faults are well written");
    let emulator = Emulator::in_memory(EmulatorSettings { faults, ..options() }).expect("memory");
    let runtime =
        Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(bind(0)).expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let server = runtime.spawn(serve_with(emulator.clone(), listener, stopped, serving));
    Served { emulator, runtime, address, stop, server }
}

/// POST request with that body.
fn post(form: &[u8]) -> Vec<u8> {
    let authorization =
        request("AKIAIOSFODNN7EXAMPLE", "ListRoles", &[]).authorization.expect("it has one");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    [head.as_bytes(), form].concat()
}

fn list_roles() -> Vec<u8> {
    post(&request("AKIAIOSFODNN7EXAMPLE", "ListRoles", &[]).body)
}

/// Reads until the text has arrived or the connection ends; returns what has arrived.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&all).contains(end) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => all.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8(all).expect("UTF-8")
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

#[test]
fn one_connection_carries_many_answers() {
    let served = served("");
    let mut stream = connect(served.address);
    for _ in 0..3 {
        stream.write_all(&list_roles()).expect("it listens");
        let reply = read_until(&mut stream, "</ListRolesResponse>");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: text/xml"), "{head}");
        let (_, id) = head.split_once("x-amzn-requestid: ").expect("a request id");
        let id = id.lines().next().unwrap_or_default();
        assert!(body.contains(&format!("<RequestId>{id}</RequestId>")), "{id}: {body}");
    }
    stream.write_all(&post(b"Action=Nope&Version=2010-05-08")).expect("it listens");
    let reply = read_until(&mut stream, "</ErrorResponse>");
    assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{reply}");
}

#[test]
fn a_lost_answer_closes_the_connection() {
    let served = served("lost=100%");
    let mut stream = connect(served.address);
    stream.write_all(&list_roles()).expect("it listens");
    assert_eq!(read_until(&mut stream, "nothing"), "");
}

#[test]
fn a_cut_answer_announces_more_than_comes() {
    let served = served("cut=iam:ListRoles");
    let mut stream = connect(served.address);
    stream.write_all(&list_roles()).expect("it listens");
    // Until the connection ends.
    let reply = read_until(&mut stream, "</ListRolesResponse>");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let head = head.to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ").expect("a length");
    let length: usize = length.lines().next().unwrap_or_default().parse().expect("a number");
    assert!(body.contains("<ListRolesResult>"), "{body}");
    assert!((length / 3..length).contains(&body.len()), "{} of {length}", body.len());
}

#[test]
fn what_is_no_call_is_refused() {
    let served = served("");
    for (request, status) in [
        (b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), "405"),
        (
            b"GET /?Action=ListRoles&Version=2010-05-08 HTTP/1.1\r\nHost: localhost\r\n\r\n"
                .to_vec(),
            "403",
        ),
        (post(&vec![b'x'; (1 << 20) + 1]), "413"),
        (b"nonsense\r\n\r\n".to_vec(), "400"),
    ] {
        let mut stream = connect(served.address);
        // The server may answer and close before a large body is sent.
        let _ = stream.write_all(&request);
        let reply = read_until(&mut stream, "\r\n\r\n");
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {reply}");
    }
}

#[test]
fn only_names_of_this_machine_are_answered() {
    let hosts = vec!["account.test".parse().expect("a name")];
    let served = served_with("", Serving { hosts, ..Serving::default() });
    let call = String::from_utf8(list_roles()).expect("text");
    for (target, host, status) in [
        ("/", "Host: localhost", 200),
        ("/", "Host: 127.0.0.1:7100", 200),
        ("/", "Host: [::1]:7100", 200),
        ("/", "Host: account.test:7100", 200),
        ("/", "Host: evil.test", 421),
        ("/", "Host: 127.0.0.1.evil.test:7100", 421),
        ("/", "Host: iam.amazonaws.com", 421),
        ("http://evil.test/", "Host: localhost", 421),
        ("/", "Host: localhost\r\nHost: evil.test", 400),
        ("/", "X-Host: localhost", 400),
    ] {
        let call = call.replacen("POST /", &format!("POST {target}"), 1);
        let call = call.replacen("Host: localhost", host, 1);
        let mut stream = connect(served.address);
        let _ = stream.write_all(call.as_bytes());
        let reply = read_until(&mut stream, "\r\n\r\n");
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{target} {host}: {reply}");
        if status == 421 {
            assert!(read_until(&mut stream, "NAME`").len() + reply.len() > 200, "{reply}");
        }
    }
}

#[test]
fn half_a_request_ends_by_itself_and_keeps_nobody_waiting() {
    let request = Duration::from_millis(200);
    let served = served_with("", Serving { request, connections: 4, ..Serving::default() });
    let whole = list_roles();
    let head = whole.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    for (part, answer) in [(0, ""), (10, ""), (head - 1, ""), (head, "408"), (head + 3, "408")] {
        let mut stream = connect(served.address);
        stream.write_all(&whole[..part]).expect("it listens");
        let reply = read_until(&mut stream, "nothing");
        assert!(reply.contains(answer) && !reply.contains("200"), "{part}: {reply}");
    }
    let served = served_with("", Serving { connections: 4, ..Serving::default() });
    let mut idle: Vec<_> = (0..40).map(|_| connect(served.address)).collect();
    let mut stream = connect(served.address);
    stream.write_all(&whole).expect("it listens");
    let reply = read_until(&mut stream, "</ListRolesResponse>");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    // The first connection was closed.
    assert_eq!(read_until(&mut idle[0], "nothing"), "");
}

#[test]
fn heads_without_end_are_cut() {
    let served = served("");
    for line in ["X-Long: ", "X: y\r\n"] {
        let mut stream = connect(served.address);
        let _ = stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\n");
        let mut is_open = true;
        for _ in 0..(4 << 20) / (line.len() * 1000) {
            is_open = stream.write_all(line.repeat(1000).as_bytes()).is_ok();
            if !is_open {
                break;
            }
        }
        assert!(!is_open, "four megabytes of a head are taken");
    }
}

#[test]
fn a_shutdown_finishes_what_is_under_way() {
    let served = served("hold=iam:ListRoles");
    let mut stream = connect(served.address);
    let idle = connect(served.address);
    stream.write_all(&list_roles()).expect("it listens");
    let held = || served.emulator.held_calls().expect("memory");
    until(|| !held().is_empty(), || "the call does not come".into());
    served.stop.send(()).expect("it serves");
    let is_closed = || TcpStream::connect(served.address).is_err();
    until(is_closed, || "it still listens".into());
    assert_eq!(served.emulator.release_calls().expect("memory"), ["iam:ListRoles@us-east-1"]);
    let reply = read_until(&mut stream, "</ListRolesResponse>");
    assert!(reply.contains("200 OK") && reply.contains("</ListRolesResponse>"), "{reply}");
    // An idle connection does not delay it.
    let ends = async { tokio::time::timeout(PATIENCE, served.server).await };
    let ended = served.runtime.block_on(ends).expect("it ends");
    ended.expect("no panic").expect("no error");
    drop(idle);
}

#[test]
fn nothing_but_loopback() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        let emulator = Emulator::in_memory(options()).expect("memory");
        let error = serve(emulator, listener, async {}).await.expect_err("it is open to all");
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.contains("0.0.0.0"), "{error}");

        let mine = bind(0).await.expect("a free port");
        let address = mine.local_addr().expect("it listens");
        assert!(address.ip().is_loopback());
        let error = bind(address.port()).await.expect_err("the port is taken");
        assert_eq!(error.kind, Kind::Io);
        assert!(error.hints.concat().contains("--port"), "{error}");
    });
}
