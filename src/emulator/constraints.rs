//! What AWS's service model demands of every parameter, as data, and the one function that holds a
//! request to it. The numbers and patterns are those of botocore's `iam/2010-05-08` and
//! `sts/2011-06-15` service models.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use regex::Regex;

use super::form::{Form, Member};
use super::refusal::Refusal;
use super::service::Service;

/// One parameter of an action, or one field of a list's members.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) rule: &'static Rule,
}

/// What a parameter's value must be like.
#[derive(Debug)]
pub(super) enum Rule {
    /// One text.
    Text(Text),
    /// A whole number within bounds, both included.
    Whole { least: i64, most: i64 },
    /// `true` or `false`.
    Boolean,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list of texts, which AWS judges as one: the first bad member spoils it.
    Texts { most: usize, each: Text },
    /// A list of structures with these fields.
    Structures { least: usize, most: usize, fields: &'static [Parameter] },
}

/// What a text must be like; lengths are in characters.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) pattern: Option<Pattern>,
}

/// A regular expression that the whole text must match.
#[derive(Debug)]
pub(super) struct Pattern {
    /// As the service model writes it, and as messages print it.
    source: &'static str,
    /// For some patterns IAM answers with a sentence of its own, alone and before everything else.
    own_words: Option<&'static str>,
}

impl Pattern {
    const fn new(source: &'static str) -> Self {
        Self { source, own_words: None }
    }

    const fn worded(source: &'static str, own_words: &'static str) -> Self {
        Self { source, own_words: Some(own_words) }
    }

    fn matches(&self, text: &str) -> bool {
        self.regex().is_match(text)
    }

    /// The compiled pattern. They are compiled when first met, because those with Unicode classes
    /// take a while, and kept outside of the table, because constants cannot hold a cell.
    fn regex(&self) -> &'static Regex {
        static COMPILED: RwLock<Option<HashMap<&str, &Regex>>> = RwLock::new(None);
        let known = COMPILED.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.as_ref().and_then(|known| known.get(self.source)) {
            return regex;
        }
        drop(known);
        // The model is written for Java, where these two classes are ASCII.
        let source = self.source.replace(r"\w", "A-Za-z0-9_").replace(r"\d", "0-9");
        let regex = Regex::new(&format!(r"\A(?:{source})\z")).expect("a test compiles them all");
        let mut known = COMPILED.write().unwrap_or_else(PoisonError::into_inner);
        // There are as many to leak as the table has patterns.
        known
            .get_or_insert_default()
            .entry(self.source)
            .or_insert_with(|| Box::leak(Box::new(regex)))
    }
}

const NAME_WORDS: &str =
    "It must contain only alphanumeric characters and/or the following: +=,.@_-";
const PATH_WORDS: &str =
    "It must begin and end with / and contain only alphanumeric characters and/or / characters.";
const PREFIX_WORDS: &str = "It must begin with the / character and contain only alphanumeric characters and/or / characters.";
const UNLIMITED: usize = usize::MAX;

const fn text(least: usize, most: usize, pattern: Pattern) -> Text {
    Text { least, most, pattern: Some(pattern) }
}

const fn any_text(least: usize, most: usize) -> Text {
    Text { least, most, pattern: None }
}

// A name's pattern here also lets the empty text through: that one is a matter of length.
pub(super) static PROFILE_NAME: Rule =
    Rule::Text(text(1, 128, Pattern::worded(r"[\w+=,.@-]*", NAME_WORDS)));
pub(super) static ROLE_NAME: Rule =
    Rule::Text(text(1, 64, Pattern::worded(r"[\w+=,.@-]*", NAME_WORDS)));
pub(super) static PATH: Rule = Rule::Text(text(
    1,
    512,
    Pattern::worded(r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)", PATH_WORDS),
));
pub(super) static PATH_PREFIX: Rule =
    Rule::Text(text(1, 512, Pattern::worded(r"\u002F[\u0021-\u007F]*", PREFIX_WORDS)));
pub(super) static POLICY_PATH_PREFIX: Rule =
    Rule::Text(text(1, 512, Pattern::worded(r"((/[A-Za-z0-9\.,\+@=_-]+)*)/", PREFIX_WORDS)));
pub(super) static POLICY_NAME: Rule =
    Rule::Text(text(1, 128, Pattern::worded(r"[\w+=,.@-]*", NAME_WORDS)));
