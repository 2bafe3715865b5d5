//! State folders that others have prepared, damaged state files, and endpoints that send without
//! end.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::commands::Desk;

const CHANGE: &[&str] = &["-e", "iam.profiles.tag('alpha', { Owner = 'ops' })"];

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_state_folder_that_others_can_write_to_is_refused() {
    let desk = Desk::new();
    let state = desk.path("state");
    for (given, refused) in
        [(0o700, false), (0o755, false), (0o777, true), (0o1777, true), (0o702, true)]
    {
        set_mode(&state, given);
        for args in [CHANGE, &["runs"], &["account", "export"], &["undo", "last"]] {
            if refused {
                let ran = desk.run(args);
                assert_ne!(ran.code, Some(0), "{given:o} {args:?}: {}", ran.err);
                let command = format!("`chmod go-w {}`", state.display());
                assert!(ran.err.contains(&command), "{given:o} {args:?}: {}", ran.err);
            }
        }
        if !refused {
            desk.run(CHANGE).ends(0, "");
        }
    }
    set_mode(&state, 0o700);
    if rustix::process::geteuid().is_root() {
        chown(&state, Some(4711), Some(4711)).expect("root may");
        let ran = desk.run(CHANGE);
        assert_ne!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("uid 4711") && ran.err.contains("chown -R 0 "), "{}", ran.err);
        chown(&state, Some(0), Some(0)).expect("root may");
    }
    desk.run(CHANGE).ends(0, "");
}

#[test]
fn all_files_of_the_state_are_private_whatever_the_umask() {
    let desk = Desk::new();
    let script = "local tags = iam.profiles.get('alpha').tags\n\
                  iam.profiles.tag('alpha', { Owner = (tags.Owner or '') .. 'x' })";
    desk.write("locks.lua", script);
    let state = desk.path("state");
    let program = env!("CARGO_BIN_EXE_iamlua");
    let open_to_all = || {
        let mut command = std::process::Command::new("sh");
        let line = "umask 0; exec \"$0\" run locks.lua";
        command.args(["-c", line, program]).current_dir(desk.path("."));
        let set = desk.command(&[]);
        for (name, value) in set.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.output().expect("a shell");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let check = || {
        let mut folders = vec![state.clone()];
        let mut count = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder").flatten() {
                let path = entry.path();
                assert_eq!(mode(&path) & 0o077, 0, "{}: {:o}", path.display(), mode(&path));
                count += 1;
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        assert!(count >= 3, "{count} files");
    };
    open_to_all();
    check();
    // Files of earlier versions lose their open permissions too.
    for name in ["journal.db", "local.db", "running"] {
        set_mode(&state.join(name), if name == "running" { 0o777 } else { 0o666 });
    }
    open_to_all();
    check();
}

#[test]
fn a_damaged_journal_is_noticed_before_it_is_written_to() {
    let desk = Desk::new();
    for number in 0..20 {
        desk.does(&format!("iam.profiles.tag('alpha', {{ Owner = 'o{number}' }})"));
    }
    let journal = desk.path("state/journal.db");
    let beside = || {
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(desk.path(&format!("state/journal.db{end}")));
        }
    };
    {
        let connection = rusqlite::Connection::open(&journal).expect("a journal");
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        connection.query_row(sql, [], |_| Ok(())).expect("nobody else uses it");
    }
    beside();
    let whole = fs::read(&journal).expect("a journal");
    let account = desk.account();
    let size = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    assert!(whole.len() > 4 * size, "{} bytes", whole.len());
    let mut noticed = 0;
    for page in 1..whole.len() / size {
        // Head of a page: its kind, its cells, and their offset.
        let mut damaged = whole.clone();
        for byte in &mut damaged[page * size..page * size + 12] {
            *byte ^= 0x5a;
        }
        beside();
        fs::write(&journal, &damaged).expect("it is ours");
        let ran = desk.run(CHANGE);
        assert_ne!(ran.code, Some(0), "page {page}: {}", ran.err);
        assert!(ran.err.contains("is damaged"), "page {page}: {}", ran.err);
        assert!(ran.err.contains("journal.db.broken"), "page {page}: {}", ran.err);
        assert_eq!(fs::read(&journal).expect("a journal"), damaged, "page {page} is as it was");
        noticed += 1;
    }
    assert!(noticed > 3, "{noticed} pages");
    assert_eq!(desk.account(), account, "nothing was changed");
    beside();
    fs::write(&journal, &whole).expect("it is ours");
    desk.run(CHANGE).ends(0, "");
}

#[test]
fn an_answer_without_end_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n<ListRolesResponse>";
                let _ = stream.write_all(head);
                while stream.write_all(&[b' '; 1 << 13]).is_ok() {}
            });
        }
    });
    let desk = Desk::new();
    for code in ["iam.roles.list()", "iam.profiles.list()"] {
        let mut command = desk.command(&["--aws", "--endpoint-url", &url, "-e", code]);
        let output = command.env("AWS_MAX_ATTEMPTS", "1").output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("larger than 64 MiB"), "{text}");
    }
}
