//! Matching of texts in resources with a profile.
//!
//! - An ARN matches the profile of that name in that account, whatever its path. Names are unique
//!   in an account, ignoring case, and a path cannot be changed: a text with another path was
//!   written for an earlier profile of that name, and refers to this one now. An ARN of another
//!   account or partition never matches.
//! - A name matches the profile of that name, ignoring case, and no profile of which it is a part.
//!   An id matches the profile with that id. A text that could be either is compared with both.
//! - A role matches every profile that contains it.
//! - A text with placeholders (`${…}`, `{{…}}`, `{…}`, `<…>` and similar ones) is resolved only
//!   when a resource is created from it. Its literal parts are a pattern. A profile that matches
//!   the pattern is in doubt, neither used nor unused. A text of only placeholders matches every
//!   profile.
//! - Any other text is not in a format that AWS documents. A profile is in doubt if its name, its
//!   id or its role's name is one of the words in it.

use std::collections::HashMap;
use std::sync::Arc;

use super::verdict::VerdictSubject;

/// Text that refers to a profile or a role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mention {
    /// Instance profile: by ARN, name or id.
    Profile(Box<str>),
    /// Role, by ARN or name; it stands for every profile that contains it.
    Role(Box<str>),
}

impl Mention {
    /// Text of the mention.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Profile(text) | Self::Role(text) => text,
        }
    }

    /// Resource type before the path in an ARN.
    const fn noun(&self) -> &'static str {
        match self {
            Self::Profile(_) => PROFILE,
            Self::Role(_) => ROLE,
        }
    }
}

const PROFILE: &str = "instance-profile/";
const ROLE: &str = "role/";

/// Criterion by which a reference matches a profile, the most certain first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// ARN, with this path or another.
    Arn,
    /// Unique id, `AIPA…`.
    Id,
    /// Name.
    Name,
    /// Role in the profile.
    Role,
    /// Possible match: a text with placeholders, or in an undocumented format.
    Pattern,
}

impl By {
    /// Name in scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arn => "arn",
            Self::Id => "id",
            Self::Name => "name",
            Self::Role => "role",
            Self::Pattern => "pattern",
        }
    }
}

/// Account, as in ARNs.
#[derive(Clone, Debug)]
struct AccountScope {
    account: Box<str>,
    partition: Box<str>,
}

/// Meaning of a text.
#[derive(Debug, PartialEq, Eq)]
enum Meaning<'a> {
    /// ARN of a profile or role of this account; its name.
    Arn(&'a str),
    /// Name or id.
    Plain(&'a str),
    /// Entity of another account.
    Elsewhere,
    /// Pattern, in which `*` stands for any text.
    Pattern(String),
    /// Undocumented format.
    Unrecognized,
}

impl AccountScope {
    fn read<'a>(&self, named: &'a Mention) -> Meaning<'a> {
        let text = named.text();
        let fields: Vec<_> = text.splitn(6, ':').collect();
        if let ["arn", partition, service, region, account, resource] = fields[..] {
            let is_word = |text: &str| {
                text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
            };
            let is_account = account.len() == 12 && account.bytes().all(|c| c.is_ascii_digit());
            let is_arn = is_account && !partition.is_empty();
            if is_arn && [partition, service, region].into_iter().all(is_word) {
                if (partition, account) != (&*self.partition, &*self.account) {
                    return Meaning::Elsewhere;
                }
                let path = resource.strip_prefix(named.noun()).filter(|_| service == "iam");
                let name = path.map(last_part).filter(|name| region.is_empty() && is_name(name));
                if let Some(name) = name {
                    return Meaning::Arn(name);
                }
            }
        }
        if is_name(text) {
            return Meaning::Plain(text);
        }
        pattern(text).map_or(Meaning::Unrecognized, Meaning::Pattern)
    }

    /// Criterion by which a text matches a profile, or may match it.
    fn means(&self, named: &Mention, subject: &VerdictSubject) -> Option<By> {
        let is_role = |name: &str| subject.roles.iter().any(|role| role.eq_ignore_ascii_case(name));
        match (self.read(named), named) {
            (Meaning::Elsewhere, _) => None,
            (Meaning::Arn(name), Mention::Profile(_)) => {
                name.eq_ignore_ascii_case(&subject.name).then_some(By::Arn)
            }
            (Meaning::Plain(text), Mention::Profile(_)) => {
                if text == subject.id {
                    return Some(By::Id);
                }
                text.eq_ignore_ascii_case(&subject.name).then_some(By::Name)
            }
            (Meaning::Arn(name) | Meaning::Plain(name), Mention::Role(_)) => {
                is_role(name).then_some(By::Role)
            }
            (Meaning::Pattern(pattern), _) => {
                self.fits(&pattern, named, subject).then_some(By::Pattern)
            }
            (Meaning::Unrecognized, _) => {
                let is_meant = |word: &str| {
                    word == subject.id || word.eq_ignore_ascii_case(&subject.name) || is_role(word)
                };
                words(named.text()).any(is_meant).then_some(By::Pattern)
            }
        }
    }

    fn fits(&self, pattern: &str, named: &Mention, subject: &VerdictSubject) -> bool {
        let is_in = |noun: &str| named.noun() == noun || pattern.contains(noun);
        let fits = |noun: &str, name: &str| self.fits_name(pattern, noun, name);
        if is_in(PROFILE) && fits(PROFILE, &subject.name) {
            return true;
        }
        // The path of the profile is known, that of the role is not: it may be any.
        if is_in(PROFILE) && matches(pattern, &subject.arn.to_ascii_lowercase()) {
            return true;
        }
        if is_in(PROFILE) && matches(pattern, &subject.id.to_ascii_lowercase()) {
            return true;
        }
        is_in(ROLE) && subject.roles.iter().any(|role| fits(ROLE, role))
    }

    /// True if a pattern can resolve to the name of an entity, or to its ARN with any path.
    fn fits_name(&self, pattern: &str, noun: &str, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let fields: Vec<_> = pattern.splitn(6, ':').collect();
        let resource = if let ["arn", partition, service, region, account, resource] = fields[..] {
            let is_here = matches(partition, &self.partition)
                && matches(service, "iam")
                && matches(region, "")
                && matches(account, &self.account);
            if !is_here {
                return false;
            }
            resource
        } else {
            pattern
        };
        matches(last_part(resource), &name)
            || matches(resource, &format!("{noun}{name}"))
            || matches(
                pattern,
                &format!("arn:{}:iam::{}:{noun}{name}", self.partition, self.account),
            )
    }
}

