//! Parser of `~/.aws/config` and `~/.aws/credentials`, with the rules of Python's
//! `configparser.RawConfigParser`, which the AWS CLI and botocore use. It keeps the line of every
//! property. No crate has both these rules and line numbers.
//!
//! The only deviation is a byte-order mark at the beginning, which is ignored.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// Configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// Path, as shown in messages.
    pub path: PathBuf,
    /// Sections, in order. The properties of `[DEFAULT]` are in all of them.
    pub sections: Vec<Section>,
}

/// Section of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Text between the brackets.
    pub header: String,
    /// Line of the header, from 1.
    pub line: usize,
    /// Properties, in order.
    pub properties: Vec<Property>,
}

/// Property of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Name, in lower case.
    pub name: String,
    /// Value: text, or nested properties on indented lines.
    pub value: Value,
    /// Line, from 1.
    pub line: usize,
}

/// Value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text; continuation lines are joined by line feeds.
    Text(String),
    /// Nested properties, one level deep: name, value and line.
    Nested(Vec<(String, String, usize)>),
}

/// Raw value of a property while its continuation lines are collected.
struct Raw {
    name: String,
    line: usize,
    lines: Vec<String>,
}

impl ConfigFile {
    /// Reads a file; `None` if it does not exist.
    ///
    /// # Errors
    /// A configuration error that names the file, and the line if there is one.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let cannot_read = |error: std::io::Error| {
            Error::new(Kind::Configuration, format!("cannot read {}: {error}", path.display()))
                .hint("correct its permissions, or name another file with AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE")
                .caused_by(error)
        };
        // As in botocore, a path that is not a regular file, such as a folder, counts as missing. A
        // file without read permission does not.
        match path.metadata() {
            Ok(about) if about.is_file() => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(cannot_read(error));
            }
            _ => return Ok(None),
        }
        let bytes = std::fs::read(path).map_err(cannot_read)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.split(|byte| *byte == b'\n').count();
            wrong(path, line, "this line is not UTF-8 text")
        })?;
        Self::parse(path, &text).map(Some)
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// A configuration error that names the file and the line.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut sections: Vec<(Section, Vec<Raw>)> = Vec::new();
        let mut defaults: Vec<Raw> = Vec::new();
        // Current section: `None` before the first one, then an index, or the defaults.
        let mut current: Option<Option<usize>> = None;
        let mut has_property = false;
        let mut indent = 0;
        for (number, line) in (1..).zip(lines(text.strip_prefix('\u{feff}').unwrap_or(text))) {
            let value = line.trim();
            let is_comment = value.starts_with(['#', ';']);
            let raws = match current {
                Some(Some(index)) => Some(&mut sections[index].1),
                Some(None) => Some(&mut defaults),
                None => None,
            };
            let open = raws.filter(|_| has_property).and_then(|raws| raws.last_mut());
            if value.is_empty() || is_comment {
                // An empty line may be part of a value; a comment line is skipped.
                if let Some(open) = open.filter(|_| !is_comment) {
                    open.lines.push(String::new());
                }
                continue;
            }
            let own_indent = line.chars().take_while(|c| c.is_whitespace()).count();
            if let Some(open) = open
                && own_indent > indent
            {
                open.lines.push(value.to_owned());
                continue;
            }
            indent = own_indent;
            if let Some(header) = header(value) {
                has_property = false;
                if header == "DEFAULT" {
                    current = Some(None);
                    continue;
                }
                if let Some((first, _)) =
                    sections.iter().find(|(section, _)| section.header == header)
                {
                    let why =
                        format!("the section [{header}] stands in line {} already", first.line);
                    return Err(wrong(path, number, &why));
                }
                current = Some(Some(sections.len()));
                let section =
                    Section { header: header.to_owned(), line: number, properties: Vec::new() };
                sections.push((section, Vec::new()));
                continue;
            }
            let raws = match current {
                Some(Some(index)) => &mut sections[index].1,
                Some(None) => &mut defaults,
                None => {
                    return Err(wrong(path, number, "there is no section before this line").hint(
                        "a file begins with a section, such as [default] or [profile NAME]",
                    ));
                }
            };
            let Some(at) = value.find(['=', ':']) else {
                return Err(wrong(path, number, &format!("this line is no property: {value:?}"))
                    .hint(
                        "a property is NAME = VALUE; a line that continues a value is indented",
                    ));
            };
            let name = value[..at].trim().to_lowercase();
            if name.is_empty() {
                return Err(wrong(path, number, "the property has no name"));
            }
            if let Some(first) = raws.iter().find(|raw| raw.name == name) {
                let why = format!("{name} stands in line {} already", first.line);
                return Err(wrong(path, number, &why));
            }
            let lines = vec![value[at + 1..].trim().to_owned()];
            raws.push(Raw { name, line: number, lines });
            has_property = true;
        }
        let mut file = Self { path: path.to_owned(), sections: Vec::new() };
        for (mut section, raws) in sections {
            let inherited: Vec<&Raw> = defaults
                .iter()
                .filter(|default| raws.iter().all(|raw| raw.name != default.name))
                .collect();
            for raw in raws.iter().chain(inherited) {
                section.properties.push(finish(path, raw)?);
            }
            file.sections.push(section);
        }
        Ok(file)
    }
}

