//! Keys in files of tools older than the AWS CLI, which botocore still reads:
//! `AWS_CREDENTIAL_FILE`, and `[Credentials]` in boto's configuration.

use std::path::Path;

use super::StaticKeys;
use crate::aws::config_file::{ConfigFile, Value};
use crate::aws::environment::Environment;
use crate::aws::settings::SettingOrigin;
use crate::error::{Error, Kind, Result};

/// Keys in such a file, if one exists and has any.
///
/// # Errors
/// A configuration error for a specified file that cannot be read, and for an incomplete key pair.
pub fn keys(environment: &Environment) -> Result<Option<StaticKeys>> {
    if let Some(keys) = credential_file(environment)? {
        return Ok(Some(keys));
    }
    let named = environment.filled("BOTO_CONFIG");
    let paths = match &named {
        Some(path) => vec![environment.expand(path)],
        None => vec![environment.expand("/etc/boto.cfg"), environment.expand("~/.boto")],
    };
    for path in paths {
        if let Some(keys) = boto(&path)? {
            return Ok(Some(keys));
        }
    }
    Ok(None)
}

/// File of the first EC2 tools, with the lines `AWSAccessKeyId=…` and `AWSSecretKey=…`.
fn credential_file(environment: &Environment) -> Result<Option<StaticKeys>> {
    const NAME: &str = "AWS_CREDENTIAL_FILE";
    let Some(path) = environment.filled(NAME) else { return Ok(None) };
    let path = environment.expand(&path);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let message = format!("cannot read {} ({NAME}): {error}", path.display());
        Error::new(Kind::Configuration, message).caused_by(error)
    })?;
    let value = |name: &str| {
        let pairs = (1..).zip(text.lines()).filter_map(|(line, text)| {
            let (key, value) = text.split_once('=')?;
            (key.trim() == name).then(|| (line, value.trim().to_owned()))
        });
        pairs.last()
    };
    let Some((line, id)) = value("AWSAccessKeyId") else { return Ok(None) };
    pair(&path, line, id, value("AWSSecretKey").map(|(_, secret)| secret)).map(Some)
}

fn boto(path: &Path) -> Result<Option<StaticKeys>> {
    let Some(file) = ConfigFile::read(path)? else { return Ok(None) };
    let Some(section) = file.sections.iter().find(|section| section.header == "Credentials") else {
        return Ok(None);
    };
    let value = |name: &str| {
        let property = section.properties.iter().find(|property| property.name == name)?;
        match &property.value {
            Value::Text(text) => Some((property.line, text.clone())),
            Value::Nested(_) => None,
        }
    };
    let Some((line, id)) = value("aws_access_key_id") else { return Ok(None) };
    pair(path, line, id, value("aws_secret_access_key").map(|(_, secret)| secret)).map(Some)
}

fn pair(path: &Path, line: usize, id: String, secret: Option<String>) -> Result<StaticKeys> {
    let origin = SettingOrigin::File { path: path.to_owned(), line };
    let Some(secret_access_key) = secret.filter(|secret| !secret.is_empty()) else {
        let message = format!("there is half a key pair in {origin}: the secret is missing");
        return Err(Error::new(Kind::Configuration, message));
    };
    Ok(StaticKeys {
        access_key_id: id,
        secret_access_key,
        session_token: None,
        expiration: None,
        origin,
    })
}
