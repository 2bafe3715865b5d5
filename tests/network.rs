//! Program in a company network: a proxy with name and password, a TLS endpoint with a certificate
//! of a private authority, hosts that only the proxy resolves, and a wrong clock. All of it runs in
//! this process, on loopback.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use iamlua::emulator::{Emulator, EmulatorSettings, Serving, bind, serve_with};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::end_to_end::{Home, Ran};

/// `proxyuser:p@ss word`, percent-encoded as in a URL and as the header of a request.
const LOGIN: &str = "proxyuser:p%40ss%20word";
const LOGIN_HEADER: &str = "Basic cHJveHl1c2VyOnBAc3Mgd29yZA==";

/// Lines that servers have received.
type Seen = Arc<Mutex<Vec<String>>>;

/// Network: an account behind TLS at AWS's own names, and a proxy to it.
struct Company {
    _runtime: Runtime,
    proxy: u16,
    /// Port of the account without TLS.
    plain: u16,
    /// Certificate of the authority, in PEM.
    authority: String,
    /// First lines of the requests to the proxy.
    asked: Seen,
    /// User agents of the calls through TLS.
    agents: Seen,
}

impl Company {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (asked, agents) = (Seen::default(), Seen::default());
        let (authority, tls) = certificates();
        let emulator = Emulator::in_memory(EmulatorSettings::default()).expect("memory");
        let (plain, tls_port, proxy) = runtime.block_on(async {
            let account = bind(0).await.expect("a free port");
            let plain = account.local_addr().expect("it listens").port();
            let hosts = vec![".amazonaws.com".parse().expect("a name")];
            let serving = Serving { hosts, ..Serving::default() };
            tokio::spawn(serve_with(emulator, account, std::future::pending(), serving));
            let (secure, tls_port) = listen().await;
            tokio::spawn(terminate(secure, tls, plain, Arc::clone(&agents)));
            let (listener, proxy) = listen().await;
            tokio::spawn(proxy_to(listener, tls_port, plain, Arc::clone(&asked)));
            (plain, tls_port, proxy)
        });
        assert_ne!(tls_port, plain);
        Self { _runtime: runtime, proxy, plain, authority, asked, agents }
    }

    /// Runs the program with keys in the environment and these variables.
    fn run(home: &Home, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = home.command(args);
        command
            .env("AWS_ACCESS_KEY_ID", "AKIATEST000000000000")
            .env("AWS_SECRET_ACCESS_KEY", "x")
            .envs(variables.iter().copied());
        Ran::from(command.output().expect("the program starts"))
    }

    fn proxy_url(&self, login: &str) -> String {
        format!("http://{login}@127.0.0.1:{}", self.proxy)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("nobody panics"))
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    (listener, port)
}

/// Creates a private authority, and its server certificate for AWS's names.
fn certificates() -> (String, TlsAcceptor) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().expect("a key");
    let names = ["iam.amazonaws.com", "sts.us-east-1.amazonaws.com", "localhost"];
    let params = CertificateParams::new(names.map(String::from)).expect("names");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_no_client_auth()
    .with_single_cert(vec![certificate.der().clone()], key)
    .expect("a certificate");
    (authority, TlsAcceptor::from(Arc::new(config)))
}

