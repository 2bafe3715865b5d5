//! Benchmark of the local account in process: operations per second through the real SDK client,
//! and the time for pages of 1,000 in an account of a million profiles. `cargo bench --bench local
//! [PROFILES]`.

use std::time::Instant;

use iamlua::aws::client::{Backend, Clients, Connection};
use iamlua::emulator::{Contents, Emulator, EmulatorSettings, Quota};

fn main() {
    let profiles: u32 =
        std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let account = Emulator::open(&folder.path().join("local.db"), EmulatorSettings::default())
        .expect("an account");
    account.reset(Contents::Empty).expect("an empty account");
    account.set_quota(Quota::Profiles, profiles + 100_000).expect("a quota");
    let connection =
        Connection { target: Backend::local(account.http_client()), ..Connection::default() };
    runtime.block_on(async {
        let clients = connection.clients(|client| client).await.expect("clients");
        operations(&clients).await;
    });
    let start = Instant::now();
    let json = account_of(profiles);
    account.import(json.as_bytes()).expect("an import");
    println!("import of {profiles} profiles: {:.1} s", start.elapsed().as_secs_f64());
    runtime.block_on(async {
        let clients = connection.clients(|client| client).await.expect("clients");
        pages(&clients, None).await;
        pages(&clients, Some("/b/")).await;
    });
}

/// Sequential calls, so that a figure is the inverse of the latency of one call.
async fn operations(clients: &Clients) {
    const N: u32 = 5_000;
    let per_second = |start: Instant| f64::from(N) / start.elapsed().as_secs_f64();
    let start = Instant::now();
    for n in 0..N {
        let call = clients.iam.create_instance_profile().instance_profile_name(format!("p{n}"));
        call.send().await.expect("a profile");
    }
    println!("writes (create): {:.0} a second", per_second(start));
    let start = Instant::now();
    for n in 0..N {
        let call = clients.iam.get_instance_profile().instance_profile_name(format!("p{n}"));
        call.send().await.expect("a profile");
    }
    println!("reads (get): {:.0} a second", per_second(start));
}

fn account_of(profiles: u32) -> String {
    use std::fmt::Write;
    let mut json = String::from(
        r#"{"format":"iamlua-account","version":1,"account":{"quotas":{"profiles":2000000}},"roles":[],"profiles":["#,
    );
    for n in 0..profiles {
        let comma = if n == 0 { "" } else { "," };
        let path = if n % 2 == 0 { "/a/" } else { "/b/" };
        let _ = write!(json, r#"{comma}{{"name":"profile-{n:07}","path":"{path}"}}"#);
    }
    json.push_str("]}");
    json
}

async fn pages(clients: &Clients, prefix: Option<&str>) {
    let mut marker = None;
    let mut times = Vec::new();
    loop {
        let start = Instant::now();
        let page = clients
            .iam
            .list_instance_profiles()
            .max_items(1000)
            .set_path_prefix(prefix.map(str::to_owned))
            .set_marker(marker)
            .send()
            .await
            .expect("a page");
        times.push(start.elapsed().as_secs_f64() * 1e3);
        marker = page.marker;
        if marker.is_none() {
            break;
        }
    }
    let (first, last) = (times[0], times[times.len() - 1]);
    let worst = times.iter().copied().fold(0.0, f64::max);
    let mean =
        times.iter().sum::<f64>() / f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX));
    println!(
        "{} pages below {}: first {first:.1} ms, last {last:.1} ms, mean {mean:.1} ms, worst {worst:.1} ms",
        times.len(),
        prefix.unwrap_or("/")
    );
}
