//! Settings of a project that lead calls elsewhere.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::aws::network::without_password;
use crate::escape::visible;
use crate::ui::format;

/// Settings of a project's `iamlua.toml` that lead calls elsewhere than the user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirection {
    /// The project's file.
    pub file: PathBuf,
    /// Values by key: `profile`, `role_arn`, `endpoint_url`.
    pub settings: BTreeMap<String, String>,
}

impl Redirection {
    /// The settings in words, such as `profile "dev" and endpoint_url "http://localhost:4566"`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let setting = |(key, value): (&String, &String)| {
            format!("{key} \"{}\"", visible(without_password(value)))
        };
        format::list(&self.settings.iter().map(setting).collect::<Vec<_>>())
    }

    /// Presence of the file where only the administrator of the machine can have put it. To root
    /// everything is such a file, which says nothing.
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