/// Terminates TLS, and records the user agents.
async fn terminate(listener: TcpListener, tls: TlsAcceptor, to: u16, agents: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, agents) = (tls.clone(), Arc::clone(&agents));
        tokio::spawn(async move {
            // A client that does not trust the certificate closes the connection.
            let Ok(stream) = tls.accept(stream).await else { return };
            let account = TcpStream::connect(("127.0.0.1", to)).await.expect("the account");
            let (mut from_client, mut to_client) = split(stream);
            let (mut from_account, mut to_account) = account.into_split();
            tokio::spawn(async move { copy(&mut from_account, &mut to_client).await });
            let mut bytes = vec![0; 64 << 10];
            while let Ok(n @ 1..) = from_client.read(&mut bytes).await {
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                let agent = text.lines().find_map(|line| line.strip_prefix("user-agent: "));
                agents.lock().expect("nobody panics").extend(agent.map(str::to_owned));
                if to_account.write_all(&bytes[..n]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// Proxy that connects every host to the TLS endpoint by CONNECT, and sends plain requests to the
/// account.
async fn proxy_to(listener: TcpListener, tls: u16, plain: u16, asked: Seen) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            let line = text.lines().next().unwrap_or_default().to_owned();
            let is_tunnel = line.starts_with("CONNECT ");
            asked.lock().expect("nobody panics").push(line);
            let login = text.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("proxy-authorization").then(|| value.to_owned())
            });
            if login.as_deref() != Some(LOGIN_HEADER) {
                let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = stream.write_all(refusal).await;
                return;
            }
            let port = if is_tunnel { tls } else { plain };
            let mut there = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
            let begun = if is_tunnel {
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await
            } else {
                there.write_all(&head).await
            };
            if begun.is_ok() {
                let _ = copy_bidirectional(&mut stream, &mut there).await;
            }
        });
    }
}

#[test]
fn behind_a_proxy_with_a_private_authority_aws_is_reached_by_its_own_names() {
    let (company, home) = (Company::new(), Home::new());
    let bundle = home.write("ca.pem", &company.authority);
    let proxy = company.proxy_url(LOGIN);
    let bundle = bundle.to_str().expect("UTF-8");
    let variables = [("HTTPS_PROXY", &*proxy), ("AWS_CA_BUNDLE", bundle)];
    let script = "local n = 0 for _ in iam.profiles.each {} do n = n + 1 end print(n)";
    let ran = Company::run(&home, &["--aws", "-e", script], &variables).ends(0, "");
    assert_eq!(ran.out, "24\n");
    assert_eq!(company.asked(), ["CONNECT iam.amazonaws.com:443 HTTP/1.1"]);
    // CloudTrail shows the user agent.
    let agents = std::mem::take(&mut *company.agents.lock().expect("nobody panics"));
    let own = concat!("iamlua/", env!("CARGO_PKG_VERSION"));
    assert!(!agents.is_empty() && agents.iter().all(|agent| agent.starts_with(own)), "{agents:?}");

    let whoami = Company::run(&home, &["whoami", "--aws"], &variables).ends(0, "");
    for line in [
        format!("http://127.0.0.1:{}  (HTTPS_PROXY)", company.proxy),
        format!("{bundle}  (AWS_CA_BUNDLE)"),
        "keys in the environment (AWS_ACCESS_KEY_ID)".into(),
    ] {
        assert!(whoami.out.contains(&line), "{line} is not in {}", whoami.out);
    }
    assert!(!whoami.out.contains("p%40ss") && !whoami.out.contains("p@ss"), "{}", whoami.out);
    let asked = company.asked();
    assert!(asked.iter().any(|line| line.contains("sts.us-east-1.amazonaws.com")), "{asked:?}");

    // The same by the profile, and by a variable in lower case.
    let config = home.write(
        "config",
        format!("[profile corp]\nregion = us-east-1\nca_bundle = {bundle}\naws_access_key_id = AKIACORP000000000000\naws_secret_access_key = x\n"),
    );
    let config = config.to_str().expect("UTF-8");
    let variables = [("https_proxy", &*proxy), ("AWS_CONFIG_FILE", config)];
    let ran = Company::run(&home, &["--profile", "corp", "-e", script], &variables).ends(0, "");
    assert_eq!(ran.out, "24\n");
}

