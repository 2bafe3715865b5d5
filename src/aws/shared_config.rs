//! Merged view of AWS's two configuration files: profiles, SSO sessions and services by name. The
//! rules are botocore's (`configloader.py`, `Session.full_config`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::config_file::{ConfigFile, Section, Value};
use super::environment::Environment;
use super::settings::{Setting, SettingOrigin};
use crate::error::Result;

/// Both configuration files.
#[derive(Debug, Default)]
pub struct SharedConfig {
    /// Path of the configuration file, which need not exist.
    pub config_path: PathBuf,
    /// Path of the credentials file, which need not exist.
    pub credentials_path: PathBuf,
    profiles: BTreeMap<String, Profile>,
    sso_sessions: BTreeMap<String, Properties>,
    services: BTreeMap<String, BTreeMap<String, Properties>>,
}

/// Properties by name.
pub type Properties = BTreeMap<String, Setting<String>>;

/// Profile.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Properties of both files; those of the credentials file win.
    pub merged: Properties,
    /// Properties in the credentials file, if it has the profile.
    pub in_credentials: Option<Properties>,
    /// Properties in the configuration file, if it has the profile.
    pub in_config: Option<Properties>,
    /// First line of the profile: in the configuration file, if it is in both.
    pub origin: Option<SettingOrigin>,
}

impl Profile {
    /// Property in either file.
    pub fn get(&self, name: &str) -> Option<&Setting<String>> {
        self.merged.get(name)
    }

    /// Property that is not empty.
    pub fn filled(&self, name: &str) -> Option<&Setting<String>> {
        self.get(name).filter(|setting| !setting.value.is_empty())
    }

    /// Presence of a property, which may be empty.
    pub fn has(&self, name: &str) -> bool {
        self.merged.contains_key(name)
    }
}

impl SharedConfig {
    /// Reads both files. A missing file counts as empty.
    ///
    /// # Errors
    /// A configuration error that names the file and line that cannot be read.
    pub fn load(environment: &Environment) -> Result<Self> {
        let path = |variable, usual| {
            environment.expand(&environment.get(variable).unwrap_or_else(|| String::from(usual)))
        };
        let config_path = path("AWS_CONFIG_FILE", "~/.aws/config");
        let credentials_path = path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
        let mut all = Self { config_path, credentials_path, ..Self::default() };
        if let Some(file) = ConfigFile::read(&all.config_path)? {
            for section in &file.sections {
                all.add_config_section(&file, section);
            }
        }
        if let Some(file) = ConfigFile::read(&all.credentials_path)? {
            for section in &file.sections {
                all.add_credentials_section(&file, section);
            }
        }
        Ok(all)
    }

    fn add_config_section(&mut self, file: &ConfigFile, section: &Section) {
        let header = &*section.header;
        if header == "default" {
            self.add_profile(file, section, "default".to_owned());
        } else if header.starts_with("profile") {
            if let Some(name) = name_in(header) {
                self.add_profile(file, section, name);
            }
        } else if header.starts_with("sso-session") {
            if let Some(name) = name_in(header) {
                self.sso_sessions.insert(name, properties(file, section));
            }
        } else if header.starts_with("services")
            && let Some(name) = name_in(header)
        {
            let nested = section.properties.iter().filter_map(|property| match &property.value {
                Value::Text(_) => None,
                Value::Nested(all) => {
                    let setting = |(name, value, line): &(String, String, usize)| {
                        (name.clone(), Setting::new(value.clone(), at(file, *line)))
                    };
                    Some((property.name.clone(), all.iter().map(setting).collect()))
                }
            });
            self.services.insert(name, nested.collect());
        }
    }

    fn add_profile(&mut self, file: &ConfigFile, section: &Section, name: String) {
        let own = properties(file, section);
        let profile = Profile {
            merged: own.clone(),
            in_config: Some(own),
            in_credentials: None,
            origin: Some(at(file, section.line)),
        };
        self.profiles.insert(name, profile);
    }

    /// Adds a section of the credentials file. Its header is the profile name, without further
    /// syntax.
    fn add_credentials_section(&mut self, file: &ConfigFile, section: &Section) {
        let own = properties(file, section);
        let profile = self.profiles.entry(section.header.clone()).or_default();
        profile.merged.extend(own.clone());
        profile.in_credentials = Some(own);
        profile.origin.get_or_insert_with(|| at(file, section.line));
    }

    /// Profile with a name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// Names of all profiles, in alphabetical order.
    pub fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// Profile with the most similar name to one that does not exist.
    pub fn near(&self, name: &str) -> Option<&str> {
        let distance = |known: &&str| strsim::damerau_levenshtein(known, name);
        self.profile_names().min_by_key(distance).filter(|known| distance(known) <= 2)
    }

    /// Hint for a profile that does not exist: a similar one, or all that exist.
    pub fn suggestion(&self, name: &str) -> String {
        const MAX_NAMES: usize = 20;
        let names: Vec<&str> = self.profile_names().collect();
        if let Some(near) = self.near(name).filter(|_| !name.is_empty()) {
            return format!("did you mean {near:?}?");
        }
        if names.is_empty() {
            return "the files have no profiles: `aws configure` or `aws sso login` makes one"
                .into();
        }
        let more = names.len().saturating_sub(MAX_NAMES);
        let listed = names.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ");
        let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("the profiles there are: {listed}{and_more}")
    }

    /// `[sso-session NAME]` section.
    pub fn sso_session(&self, name: &str) -> Option<&Properties> {
        self.sso_sessions.get(name)
    }

    /// `[services NAME]` section: properties by service id, such as `auto_scaling`. A section
    /// without properties counts as missing.
    pub fn services(&self, name: &str) -> Option<&BTreeMap<String, Properties>> {
        self.services.get(name).filter(|services| !services.is_empty())
    }
}

/// Name in `profile NAME`, with the quotes and backslashes of a shell. A header of more or fewer
/// words has no name.
fn name_in(header: &str) -> Option<String> {
    // Outside of quotes `#` begins a comment for this splitter, but not for Python's.
    let is_quoted = header.contains(['"', '\'']);
    let words =
        if is_quoted { shlex::split(header) } else { shlex::split(&header.replace('#', "\\#")) };
    let words = words?;
    match <[String; 2]>::try_from(words) {
        Ok([_, name]) => Some(name),
        Err(_) => None,
    }
}

/// Text properties. Nested properties, such as `s3`, are ignored.
fn properties(file: &ConfigFile, section: &Section) -> Properties {
    let text = section.properties.iter().filter_map(|property| match &property.value {
        Value::Text(text) => {
            Some((property.name.clone(), Setting::new(text.clone(), at(file, property.line))))
        }
        Value::Nested(_) => None,
    });
    text.collect()
}

fn at(file: &ConfigFile, line: usize) -> SettingOrigin {
    SettingOrigin::File { path: file.path.clone(), line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_a_profile_as_a_shell_reads_it() {
        for (header, expected) in [
            ("profile a", Some("a")),
            ("profile \"a b\"", Some("a b")),
            ("profile 'a b'", Some("a b")),
            ("profile\ta", Some("a")),
            ("profile a\\ b", Some("a b")),
            ("profile #x", Some("#x")),
            ("profile \"a #x\"", Some("a #x")),
            ("profile ünïcode", Some("ünïcode")),
            ("profile a b", None),
            ("profile", None),
            ("profile \"a", None),
        ] {
            assert_eq!(name_in(header).as_deref(), expected, "{header}");
        }
    }
}
