//! Environment variables and the home folder, behind one type, so that tests can supply their own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Get = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Source of environment variables. Empty values are kept, because some settings distinguish them
/// from missing ones.
#[derive(Clone)]
pub struct Environment(Arc<Get>);

impl Environment {
    /// Variables of this process. A value that is not UTF-8 counts as missing.
    #[must_use]
    pub fn of_process() -> Self {
        Self(Arc::new(|name| std::env::var(name).ok()))
    }

    /// Variables returned by a function.
    #[must_use]
    pub fn from_fn(get: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(get))
    }

    /// Variable, which may be empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    /// Variable that is not empty.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// First of several variables that is not empty, with its name.
    #[must_use]
    pub fn first<'a>(&self, names: &[&'a str]) -> Option<(&'a str, String)> {
        names.iter().find_map(|name| Some((*name, self.filled(name)?)))
    }

    /// Home folder: `HOME`, otherwise that of the user database.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        match self.filled("HOME") {
            Some(home) => Some(home.into()),
            // A test's own variables must not lead to the home folder of the user who runs it.
            None if self.get("HOME").is_some() => None,
            None => std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
        }
    }

    /// Replaces `$NAME`, `${NAME}` and a leading `~` in a path, as botocore does for the paths of
    /// its files. Unset variables are left as they are written.
    #[must_use]
    pub fn expand(&self, path: &str) -> PathBuf {
        let path = self.expand_variables(path);
        let rest = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
        match (rest, self.home()) {
            (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
            _ => Path::new(&path).to_owned(),
        }
    }

    fn expand_variables(&self, path: &str) -> String {
        let mut expanded = String::new();
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let braced = after.strip_prefix('{').and_then(|text| text.split_once('}'));
            let (name, length) = if let Some((name, _)) = braced {
                (name, name.len() + 2)
            } else {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
                (&after[..end], end)
            };
            if let Some(value) = self.get(name).filter(|_| !name.is_empty()) {
                expanded.push_str(&value);
            } else {
                expanded.push('$');
                expanded.push_str(&after[..length]);
            }
            rest = &after[length..];
        }
        expanded.push_str(rest);
        expanded
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_expanded_as_botocore_expands_them() {
        let environment = Environment::from_fn(|name| match name {
            "HOME" => Some("/home/jo".into()),
            "DIR" => Some("etc".into()),
            _ => None,
        });
        for (path, expected) in [
            ("~/.aws/config", "/home/jo/.aws/config"),
            ("~", "/home/jo"),
            ("~other/x", "~other/x"),
            ("/$DIR/a", "/etc/a"),
            ("/${DIR}s/a", "/etcs/a"),
            ("/$NONE/${NONE}/$", "/$NONE/${NONE}/$"),
            ("a~b", "a~b"),
        ] {
            assert_eq!(environment.expand(path), Path::new(expected), "{path}");
        }
    }
}