pub(super) static POLICY_PATH: Rule =
    Rule::Text(text(1, 512, Pattern::worded(r"((/[A-Za-z0-9\.,\+@=_-]+)*)/", PATH_WORDS)));
pub(super) static POLICY_DESCRIPTION: Rule = Rule::Text(any_text(0, 1000));
pub(super) static VERSION_ID: Rule =
    Rule::Text(text(0, UNLIMITED, Pattern::new(r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?")));
pub(super) static POLICY_SCOPE: Rule = Rule::Choice(&["All", "AWS", "Local"]);
pub(super) static POLICY_USAGE: Rule = Rule::Choice(&["PermissionsPolicy", "PermissionsBoundary"]);
pub(super) static ENTITY_KIND: Rule =
    Rule::Choice(&["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"]);
pub(super) static USER_NAME: Rule =
    Rule::Text(text(1, 128, Pattern::worded(r"[\w+=,.@-]*", NAME_WORDS)));
pub(super) static BOOLEAN: Rule = Rule::Boolean;
pub(super) static ID: Rule = Rule::Text(text(16, 128, Pattern::new(r"[\w]+")));
pub(super) static MARKER: Rule = Rule::Text(text(1, 320, Pattern::new(r"[\u0020-\u00FF]+")));
pub(super) static MAX_ITEMS: Rule = Rule::Whole { least: 1, most: 1000 };
pub(super) static ARN: Rule = Rule::Text(any_text(20, 2048));
pub(super) static POLICY_DOCUMENT: Rule =
    Rule::Text(text(1, 131_072, Pattern::new(r"[\u0009\u000A\u000D\u0020-\u00FF]+")));
pub(super) static ROLE_DESCRIPTION: Rule =
    Rule::Text(text(0, 1000, Pattern::new(r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*")));
pub(super) static MAX_SESSION_DURATION: Rule = Rule::Whole { least: 3600, most: 43200 };
pub(super) static TAG_KEY: Rule = Rule::Text(tag_key());
pub(super) static TAG_VALUE: Rule =
    Rule::Text(text(0, 256, Pattern::new(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")));
pub(super) static TAG_KEYS: Rule = Rule::Texts { most: 50, each: tag_key() };
pub(super) static TAGS: Rule = Rule::Structures {
    least: 0,
    most: 50,
    fields: &[required("Key", &TAG_KEY), required("Value", &TAG_VALUE)],
};

pub(super) static SERVICE_NAME: Rule = Rule::Text(text(1, 128, Pattern::new(r"[\w+=,.@-]+")));
pub(super) static CUSTOM_SUFFIX: Rule = Rule::Text(text(1, 64, Pattern::new(r"[\w+=,.@-]+")));
pub(super) static DELETION_TASK_ID: Rule = Rule::Text(any_text(1, 1000));

pub(super) static SESSION_NAME: Rule = Rule::Text(text(2, 64, Pattern::new(r"[\w+=,.@-]*")));
pub(super) static SESSION_DURATION: Rule = Rule::Whole { least: 900, most: 43200 };
pub(super) static SESSION_POLICY: Rule =
    Rule::Text(text(1, UNLIMITED, Pattern::new(r"[\u0009\u000A\u000D\u0020-\u00FF]+")));
pub(super) static SESSION_POLICY_ARNS: Rule =
    Rule::Structures { least: 0, most: UNLIMITED, fields: &[optional("arn", &ARN)] };
pub(super) static EXTERNAL_ID: Rule = Rule::Text(text(2, 1224, Pattern::new(r"[\w+=,.@:\/-]*")));
pub(super) static SERIAL_NUMBER: Rule = Rule::Text(text(9, 256, Pattern::new(r"[\w+=/:,.@-]*")));
pub(super) static TOKEN_CODE: Rule = Rule::Text(text(6, 6, Pattern::new(r"[\d]*")));
pub(super) static TOKEN_DURATION: Rule = Rule::Whole { least: 900, most: 129_600 };
pub(super) static WEB_IDENTITY_TOKEN: Rule = Rule::Text(any_text(4, 20_000));
pub(super) static PROVIDER_ID: Rule = Rule::Text(any_text(4, 2048));
pub(super) static SESSION_CONTEXTS: Rule = Rule::Structures {
    least: 1,
    most: 5,
    fields: &[optional("ProviderArn", &ARN), optional("ContextAssertion", &CONTEXT_ASSERTION)],
};
static CONTEXT_ASSERTION: Rule = Rule::Text(any_text(4, 2048));

const fn tag_key() -> Text {
    text(1, 128, Pattern::new(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+"))
}

/// A parameter that must be there.
pub(super) const fn required(name: &'static str, rule: &'static Rule) -> Parameter {
    Parameter { name, required: true, rule }
}

/// A parameter that may be left out.
pub(super) const fn optional(name: &'static str, rule: &'static Rule) -> Parameter {
    Parameter { name, required: false, rule }
}

/// Holds a request to its action's parameters. All violations come in one answer, in the order of
/// the parameters; only a pattern that has words of its own is answered alone.
pub(super) fn check(
    service: Service,
    parameters: &[Parameter],
    form: &Form,
) -> Result<(), Refusal> {
    for parameter in parameters {
        let value = form.get(parameter.name).unwrap_or_default();
        if let Rule::Text(text) = parameter.rule
            && form.get(parameter.name).is_some()
            && let Some(words) = text.own_words(value)
        {
            let name = camel(parameter.name);
            let message = format!("The specified value for {name} is invalid. {words}");
            return Err(Refusal::validation(message));
        }
        if let Rule::Whole { .. } = parameter.rule
            && !value.is_empty()
            && value.parse::<i64>().is_err()
        {
            return Err(Refusal::not_a_number(parameter.name));
        }
        let is_boolean =
            ["true", "false", ""].iter().any(|known| value.eq_ignore_ascii_case(known));
        if matches!(parameter.rule, Rule::Boolean) && !is_boolean {
            return Err(Refusal::not_a_boolean(parameter.name));
        }
    }
    let mut violations = Violations { service, found: Vec::new() };
    for parameter in parameters {
        violations.of_parameter(parameter, form);
    }
    match violations.found.as_slice() {
        [] => Ok(()),
        found => Err(Refusal::violations(found)),
    }
}

struct Violations {
    service: Service,
    found: Vec<String>,
}

impl Violations {
    fn of_parameter(&mut self, parameter: &Parameter, form: &Form) {
        let place = camel(parameter.name);
        match parameter.rule {
            Rule::Text(text) => self.of_text(text, &place, form.get(parameter.name), parameter),
            Rule::Boolean => {}
            Rule::Choice(choices) => match form.get(parameter.name) {
                Some(value) if !choices.contains(&value) => {
                    let constraint =
                        format!("Member must satisfy enum value set: [{}]", choices.join(", "));
                    self.add(&place, Some(value), &constraint);
                }
                _ => {}
            },
            Rule::Whole { least, most } => {
                match form.get(parameter.name).filter(|value| !value.is_empty()) {
                    None if parameter.required => self.add(&place, None, NULL),
                    None => {}
                    Some(value) => self.of_number(*least, *most, &place, value),
                }
            }
            Rule::Texts { most, each } => match form.list(parameter.name) {
                None if parameter.required => self.add(&place, None, NULL),
                None => {}
                Some(members) => self.of_texts(*most, each, &place, &members),
            },
            Rule::Structures { least, most, fields } => match form.list(parameter.name) {
                None if parameter.required => self.add(&place, None, NULL),
                None => {}
                Some(members) => {
                    let shown = || list_text(&members);
                    if members.len() > *most {
                        self.add(&place, Some(&shown()), &at_most_long(*most));
                    }
                    if members.len() < *least {
                        self.add(&place, Some(&shown()), &at_least_long(*least));
                    }
                    for (number, member) in (1..).zip(&members) {
                        for field in *fields {
                            let place = format!("{place}.{number}.member.{}", camel(field.name));
                            if let Rule::Text(text) = field.rule {
                                self.of_text(text, &place, member.field(field.name), field);
                            }
                        }
                    }
                }
            },
        }
    }

    fn of_text(&mut self, text: &Text, place: &str, value: Option<&str>, parameter: &Parameter) {
        match value {
            None if parameter.required => self.add(place, None, NULL),
            None => {}
            Some(value) => {
                for constraint in text.violated(value) {
                    self.add(place, Some(value), &constraint);
                }
            }
        }
    }

    fn of_number(&mut self, least: i64, most: i64, place: &str, value: &str) {
        // `check` has already refused what is not a number.
        let number = value.parse::<i64>().unwrap_or_default();
        if number > most {
            let constraint = format!("Member must have value less than or equal to {most}");
            self.add(place, Some(value), &constraint);
        }
        if number < least {
            let constraint = format!("Member must have value greater than or equal to {least}");
            self.add(place, Some(value), &constraint);
        }
    }

    /// A bad member is answered with everything that members must satisfy, not with what it
    /// violates.
    fn of_texts(&mut self, most: usize, each: &Text, place: &str, members: &[Member<'_>]) {
        let shown = list_text(members);
        if members.len() > most {
            self.add(place, Some(&shown), &at_most_long(most));
        }
        let bad = |member: &Member<'_>| {
            member.field("").is_none_or(|value| !each.violated(value).is_empty())
        };
        if members.iter().any(bad) {
            let mut all = vec![at_most_long(each.most), at_least_long(each.least)];
            all.extend(each.pattern.as_ref().map(matches_pattern));
            all.push(NULL.to_owned());
            let constraint = format!("Member must satisfy constraint: [{}]", all.join(", "));
            self.add(place, Some(&shown), &constraint);
        }
    }

    /// STS says which value it was; IAM no longer does.
    fn add(&mut self, place: &str, value: Option<&str>, constraint: &str) {
        let value = match value {
            _ if self.service != Service::STS => String::new(),
            Some(value) => format!("'{value}' "),
            None => "null ".to_owned(),
        };
        self.found
            .push(format!("Value {value}at '{place}' failed to satisfy constraint: {constraint}"));
    }
}

impl Rule {
    /// The constraints that a value violates which did not come in a request, in AWS's words.
    pub(super) fn violated(&self, value: &str) -> Vec<String> {
        match self {
            Self::Text(text) => text.violated(value),
            _ => Vec::new(),
        }
    }
}

impl Text {
    /// IAM's own sentence for that text, if its pattern has one and is not met.
    fn own_words(&self, value: &str) -> Option<&'static str> {
        let pattern = self.pattern.as_ref()?;
        pattern.own_words.filter(|_| !pattern.matches(value))
    }

    /// The constraints that the text violates, in AWS's words.
    fn violated(&self, value: &str) -> Vec<String> {
        let length = value.chars().count();
        let mut violated = Vec::new();
        if length > self.most {
            violated.push(at_most_long(self.most));
        }
        if length < self.least {
            violated.push(at_least_long(self.least));
        }
        if let Some(pattern) = &self.pattern
            && !pattern.matches(value)
        {
            violated.push(matches_pattern(pattern));
        }
        violated
    }
}

const NULL: &str = "Member must not be null";

fn at_most_long(most: usize) -> String {
    format!("Member must have length less than or equal to {most}")
}

fn at_least_long(least: usize) -> String {
    format!("Member must have length greater than or equal to {least}")
}

fn matches_pattern(pattern: &Pattern) -> String {
    format!("Member must satisfy regular expression pattern: {}", pattern.source)
}

fn list_text(members: &[Member<'_>]) -> String {
    let texts: Vec<_> = members.iter().map(|member| member.field("").unwrap_or("{}")).collect();
    format!("[{}]", texts.join(", "))
}

/// A parameter's name as messages write it: `RoleName` is `roleName`.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::actions::ACTIONS;
    use super::{Parameter, Pattern, Rule};

    fn patterns(parameters: &'static [Parameter]) -> Vec<&'static Pattern> {
        let of = |parameter: &'static Parameter| match parameter.rule {
            Rule::Text(text) | Rule::Texts { each: text, .. } => text.pattern.iter().collect(),
            Rule::Structures { fields, .. } => patterns(fields),
            Rule::Whole { .. } | Rule::Boolean | Rule::Choice(_) => Vec::new(),
        };
        parameters.iter().flat_map(of).collect()
    }

    #[test]
    fn every_pattern_compiles_and_refuses_a_newline_after_a_match() {
        let all: Vec<_> = ACTIONS.iter().flat_map(|action| patterns(action.parameters)).collect();
        assert!(all.len() > 40, "only {} patterns found", all.len());
        for pattern in all {
            // Java's `$` and some regex engines' would let this pass; documents may really contain
            // it.
            let newline_allowed = pattern.source.contains("u000A");
            assert_eq!(pattern.matches("/\n"), newline_allowed, "{}", pattern.source);
        }
    }
}
