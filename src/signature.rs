//! Signatures of plan files, in the format of `minisign`. `PLAN.minisig` beside the plan is created
//! by `minisign -S` or by `iamlua plan --sign`, and covers the exact bytes of the file.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minisign::{PublicKey, SecretKey, SecretKeyBox, SignatureBox};

use crate::error::{Error, Kind, Result};
use crate::ui::{hidden_input, terminal};

/// Size of a secret key with its metadata, in bytes.
const SECRET_LENGTH: usize = 158;
/// Length of a public key, in characters.
const KEY_LENGTH: usize = 56;
/// Size of a signature with algorithm and key id, and of that of the trusted comment, in bytes.
const LENGTHS: (usize, usize) = (74, 64);
/// Number of attempts to enter a password.
const TRIES: usize = 3;

/// Path of the signature of a file.
#[must_use]
pub fn beside(file: &Path) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(".minisig");
    path.into()
}

/// Secret key that signs plans.
pub struct SigningKey(SecretKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&id(self.0.keynum())).finish()
    }
}

impl SigningKey {
    /// Reads the file of a secret key, and asks for its password at the terminal if it has one.
    ///
    /// # Errors
    /// If there is no such key, or the password is not given.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::usage(format!("there is no secret key {shown}"))
                .hint("`minisign -G` makes a pair of keys"),
            _ => Error::io(format!("cannot read the secret key {shown}"), error),
        })?;
        let wrong = |why: &dyn fmt::Display| {
            Error::usage(format!("{shown} is not a secret key of minisign: {why}"))
                .hint("name the file that `minisign -G` made, usually minisign.key")
        };
        let encoded = text.lines().nth(1).unwrap_or_default();
        let bytes = STANDARD.decode(encoded.trim()).map_err(|error| wrong(&error))?;
        let key = || SecretKeyBox::from(text.clone());
        // The algorithm of the signature is followed by that of the encryption, which is 0 for
        // none. Such a key of minisign has no checksum, but `from_unencrypted_box` would check it.
        if bytes.len() == SECRET_LENGTH && bytes[2..4] == [0, 0] {
            return SecretKey::from_bytes(&bytes).map(Self).map_err(|error| wrong(&error));
        }
        if bytes.len() != SECRET_LENGTH || bytes[2..4] != *b"Sc" {
            return Err(wrong(&"its second line is something else"));
        }
        let mut terminal = hidden_input::open_terminal().map_err(|_| {
            Error::usage(format!(
                "the key {shown} has a password, and there is no terminal to ask at"
            ))
            .hint("run it at a terminal; for jobs make a key without a password: `minisign -G -W`")
        })?;
        terminal::with_keyboard(|| {
            for _ in 0..TRIES {
                let question = format!("Password of the key {shown}: ");
                let typed = hidden_input::read_line(&mut terminal, &question);
                let _ = writeln!(terminal);
                let password = typed.map_err(|error| match error.kind() {
                    io::ErrorKind::Interrupted => Error::new(Kind::Interrupted, "interrupted"),
                    io::ErrorKind::UnexpectedEof => Error::usage("no password was given"),
                    _ => Error::io("cannot read the password", error),
                })?;
                match SecretKey::from_box(key(), Some(password)) {
                    Ok(key) => return Ok(Self(key)),
                    Err(error) if matches!(error.kind(), minisign::ErrorKind::Verify) => {
                        let _ = writeln!(terminal, "That is not its password.");
                    }
                    Err(error) => return Err(wrong(&error)),
                }
            }
            Err(Error::usage(format!("the password of the key {shown} was not given")))
        })
    }

    /// Creates the text of a signature; `name` is that of the file.
    ///
    /// # Errors
    /// If the key is damaged.
    pub fn sign(&self, content: &[u8], name: &str) -> Result<String> {
        let seconds = jiff::Timestamp::now().as_second();
        // A line end in the name would end the comment.
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        let trusted = format!("timestamp:{seconds}\tfile:{name}\thashed");
        let untrusted = "signature from minisign secret key";
        let failed = |error| Error::new(Kind::Io, format!("cannot sign the plan: {error}"));
        // Computing the public key detects a damaged key, which must not sign.
        let public = PublicKey::from_secret_key(&self.0).map_err(failed)?;
        let signed =
            minisign::sign(Some(&public), &self.0, content, Some(&trusted), Some(untrusted))
                .map_err(failed)?;
        Ok(signed.into_string())
    }

    /// Id of the key, as `minisign` shows it.
    #[must_use]
    pub fn id(&self) -> String {
        id(self.0.keynum())
    }
}

/// Public key whose signatures are trusted.
#[derive(Debug)]
pub struct TrustedKey(PublicKey);

