//! Measurement of verdicts: `cargo test --release -- --ignored --nocapture of_a_large_account`.

use std::time::Instant;

use iamlua::usage::{MAX_AGE, Scan};

use super::{ACCOUNT, REGION, at, finished, profile, scope, verdict};

#[test]
#[ignore = "it proves nothing, it only tells times"]
fn verdicts_of_a_large_account() {
    let started = Instant::now();
    let mut scan = Scan::new(scope());
    for n in 0..50_000 {
        let name = n % 900;
        let arn = format!("arn:aws:iam::{ACCOUNT}:instance-profile/ec2/p{name}");
        let names = [profile(arn), profile(format!("AIPA{name:017}"))];
        scan.add("ec2.instances", REGION, &format!("i-{n:017x}"), "running", names);
    }
    let scan = finished(scan);
    println!("filled in {:?}", started.elapsed());
    let started = Instant::now();
    let references: usize =
        (0..1000).map(|n| verdict(&scan, &format!("p{n}")).references.len()).sum();
    println!("1,000 verdicts with {references} references in {:?}", started.elapsed());
    let started = Instant::now();
    let mut json = Vec::new();
    scan.save(&mut json).expect("it is written to memory");
    println!("{} bytes saved in {:?}", json.len(), started.elapsed());
    let started = Instant::now();
    Scan::load(&json[..], at("2026-11-28T13:00:00Z"), MAX_AGE).expect("a scan");
    println!("loaded in {:?}", started.elapsed());
}