/// Lines by Python's universal newlines: `\n`, `\r\n` or `\r` ends one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return (!text.is_empty()).then_some(text);
        };
        let length = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + length..]);
        Some(&text[..end])
    })
}

/// Header of a section: the text between the first and the last bracket. Text after it is ignored.
fn header(line: &str) -> Option<&str> {
    let inside = line.strip_prefix('[')?;
    let end = inside.rfind(']')?;
    (end > 0).then(|| &inside[..end])
}

/// Property with its continuation lines joined. A value that begins in the line after the name
/// consists of nested properties.
fn finish(path: &Path, raw: &Raw) -> Result<Property> {
    let text = raw.lines.join("\n");
    let text = text.trim_end();
    let value = if text.starts_with('\n') {
        let mut nested = Vec::new();
        for (line, text) in (raw.line..).zip(&raw.lines) {
            if text.is_empty() {
                continue;
            }
            let Some((name, value)) = text.split_once('=') else {
                let why = format!("{text:?} is no property of {}", raw.name);
                return Err(wrong(path, line, &why)
                    .hint("the lines indented below a name are NAME = VALUE"));
            };
            nested.push((name.trim().to_owned(), value.trim().to_owned(), line));
        }
        Value::Nested(nested)
    } else {
        Value::Text(text.to_owned())
    };
    Ok(Property { name: raw.name.clone(), value, line: raw.line })
}

fn wrong(path: &Path, line: usize, why: &str) -> Error {
    Error::new(Kind::Configuration, format!("{}:{line}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile> {
        ConfigFile::parse(Path::new("config"), text)
    }

    /// Formats sections as `[header] name=value|name=value`.
    fn shown(text: &str) -> String {
        let file = match parse(text) {
            Ok(file) => file,
            Err(error) => return error.message,
        };
        let value = |value: &Value| match value {
            Value::Text(text) => format!("{text:?}"),
            Value::Nested(all) => {
                let all: Vec<_> =
                    all.iter().map(|(key, value, _)| format!("{key}:{value}")).collect();
                format!("{{{}}}", all.join(","))
            }
        };
        let section = |section: &Section| {
            let all: Vec<_> = section
                .properties
                .iter()
                .map(|property| format!("{}={}", property.name, value(&property.value)))
                .collect();
            format!("[{}] {}", section.header, all.join("|"))
        };
        file.sections.iter().map(section).collect::<Vec<_>>().join(" ")
    }

    /// The right column is the result of Python 3.11's `configparser`, through botocore.
    #[test]
    fn files_are_read_as_configparser_reads_them() {
        for (text, expected) in [
            ("[a]\nx=1\n", r#"[a] x="1""#),
            ("[a]\n  x = 1\n  y = 2\n", r#"[a] x="1"|y="2""#),
            ("[a]\nX: 1\ny = a:b=c\n", r#"[a] x="1"|y="a:b=c""#),
            ("[a] # why\nx = 1 # not a comment\n# one\n; two\n", r#"[a] x="1 # not a comment""#),
            ("[profile \"a b\"]\r\nx=1\r\n", r#"[profile "a b"] x="1""#),
            ("[a]\nx=1\n  2\n\n  3\n\n[b]\n", r#"[a] x="1\n2\n\n3" [b] "#),
            ("[a]\ns3 =\n  k = v\n\n  l = w=x\ny=1", r#"[a] s3={k:v,l:w=x}|y="1""#),
            ("[a]\nx=\ny=1", r#"[a] x=""|y="1""#),
            ("[DEFAULT]\nx=1\n[a]\ny=2\n[b]\nx=3\n", r#"[a] y="2"|x="1" [b] x="3""#),
            ("\u{feff}[a]\nx=1", r#"[a] x="1""#),
            ("[a]\nx = %(y)s $Z\n", r#"[a] x="%(y)s $Z""#),
            ("\n# c\n[a]\rx=1\r", r#"[a] x="1""#),
            ("[a]\nx=1\n# c\n  2\n", r#"[a] x="1\n2""#),
            ("", ""),
            ("x=1", "config:1: there is no section before this line"),
            ("[a]\n\n[a]\n", "config:3: the section [a] stands in line 1 already"),
            ("[a]\nx=1\nX=2\n", "config:3: x stands in line 2 already"),
            ("[a]\nword\n", "config:2: this line is no property: \"word\""),
            ("[a]\n= 1\n", "config:2: the property has no name"),
            ("[a]\ns3 =\n  k\n", "config:3: \"k\" is no property of s3"),
            ("[]\nx=1", "config:1: there is no section before this line"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_text_is_named_by_its_line() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), b"[a]\nx=1\ny=\xff\n").expect("written");
        let error = ConfigFile::read(file.path()).expect_err("not UTF-8");
        assert!(error.message.ends_with(":3: this line is not UTF-8 text"), "{error}");
        assert!(ConfigFile::read(Path::new("/nowhere/at/all")).expect("missing").is_none());
    }
}