/// Variables, and texts of the error.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn what_is_wrong_with_the_network_is_named() {
    let (company, home) = (Company::new(), Home::new());
    let bundle = home.write("ca.pem", &company.authority);
    let bundle = bundle.to_str().expect("UTF-8");
    let (right, wrong) = (company.proxy_url(LOGIN), company.proxy_url("proxyuser:wrong"));
    let by_number = format!("http://127.0.0.1:{}", company.plain);
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://127.0.0.1:{}", listener.local_addr().expect("it listens").port())
    };
    let shown = format!("through the proxy http://127.0.0.1:{} (HTTPS_PROXY)", company.proxy);
    let no_authorities = home.write("none.pem", "");
    let no_authorities = no_authorities.to_str().expect("UTF-8");
    let rows: [Row<'_>; 7] = [
        // Wrong password.
        (
            &[("HTTPS_PROXY", &wrong), ("AWS_CA_BUNDLE", bundle)],
            &["no answer from iam.amazonaws.com", &shown, "(407)", "NAME:PASSWORD"],
        ),
        // Unknown authority.
        (
            &[("HTTPS_PROXY", &right)],
            &["no answer from iam.amazonaws.com", "certificate", "AWS_CA_BUNDLE"],
        ),
        // No authority on this system.
        (
            &[("HTTPS_PROXY", &right), ("SSL_CERT_FILE", no_authorities)],
            &[
                "no answer from iam.amazonaws.com",
                "this system has no CA certificates",
                "install the package ca-certificates",
                "AWS_CA_BUNDLE",
            ],
        ),
        // No listener at the proxy's address.
        (
            &[("HTTPS_PROXY", &nobody)],
            &["no answer from iam.amazonaws.com", &nobody, "(HTTPS_PROXY)", "refused", "NO_PROXY"],
        ),
        // Without the proxy the host does not resolve.
        (
            &[("HTTPS_PROXY", &right), ("NO_PROXY", "amazonaws.com")],
            &["no answer from iam.amazonaws.com: ", "set HTTPS_PROXY"],
        ),
        // Plain HTTP: the refusal of the proxy is no response of AWS.
        (
            &[("HTTP_PROXY", &wrong), ("AWS_ENDPOINT_URL", &by_number)],
            &["(AWS_ENDPOINT_URL)", "(HTTP_PROXY)", "407", "NAME:PASSWORD"],
        ),
        // Endpoint without a listener, by the variable that names it.
        (&[("AWS_ENDPOINT_URL_IAM", &nobody)], &["(AWS_ENDPOINT_URL_IAM)", "refused"]),
    ];
    for (variables, says) in rows {
        let variables: Vec<_> =
            variables.iter().copied().chain([("AWS_MAX_ATTEMPTS", "1")]).collect();
        let ran = Company::run(&home, &["--aws", "-e", "iam.profiles.get('web')"], &variables);
        let ran = ran.ends(1, "no answer");
        for text in says {
            assert!(ran.err.contains(text), "{text:?} is not in {}", ran.err);
        }
        assert!(!ran.err.contains("p%40ss") && !ran.err.contains("wrong@"), "{}", ran.err);
    }
    // With the right password plain HTTP works.
    let variables = [("HTTP_PROXY", &*right), ("AWS_ENDPOINT_URL", &*by_number)];
    company.asked();
    Company::run(&home, &["--aws", "-e", "iam.profiles.get('web-frontend')"], &variables)
        .ends(0, "");
    let asked = company.asked();
    assert_eq!(asked, [format!("POST {by_number}/ HTTP/1.1")], "in absolute form");
}

