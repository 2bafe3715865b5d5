//! Projects whose `iamlua.toml` may set the destination and the caller of calls. Such a file may
//! come with a clone of somebody else's repository, so its first use needs a confirmation, as in
//! direnv and mise.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::Redirection;
use crate::error::{Error, Kind, Result};
use crate::escape::visible;
use crate::{files, state};

/// Key of a file in the store: its real path, in characters that JSON can hold.
fn key(file: &Path) -> String {
    visible(file.canonicalize().unwrap_or_else(|_| file.to_owned()).as_os_str().as_encoded_bytes())
}

/// Settings that the user has accepted, by project.
#[derive(Debug)]
pub struct TrustStore {
    path: PathBuf,
    projects: BTreeMap<String, BTreeMap<String, String>>,
}

impl TrustStore {
    /// Reads the store of the state folder.
    ///
    /// # Errors
    /// If it exists and cannot be read, or is not valid.
    pub fn open() -> Result<Self> {
        Self::read(state::folder()?.join("trusted.json"))
    }

    fn read(path: PathBuf) -> Result<Self> {
        let projects = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                Error::new(Kind::State, format!("{} is damaged: {error}", path.display()))
                    .hint("remove it: the projects in it are asked about again")
                    .caused_by(error)
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Error::io(format!("cannot read {}", path.display()), error)),
        };
        Ok(Self { path, projects })
    }

    /// Check that all of these settings were accepted for this project, with the same values.
    #[must_use]
    pub fn accepts(&self, redirection: &Redirection) -> bool {
        self.projects.get(&key(&redirection.file)).is_some_and(|accepted| {
            redirection.settings.iter().all(|(key, value)| accepted.get(key) == Some(value))
        })
    }

    /// Accepts these settings, in place of those that were accepted for the project before.
    ///
    /// # Errors
    /// If the store cannot be written; it is then unchanged.
    pub fn accept(&mut self, redirection: &Redirection) -> Result<()> {
        self.projects.insert(key(&redirection.file), redirection.settings.clone());
        self.write()
    }

    /// Revokes the acceptance of a project; `false` if nothing was accepted.
    ///
    /// # Errors
    /// If the store cannot be written; it is then unchanged.
    pub fn revoke(&mut self, file: &Path) -> Result<bool> {
        let was_there = self.projects.remove(&key(file)).is_some();
        self.write().map(|()| was_there)
    }

    /// Projects and their accepted settings.
    pub fn projects(&self) -> impl Iterator<Item = Redirection> + '_ {
        self.projects.iter().map(|(file, settings)| Redirection {
            file: PathBuf::from(file),
            settings: settings.clone(),
        })
    }

    fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.projects)
            .map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
        files::write_private(&self.path, (text + "\n").as_bytes())
            .map_err(|error| Error::io(format!("cannot write {}", self.path.display()), error))
    }
}

#[cfg(test)]
mod tests {
    use super::{Redirection, TrustStore};

    fn redirection(folder: &tempfile::TempDir, settings: &[(&str, &str)]) -> Redirection {
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Redirection { file: folder.path().join("iamlua.toml"), settings: settings.collect() }
    }

    #[test]
    fn what_was_accepted_holds_for_that_project_and_those_values_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("trusted.json");
        let both = redirection(&folder, &[("endpoint_url", "http://a"), ("profile", "dev")]);
        let mut store = TrustStore::read(path.clone()).expect("none is there");
        assert!(!store.accepts(&both));
        store.accept(&both).expect("it can be written");
        let mut store = TrustStore::read(path.clone()).expect("it can be read");
        let changed = redirection(&folder, &[("endpoint_url", "http://b"), ("profile", "dev")]);
        let more = redirection(&folder, &[("profile", "dev"), ("role_arn", "arn:x")]);
        let elsewhere = redirection(&other, &[("profile", "dev")]);
        assert!(
            store.accepts(&both) && store.accepts(&redirection(&folder, &[("profile", "dev")]))
        );
        for no in [&changed, &more, &elsewhere] {
            assert!(!store.accepts(no), "{no:?}");
        }
        assert_eq!(store.projects().count(), 1);
        assert!(store.revoke(&both.file).expect("it can be written"));
        assert!(!store.revoke(&both.file).expect("it can be written"));
        assert!(!TrustStore::read(path.clone()).expect("it can be read").accepts(&both));
        std::fs::write(&path, "[").expect("it is ours");
        let error = TrustStore::read(path).expect_err("it is damaged");
        assert!(error.describe().contains("hint: remove it"), "{error}");
    }
}
