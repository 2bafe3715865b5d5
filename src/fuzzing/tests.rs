//! Runs of every target on its seeds and on mutations of these: the same ones each time, and more
//! of them with `IAMLUA_FUZZ_CASES`.

use std::panic::catch_unwind;
use std::path::PathBuf;

use fastrand::Rng;

use super::{FuzzTarget, TARGETS};

/// Number of mutations that a target of share 1 runs on.
const CASES: u32 = 20;
/// Largest mutation in bytes.
const MAX_BYTES: usize = 64 << 10;

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a seed"))
        })
        .collect();
    seeds.sort();
    seeds
}

/// Byte sequences with a meaning in many formats.
const PIECES: [&[u8]; 40] = [
    b"\"",
    b"'",
    b"\\",
    b"/",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"<",
    b">",
    b"</",
    b"/>",
    b"&",
    b"&#27;",
    b"&amp;",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"=",
    b"==",
    b",",
    b":",
    b"\n",
    b"\r\n",
    b"\0",
    b"\x1b[2J",
    b"\xff",
    b"\xc2\x9b",
    b"\xe2\x80\xae",
    b"%00",
    b"%1b",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"1e999",
    b"null",
    b"true",
    b"\\u0000",
];

/// Mutation of a seed.
fn mutated(seeds: &[(String, Vec<u8>)], random: &mut Rng) -> Vec<u8> {
    let mut data = seeds[random.usize(..seeds.len())].1.clone();
    for _ in 0..=random.u32(0..4) {
        let start = random.usize(..=data.len());
        let most = random.usize(1..=64);
        let end = (start + random.usize(..=most)).min(data.len());
        match random.u32(..8) {
            0 if start < data.len() => data[start] ^= 1 << random.u32(..8),
            1 if start < data.len() => data[start] = random.u8(..),
            2 => drop(data.drain(start..end)),
            3 => {
                let part = data[start..end].to_vec();
                let at = random.usize(..=data.len());
                data.splice(at..at, part);
            }
            4 => data.truncate(start),
            5 => {
                let other = &seeds[random.usize(..seeds.len())].1;
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..=256)).min(other.len());
                data.splice(start..end, other[from..to].iter().copied());
            }
            6 => {
                let part = data[start..end].repeat(random.usize(1..40));
                data.splice(start..end, part);
            }
            _ => {
                let piece = PIECES[random.usize(..PIECES.len())];
                let to = if random.bool() { start } else { end };
                data.splice(start..to, piece.iter().copied());
            }
        }
    }
    data.truncate(MAX_BYTES);
    data
}

fn check_one(target: FuzzTarget, name: &str, data: &[u8]) {
    let run = || (target.run)(data);
    assert!(catch_unwind(run).is_ok(), "{} of {name}: {}", target.name, data.escape_ascii());
}

fn holds(name: &str) {
    let target = TARGETS.into_iter().find(|target| target.name == name).expect("a target");
    let cases = std::env::var("IAMLUA_FUZZ_CASES").ok();
    let cases = cases.map_or(CASES, |cases| cases.parse().expect("IAMLUA_FUZZ_CASES is a number"));
    let seeds = seeds(name);
    for (seed, data) in &seeds {
        check_one(target, seed, data);
    }
    let mut random = Rng::with_seed(18);
    for number in 0..cases * target.share {
        check_one(target, &format!("mutation {number}"), &mutated(&seeds, &mut random));
    }
}

/// Defines a test for each target, so that they run in parallel and a crash names its target.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test_a_binary_and_seeds() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name)[..], tested);
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
            for name in tested {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no binary");
                assert!(folder.join(format!("targets/{name}.rs")).is_file(), "{name}");
                assert!(seeds(name).len() > 1, "{name} has no seeds");
            }
        }
    };
}

targets! {
    account aws_config check config cron iam_answer journal lua manifest plan scan usage_json
    usage_refusal usage_xml wire
}