/// Index of the groups that may match a profile, so that not all groups need to be compared.
#[derive(Debug)]
pub(super) struct ProfileIndex {
    home: AccountScope,
    /// Names and ids of profiles, in lower case.
    profiles: HashMap<Box<str>, Vec<u32>>,
    /// Names of roles, in lower case.
    roles: HashMap<Box<str>, Vec<u32>>,
    /// Words of texts in an undocumented format, in lower case.
    words: HashMap<Box<str>, Vec<u32>>,
    /// Groups with a pattern.
    patterns: Vec<u32>,
}

impl ProfileIndex {
    pub(super) fn new(account: &str, partition: &str) -> Self {
        Self {
            home: AccountScope { account: account.into(), partition: partition.into() },
            profiles: HashMap::new(),
            roles: HashMap::new(),
            words: HashMap::new(),
            patterns: Vec::new(),
        }
    }

    /// Adds a group and its mentions.
    pub(super) fn add(&mut self, group: u32, names: &Arc<[Mention]>) {
        let put = |map: &mut HashMap<Box<str>, Vec<u32>>, word: &str| {
            map.entry(word.to_ascii_lowercase().into()).or_default().push(group);
        };
        for named in names.iter() {
            match (self.home.read(named), named) {
                (Meaning::Arn(name) | Meaning::Plain(name), Mention::Profile(_)) => {
                    put(&mut self.profiles, name);
                }
                (Meaning::Arn(name) | Meaning::Plain(name), Mention::Role(_)) => {
                    put(&mut self.roles, name);
                }
                (Meaning::Elsewhere, _) => {}
                (Meaning::Pattern(_), _) => self.patterns.push(group),
                (Meaning::Unrecognized, _) => {
                    words(named.text()).for_each(|word| put(&mut self.words, word));
                }
            }
        }
    }

    /// Groups that may match a profile, in the order in which they were added.
    pub(super) fn candidates(&self, subject: &VerdictSubject) -> Vec<u32> {
        let name = subject.name.to_ascii_lowercase();
        let id = subject.id.to_ascii_lowercase();
        let mut groups = self.patterns.clone();
        for word in [&name, &id] {
            groups.extend(self.profiles.get(&**word).into_iter().flatten());
            groups.extend(self.words.get(&**word).into_iter().flatten());
        }
        for role in &subject.roles {
            let role = role.to_ascii_lowercase();
            groups.extend(self.roles.get(&*role).into_iter().flatten());
            groups.extend(self.words.get(&*role).into_iter().flatten());
        }
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// Criterion by which a group matches a profile, or may match it, and the matching text.
    pub(super) fn means<'a>(
        &self,
        names: &'a [Mention],
        subject: &VerdictSubject,
    ) -> Option<(By, &'a str)> {
        let meant = names.iter().filter_map(|named| {
            let by = self.home.means(named, subject)?;
            Some((by, named.text()))
        });
        meant.min_by_key(|(by, _)| *by)
    }
}

const fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-')
}

/// True if a text can be the name of a profile or a role.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.chars().all(is_in_name)
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Parts of a text that could be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_in_name(c)).filter(|word| !word.is_empty())
}

/// Pattern of a text with placeholders, in lower case: `*` stands for any text. `None` without
/// placeholders.
fn pattern(text: &str) -> Option<String> {
    // `!Ref Profile` of a template, `resolve:ssm:/profile` of EC2: the whole text is a placeholder.
    if text.starts_with('!') || text.starts_with("resolve:") {
        return Some("*".to_owned());
    }
    if !text.contains(['{', '<', '[', '(', '$', '%', '#', '*', '?']) {
        return None;
    }
    let mut pattern = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if is_in_name(c) || matches!(c, '/' | ':') {
            pattern.push(c.to_ascii_lowercase());
            continue;
        }
        let after = rest.as_str();
        let end = match c {
            '{' => closing(after, c, '}'),
            '<' => closing(after, c, '>'),
            '[' => closing(after, c, ']'),
            '(' => closing(after, c, ')'),
            '%' => after.find('%').map_or(0, |at| at + 1),
            '$' => {
                after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())
            }
            // A character that names cannot contain will be replaced when the text is resolved.
            _ => 0,
        };
        rest = after[end..].chars();
        if "{<[(".contains(c) && pattern.ends_with('@') {
            pattern.pop();
        }
        if !pattern.ends_with('*') {
            pattern.push('*');
        }
    }
    Some(pattern)
}

/// Position after the closing bracket; the end of the text if the bracket is not closed.
fn closing(text: &str, open: char, close: char) -> usize {
    let mut depth = 1_u32;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}

/// True if a text matches a pattern, in which each `*` stands for any text, possibly empty.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ProfileIndex {
        /// Memory use in bytes.
        pub(in super::super) fn bytes(&self) -> usize {
            let map = |map: &HashMap<Box<str>, Vec<u32>>| {
                let table = map.capacity() * (size_of::<(Box<str>, Vec<u32>)>() + 1) * 8 / 7;
                let entries = map.iter().map(|(word, groups)| word.len() + groups.capacity() * 4);
                table + entries.sum::<usize>()
            };
            map(&self.profiles)
                + map(&self.roles)
                + map(&self.words)
                + self.patterns.capacity() * size_of::<u32>()
        }
    }

    /// A search through the index gives the same result as a search through all groups.
    #[test]
    fn the_index_misses_nothing() {
        let account = "123456789012";
        let words = [
            "web", "Web", "web-2", "a.b", "AIPAWEB", "aipaweb", "${x}", "w${x}", "<", " web,",
            "role web",
        ];
        let mut texts: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        for noun in [PROFILE, ROLE] {
            for word in words {
                texts.push(format!("arn:aws:iam::{account}:{noun}p/{word}"));
                texts.push(format!("arn:aws:iam::210987654321:{noun}{word}"));
            }
        }
        let mut index = ProfileIndex::new(account, "aws");
        let mut groups: Vec<Arc<[Mention]>> = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            let other = &texts[(at * 7 + 3) % texts.len()];
            groups.push([Mention::Profile(text.as_str().into())].into());
            groups.push([Mention::Role(text.as_str().into())].into());
            let both =
                [Mention::Profile(text.as_str().into()), Mention::Role(other.as_str().into())];
            groups.push(both.into());
        }
        for (number, names) in groups.iter().enumerate() {
            index.add(u32::try_from(number).expect("few groups"), names);
        }
        let mut meant = 0;
        for name in ["web", "WEB-2", "A.B", "p", "x"] {
            for roles in [vec![], vec!["web".to_owned()], vec!["a.b".to_owned()]] {
                let subject = VerdictSubject {
                    name: name.into(),
                    id: "AIPAWEB".into(),
                    arn: format!("arn:aws:iam::{account}:{PROFILE}p/{name}"),
                    roles,
                    ..VerdictSubject::default()
                };
                let candidates = index.candidates(&subject);
                for (number, names) in groups.iter().enumerate() {
                    if index.means(names, &subject).is_some() {
                        let number = u32::try_from(number).expect("few groups");
                        assert!(candidates.contains(&number), "{subject:?} {names:?}");
                        meant += 1;
                    }
                }
            }
        }
        assert!(meant > 100, "{meant}");
    }
}
