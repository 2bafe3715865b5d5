//! Parameter constraints of AWS's service models, as data, and the function that checks a request
//! against them. The numbers and patterns are those of botocore's `iam/2010-05-08` and
//! `sts/2011-06-15` service models.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use regex::Regex;

use super::form::{Form, Member};
use super::refusal::Refusal;
use super::service::Service;

/// Parameter of an action, or field of a list's members.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) rule: &'static Rule,
}

/// Constraint on a parameter's value.
#[derive(Debug)]
pub(super) enum Rule {
    /// String.
    Text(Text),
    /// Integer within inclusive bounds.
    Integer { min: i64, max: i64 },
    /// `true` or `false`.
    Boolean,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// List of strings. AWS validates it as one value: a single bad member makes it invalid.
    Texts { max: usize, each: Text },
    /// List of structures with these fields.
    Structures { min: usize, max: usize, fields: &'static [Parameter] },
}

/// Constraint on a string; lengths are in characters.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) pattern: Option<Pattern>,
}

/// Regular expression that must match the whole string.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Source, as the service model writes it and messages print it.
    source: &'static str,
    /// Special message of IAM for some patterns. It is returned alone and before all other
    /// violations.
    special_message: Option<&'static str>,
}

impl Pattern {
    const fn new(source: &'static str) -> Self {
        Self { source, special_message: None }
    }

    const fn with_message(source: &'static str, special_message: &'static str) -> Self {
        Self { source, special_message: Some(special_message) }
    }

    fn matches(&self, text: &str) -> bool {
        self.regex().is_match(text)
    }

    /// Compiled pattern. Patterns are compiled on first use, because those with Unicode classes are
    /// slow to compile. They are cached outside of the table, because constants cannot hold a cell.
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
        // The leak is bounded by the number of patterns in the table.
        known
            .get_or_insert_default()
            .entry(self.source)
            .or_insert_with(|| Box::leak(Box::new(regex)))
    }
}

const NAME_MESSAGE: &str =
    "It must contain only alphanumeric characters and/or the following: +=,.@_-";
const PATH_MESSAGE: &str =
    "It must begin and end with / and contain only alphanumeric characters and/or / characters.";
const PREFIX_MESSAGE: &str = "It must begin with the / character and contain only alphanumeric characters and/or / characters.";
const UNLIMITED: usize = usize::MAX;

const fn text(min: usize, max: usize, pattern: Pattern) -> Text {
    Text { min, max, pattern: Some(pattern) }
}

const fn any_text(min: usize, max: usize) -> Text {
    Text { min, max, pattern: None }
}

// The pattern of names also accepts the empty string, which violates the length constraint instead.
pub(super) static PROFILE_NAME: Rule =
    Rule::Text(text(1, 128, Pattern::with_message(r"[\w+=,.@-]*", NAME_MESSAGE)));
pub(super) static ROLE_NAME: Rule =
    Rule::Text(text(1, 64, Pattern::with_message(r"[\w+=,.@-]*", NAME_MESSAGE)));
pub(super) static PATH: Rule = Rule::Text(text(
    1,
    512,
    Pattern::with_message(r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)", PATH_MESSAGE),
));
pub(super) static PATH_PREFIX: Rule =
    Rule::Text(text(1, 512, Pattern::with_message(r"\u002F[\u0021-\u007F]*", PREFIX_MESSAGE)));
pub(super) static POLICY_PATH_PREFIX: Rule = Rule::Text(text(
    1,
    512,
    Pattern::with_message(r"((/[A-Za-z0-9\.,\+@=_-]+)*)/", PREFIX_MESSAGE),
));
pub(super) static POLICY_NAME: Rule =
    Rule::Text(text(1, 128, Pattern::with_message(r"[\w+=,.@-]*", NAME_MESSAGE)));
pub(super) static POLICY_PATH: Rule =
    Rule::Text(text(1, 512, Pattern::with_message(r"((/[A-Za-z0-9\.,\+@=_-]+)*)/", PATH_MESSAGE)));