impl TrustedKey {
    /// Reads a key from its 56 characters, or from the path of its file.
    ///
    /// # Errors
    /// If it is neither.
    pub fn read(text: &str) -> Result<Self> {
        if Self::is_key(text) {
            let key = PublicKey::from_base64(text);
            return key.map(Self).map_err(|error| {
                Error::usage(format!("{text} is not a public key of minisign: {error}"))
            });
        }
        let hint = "it must be the file that `minisign -G` made, usually minisign.pub, or the 56 \
                    characters in its second line";
        let content = std::fs::read_to_string(text).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::usage(format!("there is no public key {text}")).hint(hint)
            }
            _ => Error::io(format!("cannot read the public key {text}"), error),
        })?;
        let key = PublicKey::from_box(content.into());
        key.map(Self).map_err(|error| {
            Error::usage(format!("{text} is not a public key of minisign: {error}")).hint(hint)
        })
    }

    /// Check for the format of a key, in contrast to a path.
    #[must_use]
    pub fn is_key(text: &str) -> bool {
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        text.len() == KEY_LENGTH && text.starts_with("RW") && text.chars().all(is_base64)
    }
}

fn id(number: &[u8]) -> String {
    use std::fmt::Write;
    number.iter().rev().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// Verifies that one of the keys has signed the content of a file, and returns the id of that key.
/// `name` is the signature's name in errors.
///
/// # Errors
/// [`Kind::Refused`], with the reason.
pub fn verify(content: &[u8], signature: &str, name: &str, keys: &[TrustedKey]) -> Result<String> {
    let refuse = |why: String| Error::new(Kind::Refused, format!("{name} {why}"));
    let again = "get the signature and the plan again, or have the plan signed again: \
                 `minisign -S -m PLAN`";
    let no_signature = |why: &dyn fmt::Display| {
        refuse(format!("is not a signature of minisign: {why}")).hint(again)
    };
    // Lengths are checked first, because the crate does not check them.
    for (line, length) in [(1, LENGTHS.0), (3, LENGTHS.1)] {
        let encoded = signature.lines().nth(line).unwrap_or_default().trim();
        let bytes = STANDARD.decode(encoded).map_err(|error| no_signature(&error))?;
        if bytes.len() != length {
            return Err(no_signature(&format!("line {} has another length", line + 1)));
        }
    }
    let signature = SignatureBox::from_string(signature).map_err(|error| no_signature(&error))?;
    let made_by = id(signature.keynum());
    // Ids are not secret, so several keys may have the same one.
    let of_it = || keys.iter().filter(|key| key.0.keynum() == signature.keynum());
    if of_it().next().is_none() {
        let wanted: Vec<_> = keys.iter().map(|key| id(key.0.keynum())).collect();
        return Err(refuse(format!(
            "was made with the key {made_by}, and the plan must be signed with {}",
            wanted.join(" or ")
        ))
        .hint("have the plan signed by the owner of that key: `minisign -S -m PLAN`"));
    }
    // Older programs sign the content instead of its hash; both are secure.
    let is_by = |TrustedKey(key): &TrustedKey| {
        minisign::verify(key, &signature, Cursor::new(content), true, false, true).is_ok()
    };
    if !of_it().any(is_by) {
        return Err(refuse(format!(
            "is not a signature of this plan by the key {made_by}: one of the two was changed"
        ))
        .hint(again));
    }
    Ok(made_by)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{SigningKey, TrustedKey, beside, verify};
    use crate::error::Kind;

    /// Key pair and signatures of [`PLAN`], made by version 0.11 of `minisign`: without a password,
    /// in the current format, and in the legacy format (`-l`).
    const SECRET: &str = "untrusted comment: minisign encrypted secret key\n\
        RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbQQ2Rpy0hAq69mg759etBEL8oLIZlSpaPvx/2GWQIJJj3BI8MkBssHD5SFwl0flteryvac0pCtTm2JPWMa5Cix1v8K6zRpG6AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    const PUBLIC: &str = "untrusted comment: minisign public key A84B49C4636046D\n\
        RWRtBDZGnLSECnD5SFwl0flteryvac0pCtTm2JPWMa5Cix1v8K6zRpG6\n";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RURtBDZGnLSECutD+2YE1RCF1Kx3bLnC7MC68NssW9m9CY7FRvKoQ63dR78Ej284IP2iFgG+VaLF8KtulVggqL+6jbGD0llOxwY=\n\
        trusted comment: timestamp:1795899177\tfile:plan.json\thashed\n\
        y5KaCrX3J+9PfvYQWoBKIxxBWL92gGC+C89N/diblc8PrRTERJqEmMXZ7YVBYvalyHT48gljK41GINlUEwv9BQ==\n";
    const LEGACY: &str = "untrusted comment: signature from minisign secret key\n\
        RWRtBDZGnLSEChl91fQdj172mqFMfD5LBhO4VRrjqXf4NTUDqy7P2zRFo/qNuAin7fALP7TcUaWpyWJ+TuxeHejh3qzh5pq37gg=\n\
        trusted comment: timestamp:1795899177\tfile:plan.json\n\
        +YxxPi1zPeUzDCKHBD0X3vbg11ytRYnJlwkwR5FPkEeyWkO1pX/9zVkOx5euGabHzeb1ZSEtn82iuMBmoJp3Cw==\n";
    const PLAN: &[u8] = b"the plan\n";
    /// Another key of the same program.
    const OTHER: &str = "RWRRxl6SpNa4Q6QWf7mj9vZNDQSSW441xApPQBWNVDoKPgdKl3zB27ry";

    fn keys(text: &str) -> Vec<TrustedKey> {
        vec![TrustedKey::read(text).expect("a key")]
    }

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("it is ours");
        file
    }

    #[track_caller]
    fn refuses(content: &[u8], signature: &str, keys: &[TrustedKey], why: &str) {
        let error = verify(content, signature, "p.minisig", keys).expect_err("refused");
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.message.contains(why) && !error.hints.is_empty(), "{error}");
    }

    #[test]
    fn signatures_of_minisign_are_valid_and_no_other() {
        let own = keys(PUBLIC.lines().nth(1).expect("a key"));
        for signature in [SIGNATURE, LEGACY] {
            let by = verify(PLAN, signature, "p.minisig", &own).expect("it is valid");
            assert_eq!(by, "0A84B49C4636046D");
            // The untrusted comment is not authenticated.
            let (_, rest) = signature.split_once('\n').expect("lines");
            let renamed = format!("untrusted comment: x\n{rest}");
            verify(PLAN, &renamed, "p.minisig", &own).expect("it is valid");
            refuses(b"the plan", signature, &own, "one of the two was changed");
            refuses(PLAN, &signature.replace("file:plan", "file:p"), &own, "was changed");
            refuses(
                PLAN,
                signature,
                &keys(OTHER),
                "and the plan must be signed with 43B8D6A4925EC651",
            );
            let cut = format!("{}\n", signature[..signature.len() - 20].trim_end());
            refuses(PLAN, &cut, &own, "is not a signature of minisign");
        }
        let short = SIGNATURE.replace(SIGNATURE.lines().nth(3).expect("a line"), "AAAA");
        for broken in ["", "x", &short, &SIGNATURE.replace("RURtBDZ", "RUVtBDZ")] {
            refuses(PLAN, broken, &own, "is not a signature of minisign");
        }
        let any = [keys(OTHER), own].into_iter().flatten().collect::<Vec<_>>();
        verify(PLAN, SIGNATURE, "p.minisig", &any).expect("one of them is enough");
        // Another key with the same id.
        let mut forged = keys(OTHER);
        let id = any[1].0.to_bytes()[2..10].to_vec();
        let mut bytes = forged[0].0.to_bytes();
        bytes[2..10].copy_from_slice(&id);
        forged[0].0 = minisign::PublicKey::from_bytes(&bytes).expect("a key");
        refuses(PLAN, SIGNATURE, &forged, "one of the two was changed");
        forged.extend(any);
        verify(PLAN, SIGNATURE, "p.minisig", &forged).expect("one of them is enough");
    }

    #[test]
    fn a_key_of_minisign_signs() {
        let secret = file(SECRET);
        let public = file(PUBLIC);
        let key = SigningKey::read(secret.path()).expect("a key");
        let made = key.sign(PLAN, "plan\n.json").expect("it is signed");
        let lines: Vec<_> = made.lines().collect();
        assert_eq!(lines.len(), 4, "{made}");
        assert!(lines[2].ends_with("\tfile:plan.json\thashed"), "{made}");
        let own = keys(public.path().to_str().expect("UTF-8"));
        assert_eq!(verify(PLAN, &made, "p.minisig", &own).expect("it is valid"), key.id());
        assert_eq!(format!("{key:?}"), format!("SigningKey({:?})", key.id()));
        assert_eq!(beside(Path::new("a/plan.json")), Path::new("a/plan.json.minisig"));
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none() {
        for content in ["", "once\nupon\n", PUBLIC, SIGNATURE, &SECRET[..SECRET.len() - 60]] {
            let error = SigningKey::read(file(content).path()).expect_err("no key");
            assert!(error.message.contains("is not a secret key of minisign"), "{error}");
            assert_eq!(error.kind, Kind::Usage);
        }
        // Its halves do not match.
        let damaged = file(&SECRET.replace("hAq69mg7", "hAq69mg8"));
        let key = SigningKey::read(damaged.path()).expect("it looks like one");
        key.sign(PLAN, "plan.json").expect_err("it is damaged");
        for content in ["", "once\nupon\n", SECRET, SIGNATURE] {
            let file = file(content);
            let error = TrustedKey::read(file.path().to_str().expect("UTF-8")).expect_err("no key");
            assert!(error.message.contains("is not a public key of minisign"), "{error}");
        }
        let error = TrustedKey::read("RWno-such-key").expect_err("no key");
        assert!(error.message.contains("there is no public key RWno-such-key"), "{error}");
    }
}
