//! Settings of a project that redirect calls.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::aws::network::without_password;
use crate::escape::visible;
use crate::ui::format;

/// Settings of a project's `iamlua.toml` that redirect calls, compared with the user's own
/// settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirection {
    /// File of the project.
    pub file: PathBuf,
    /// Values by key: `profile`, `role_arn`, `endpoint_url`.
    pub settings: BTreeMap<String, String>,
}

impl Redirection {
    /// Settings as text, such as `profile "dev" and endpoint_url "http://localhost:4566"`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let setting = |(key, value): (&String, &String)| {
            format!("{key} \"{}\"", visible(without_password(value)))
        };
        format::list(&self.settings.iter().map(setting).collect::<Vec<_>>())
    }

    /// True if only the administrator of the machine can have put the file in its place. Root is
    /// excepted, because that would be true of every file.
    #[must_use]
    pub fn is_of_administrator(&self) -> bool {
        const OTHERS: u32 = 0o022;
        let is_closed = |path: &Path| {
            path.metadata().is_ok_and(|about| about.uid() == 0 && about.mode() & OTHERS == 0)
        };
        let folder = self.file.parent().unwrap_or_else(|| Path::new("/"));
        !rustix::process::geteuid().is_root() && is_closed(&self.file) && is_closed(folder)
    }
}