pub(super) static POLICY_DESCRIPTION: Rule = Rule::Text(any_text(0, 1000));
pub(super) static VERSION_ID: Rule =
    Rule::Text(text(0, UNLIMITED, Pattern::new(r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?")));
pub(super) static POLICY_SCOPE: Rule = Rule::OneOf(&["All", "AWS", "Local"]);
pub(super) static POLICY_USAGE: Rule = Rule::OneOf(&["PermissionsPolicy", "PermissionsBoundary"]);
pub(super) static ENTITY_KIND: Rule =
    Rule::OneOf(&["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"]);
pub(super) static USER_NAME: Rule =
    Rule::Text(text(1, 128, Pattern::with_message(r"[\w+=,.@-]*", NAME_MESSAGE)));
pub(super) static BOOLEAN: Rule = Rule::Boolean;
pub(super) static ID: Rule = Rule::Text(text(16, 128, Pattern::new(r"[\w]+")));
pub(super) static MARKER: Rule = Rule::Text(text(1, 320, Pattern::new(r"[\u0020-\u00FF]+")));
pub(super) static MAX_ITEMS: Rule = Rule::Integer { min: 1, max: 1000 };
pub(super) static ARN: Rule = Rule::Text(any_text(20, 2048));
pub(super) static POLICY_DOCUMENT: Rule =
    Rule::Text(text(1, 131_072, Pattern::new(r"[\u0009\u000A\u000D\u0020-\u00FF]+")));
pub(super) static ROLE_DESCRIPTION: Rule =
    Rule::Text(text(0, 1000, Pattern::new(r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*")));
pub(super) static MAX_SESSION_DURATION: Rule = Rule::Integer { min: 3600, max: 43200 };
pub(super) static TAG_KEY: Rule = Rule::Text(tag_key());
pub(super) static TAG_VALUE: Rule =
    Rule::Text(text(0, 256, Pattern::new(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")));
pub(super) static TAG_KEYS: Rule = Rule::Texts { max: 50, each: tag_key() };
pub(super) static TAGS: Rule = Rule::Structures {
    min: 0,
    max: 50,
    fields: &[required("Key", &TAG_KEY), required("Value", &TAG_VALUE)],
};

pub(super) static SERVICE_NAME: Rule = Rule::Text(text(1, 128, Pattern::new(r"[\w+=,.@-]+")));
pub(super) static CUSTOM_SUFFIX: Rule = Rule::Text(text(1, 64, Pattern::new(r"[\w+=,.@-]+")));
pub(super) static DELETION_TASK_ID: Rule = Rule::Text(any_text(1, 1000));

pub(super) static SESSION_NAME: Rule = Rule::Text(text(2, 64, Pattern::new(r"[\w+=,.@-]*")));
pub(super) static SESSION_DURATION: Rule = Rule::Integer { min: 900, max: 43200 };
pub(super) static SESSION_POLICY: Rule =
    Rule::Text(text(1, UNLIMITED, Pattern::new(r"[\u0009\u000A\u000D\u0020-\u00FF]+")));
pub(super) static SESSION_POLICY_ARNS: Rule =
    Rule::Structures { min: 0, max: UNLIMITED, fields: &[optional("arn", &ARN)] };
pub(super) static EXTERNAL_ID: Rule = Rule::Text(text(2, 1224, Pattern::new(r"[\w+=,.@:\/-]*")));
pub(super) static SERIAL_NUMBER: Rule = Rule::Text(text(9, 256, Pattern::new(r"[\w+=/:,.@-]*")));
pub(super) static TOKEN_CODE: Rule = Rule::Text(text(6, 6, Pattern::new(r"[\d]*")));
pub(super) static TOKEN_DURATION: Rule = Rule::Integer { min: 900, max: 129_600 };
pub(super) static WEB_IDENTITY_TOKEN: Rule = Rule::Text(any_text(4, 20_000));
pub(super) static PROVIDER_ID: Rule = Rule::Text(any_text(4, 2048));
pub(super) static SESSION_CONTEXTS: Rule = Rule::Structures {
    min: 1,
    max: 5,
    fields: &[optional("ProviderArn", &ARN), optional("ContextAssertion", &CONTEXT_ASSERTION)],
};
static CONTEXT_ASSERTION: Rule = Rule::Text(any_text(4, 2048));

const fn tag_key() -> Text {
    text(1, 128, Pattern::new(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+"))
}

/// Required parameter.
pub(super) const fn required(name: &'static str, rule: &'static Rule) -> Parameter {
    Parameter { name, required: true, rule }
}

/// Optional parameter.
pub(super) const fn optional(name: &'static str, rule: &'static Rule) -> Parameter {
    Parameter { name, required: false, rule }
}

/// Checks a request against its action's parameters. All violations come in one answer, in the
/// order of the parameters; a pattern with a special message is reported alone.
pub(super) fn check(
    service: Service,
    parameters: &[Parameter],
    form: &Form,
) -> Result<(), Refusal> {
    for parameter in parameters {
        let value = form.get(parameter.name).unwrap_or_default();
        if let Rule::Text(text) = parameter.rule
            && form.get(parameter.name).is_some()
            && let Some(words) = text.special_message(value)
        {
            let name = camel(parameter.name);
            let message = format!("The specified value for {name} is invalid. {words}");
            return Err(Refusal::validation(message));
        }
        if let Rule::Integer { .. } = parameter.rule
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
            Rule::OneOf(choices) => match form.get(parameter.name) {
                Some(value) if !choices.contains(&value) => {
                    let constraint =
                        format!("Member must satisfy enum value set: [{}]", choices.join(", "));
                    self.add(&place, Some(value), &constraint);
                }
                _ => {}
            },
            Rule::Integer { min, max } => {
                match form.get(parameter.name).filter(|value| !value.is_empty()) {
                    None if parameter.required => self.add(&place, None, NULL),
                    None => {}
                    Some(value) => self.of_number(*min, *max, &place, value),
                }
            }
            Rule::Texts { max, each } => match form.list(parameter.name) {
                None if parameter.required => self.add(&place, None, NULL),
                None => {}
                Some(members) => self.of_texts(*max, each, &place, &members),
            },
            Rule::Structures { min, max, fields } => match form.list(parameter.name) {
                None if parameter.required => self.add(&place, None, NULL),
                None => {}
                Some(members) => {
                    let shown = || list_text(&members);
                    if members.len() > *max {
                        self.add(&place, Some(&shown()), &at_most_long(*max));
                    }
                    if members.len() < *min {
                        self.add(&place, Some(&shown()), &at_least_long(*min));
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

    fn of_number(&mut self, min: i64, max: i64, place: &str, value: &str) {
        // `check` has already refused values that are not numbers.
        let number = value.parse::<i64>().unwrap_or_default();
        if number > max {
            let constraint = format!("Member must have value less than or equal to {max}");
            self.add(place, Some(value), &constraint);
        }
        if number < min {
            let constraint = format!("Member must have value greater than or equal to {min}");
            self.add(place, Some(value), &constraint);
        }
    }

    /// Reports a bad member with all constraints on members, not with those that it violates.
    fn of_texts(&mut self, max: usize, each: &Text, place: &str, members: &[Member<'_>]) {
        let shown = list_text(members);
        if members.len() > max {
            self.add(place, Some(&shown), &at_most_long(max));
        }
        let bad = |member: &Member<'_>| {
            member.field("").is_none_or(|value| !each.violated(value).is_empty())
        };
        if members.iter().any(bad) {
            let mut all = vec![at_most_long(each.max), at_least_long(each.min)];
            all.extend(each.pattern.as_ref().map(matches_pattern));
            all.push(NULL.to_owned());
            let constraint = format!("Member must satisfy constraint: [{}]", all.join(", "));
            self.add(place, Some(&shown), &constraint);
        }
    }

    /// Adds a violation. STS includes the value in the message; IAM no longer does.
    fn add(&mut self, place: &str, value: Option<&str>, constraint: &str) {
        let value = match (self.service, value) {
            (Service::Sts, Some(value)) => format!("'{value}' "),
            (Service::Sts, None) => "null ".to_owned(),
            _ => String::new(),
        };
        self.found
            .push(format!("Value {value}at '{place}' failed to satisfy constraint: {constraint}"));
    }
}

impl Rule {
    /// Messages for the constraints violated by a value that did not come in a request.
    pub(super) fn violated(&self, value: &str) -> Vec<String> {
        match self {
            Self::Text(text) => text.violated(value),
            _ => Vec::new(),
        }
    }
}

impl Text {
    /// IAM's special message, if the pattern has one and the string does not match.
    fn special_message(&self, value: &str) -> Option<&'static str> {
        let pattern = self.pattern.as_ref()?;
        pattern.special_message.filter(|_| !pattern.matches(value))
    }

    /// Messages for the constraints that the string violates.
    fn violated(&self, value: &str) -> Vec<String> {
        let length = value.chars().count();
        let mut violated = Vec::new();
        if length > self.max {
            violated.push(at_most_long(self.max));
        }
        if length < self.min {
            violated.push(at_least_long(self.min));
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

fn at_most_long(max: usize) -> String {
    format!("Member must have length less than or equal to {max}")
}

fn at_least_long(min: usize) -> String {
    format!("Member must have length greater than or equal to {min}")
}

fn matches_pattern(pattern: &Pattern) -> String {
    format!("Member must satisfy regular expression pattern: {}", pattern.source)
}

fn list_text(members: &[Member<'_>]) -> String {
    let texts: Vec<_> = members.iter().map(|member| member.field("").unwrap_or("{}")).collect();
    format!("[{}]", texts.join(", "))
}

/// Parameter name as in AWS messages: `RoleName` becomes `roleName`.
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
            Rule::Integer { .. } | Rule::Boolean | Rule::OneOf(_) => Vec::new(),
        };
        parameters.iter().flat_map(of).collect()
    }

    #[test]
    fn every_pattern_compiles_and_refuses_a_newline_after_a_match() {
        let all: Vec<_> = ACTIONS.iter().flat_map(|action| patterns(action.parameters)).collect();
        assert!(all.len() > 40, "only {} patterns found", all.len());
        for pattern in all {
            // `$` in Java and some other regex engines would match here; documents may contain the
            // newline.
            let newline_allowed = pattern.source.contains("u000A");
            assert_eq!(pattern.matches("/\n"), newline_allowed, "{}", pattern.source);
        }
    }
}