/// `http` of scripts takes the way of the calls to AWS.
#[test]
fn requests_of_scripts_take_the_proxy_and_the_certificates() {
    let (company, home) = (Company::new(), Home::new());
    let bundle = home.write("ca.pem", &company.authority);
    let bundle = bundle.to_str().expect("UTF-8");
    let (right, wrong) = (company.proxy_url(LOGIN), company.proxy_url("proxyuser:wrong"));
    let code = "local answer, err = try(http.get, 'https://iam.amazonaws.com/x')
        print(answer and answer.headers['content-type'] or err.message, err and err.hint)";
    let get = |variables: &[(&str, &str)]| {
        let args = ["--allow-net=iam.amazonaws.com", "-e", code];
        Company::run(&home, &args, variables).ends(0, "").out
    };
    let answer = get(&[("HTTPS_PROXY", &right), ("AWS_CA_BUNDLE", bundle)]);
    assert!(!answer.starts_with("http.get: "), "{answer}");
    assert_eq!(company.asked(), ["CONNECT iam.amazonaws.com:443 HTTP/1.1"]);
    let rows: [Row<'_>; 3] = [
        (&[("HTTPS_PROXY", &wrong), ("AWS_CA_BUNDLE", bundle)], &["(407)", "NAME:PASSWORD"]),
        (&[("HTTPS_PROXY", &right)], &["certificate", "AWS_CA_BUNDLE"]),
        (
            &[("HTTPS_PROXY", &right), ("NO_PROXY", "amazonaws.com")],
            &["check the address and the network", "set HTTPS_PROXY"],
        ),
    ];
    for (variables, says) in rows {
        let answer = get(variables);
        assert!(answer.starts_with("http.get: no answer from iam.amazonaws.com"), "{answer}");
        for text in says {
            assert!(answer.contains(text), "{text:?} is not in {answer}");
        }
        assert!(!answer.contains("wrong@") && !answer.contains("p%40ss"), "{answer}");
    }
}

/// Response of STS to `GetCallerIdentity`.
const IDENTITY: &str = "<GetCallerIdentityResponse \
    xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
    <Arn>arn:aws:iam::123456789012:user/jo</Arn><UserId>AIDA</UserId>\
    <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

/// IAM endpoint that refuses signatures older than five minutes by its own clock, which is ahead.
async fn skewed(listener: TcpListener, ahead: Duration, seen: Seen) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                let now = jiff::Timestamp::now() + ahead;
                let signed = text.lines().find_map(|line| line.strip_prefix("x-amz-date: "));
                let signed = signed.expect("it is signed").trim();
                let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", signed).expect("a date");
                let at = jiff::tz::Offset::UTC.to_timestamp(at).expect("a date");
                let is_right = (now.as_second() - at.as_second()).abs() < 300;
                seen.lock()
                    .expect("nobody panics")
                    .push(if is_right { "right" } else { "wrong" }.into());
                let (status, body) = if is_right {
                    ("200 OK", IDENTITY.to_owned())
                } else {
                    (
                        "403 Forbidden",
                        format!(
                            "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>Signature expired: {signed} is now earlier than {now}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
                        ),
                    )
                };
                let date = jiff::fmt::rfc2822::DateTimePrinter::new()
                    .timestamp_to_rfc9110_string(&now)
                    .expect("a date");
                let answer = format!(
                    "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[test]
fn a_wrong_clock_is_corrected_by_the_server_s_and_said_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let seen = Seen::default();
    let port = runtime.block_on(async {
        let (listener, port) = listen().await;
        tokio::spawn(skewed(listener, Duration::from_secs(2 * 3600 + 30), Arc::clone(&seen)));
        port
    });
    let home = Home::new();
    let url = format!("http://127.0.0.1:{port}");
    let mut command = home.command(&["whoami", "--endpoint-url", &url]);
    command.env("AWS_ACCESS_KEY_ID", "AKIATEST000000000000").env("AWS_SECRET_ACCESS_KEY", "x");
    let ran = Ran::from(command.output().expect("the program starts"));
    let ran = ran.ends(0, "this machine's clock is 2h 00m behind AWS's");
    assert_eq!(ran.err.matches("clock").count(), 2, "one note: {}", ran.err);
    assert!(ran.out.contains("123456789012"), "{ran:?}");
    let seen = std::mem::take(&mut *seen.lock().expect("nobody panics"));
    assert_eq!(seen[..2], ["wrong", "right"], "{seen:?}");
    assert_eq!(seen.iter().filter(|signature| *signature == "wrong").count(), 1, "{seen:?}");
}
