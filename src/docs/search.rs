//! Search for an item by a name, the end of a name, an AWS action, or words.

use std::cmp::Reverse;

use super::{Item, ItemKind, items};
use crate::spec;

/// Result of a search.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchResult {
    /// Only match.
    One(&'static Item),
    /// Several matches, the likeliest first.
    Several(Vec<&'static Item>),
    /// No match, but similar names, the nearest first. There may be none.
    Nothing(Vec<&'static str>),
}

/// Finds items by the first of these rules that has a match:
///
/// 1. the name: `iam.profiles.tag`, or its end: `profiles.tag`, `tag`; also with `()` after it
/// 2. the name of an AWS action, in any case, also with its service: `TagInstanceProfile`,
///    `iam:TagInstanceProfile`
/// 3. the name, in any case, and of a method also with a dot: `expectation.to_equal`
/// 4. words, or beginnings of them, that are all in the name or the documentation
/// 5. modules that are one of several words: `read csv file`
#[must_use]
pub fn find(query: &str) -> SearchResult {
    let query = query.trim();
    let name = query.find(['(', '{']).map_or(query, |at| query[..at].trim_end());
    let ways: [&dyn Fn() -> Vec<&'static Item>; 4] = [
        &|| by_name(|item| item == name, |item| ends_with(item, name)),
        &|| by_action(name),
        &|| {
            let loose = |name: &str| name.to_lowercase().replace(':', ".");
            let name = loose(name);
            by_name(|item| loose(item) == name, |item| ends_with(&loose(item), &name))
        },
        &|| by_words(query),
    ];
    for way in ways {
        match way()[..] {
            [] => {}
            [one] => return SearchResult::One(one),
            ref several => return SearchResult::Several(several.to_vec()),
        }
    }
    match modules_in(query)[..] {
        [] => SearchResult::Nothing(near(name)),
        [one] => SearchResult::One(one),
        ref several => SearchResult::Several(several.to_vec()),
    }
}

/// Modules that are one of several words.
fn modules_in(query: &str) -> Vec<&'static Item> {
    let words: Vec<_> = query.split_whitespace().filter_map(word).collect();
    let is_meant =
        |item: &&Item| item.kind == ItemKind::Module && words.contains(&item.name.to_lowercase());
    if words.len() < 2 { Vec::new() } else { items().iter().filter(is_meant).collect() }
}

/// The item whose full name matches, else those whose name ends so.
fn by_name(is_whole: impl Fn(&str) -> bool, is_end: impl Fn(&str) -> bool) -> Vec<&'static Item> {
    let whole = items().iter().find(|item| is_whole(&item.name));
    let ends = items().iter().filter(|item| is_end(&item.name));
    match whole {
        // Outside of a test, `iam.account` is meant rather than `account`.
        Some(item) if item.module == "testing" => ends.chain([item]).collect(),
        Some(item) => vec![item],
        None => ends.collect(),
    }
}

/// Check that a name ends with these whole parts.
fn ends_with(name: &str, end: &str) -> bool {
    !end.is_empty() && name.strip_suffix(end).is_some_and(|rest| rest.ends_with(['.', ':']))
}

/// Functions whose main action it is, else those that also call it.
fn by_action(query: &str) -> Vec<&'static Item> {
    let (service, query) = query.split_once(':').map_or((None, query), |(s, q)| (Some(s), q));
    let calls = |item: &&Item, main: bool| {
        let count = if main { 1 } else { item.actions.len() };
        item.actions.iter().take(count).any(|action| {
            action.name.eq_ignore_ascii_case(query)
                && service
                    .is_none_or(|service| service.eq_ignore_ascii_case(action.service.prefix()))
        })
    };
    let mut main: Vec<_> = items().iter().filter(|item| calls(item, true)).collect();
    // Functions without other actions are likelier.
    main.sort_by_key(|item| item.actions.len() > 1);
    if main.is_empty() { items().iter().filter(|item| calls(item, false)).collect() } else { main }
}

/// Items that contain all the words, those with more of them in their names first. Input that is no
/// word is ignored. If the texts contain only words that begin with the query while a similar name
/// exists, the query is rather a misspelling: `tagg` means `tag`, not "tagged".
fn by_words(query: &str) -> Vec<&'static Item> {
    let words: Vec<_> = query.split_whitespace().filter_map(word).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let mut is_clear = false;
    let mut found: Vec<_> = items()
        .iter()
        .filter_map(|item| {
            let rest = rest_of(item);
            let places = [(&item.name, 100), (&item.summary, 10), (&rest, 1)];
            let weight_of = |word: &String| {
                places.iter().find_map(|(text, each)| Some(each * fit(text, word)?))
            };
            let weights = words.iter().map(weight_of).collect::<Option<Vec<_>>>()?;
            // Weights 10 and 1 are those of a word that only begins so, in the summary or the rest.
            is_clear |= !weights.contains(&10) && !weights.contains(&1);
            Some((weights.iter().sum::<u32>(), item))
        })
        .collect();
    if !is_clear && !near(query).is_empty() {
        return Vec::new();
    }
    found.sort_by_key(|(weight, _)| Reverse(*weight));
    found.into_iter().map(|(_, item)| item).collect()
}

/// Search word: lower case, without the punctuation around it. `None` for a single character, and
/// for input without letters, which occurs in nearly every text.
fn word(typed: &str) -> Option<String> {
    let word = typed.trim_matches(|c: char| !c.is_alphanumeric());
    let is_word = word.chars().count() > 1 && word.contains(char::is_alphabetic);
    is_word.then(|| word.to_ascii_lowercase())
}

/// Match quality of a word: 2 for a whole word of the text, 1 for the beginning of one, `None` for
/// the inside of one or no match.
fn fit(text: &str, word: &str) -> Option<u32> {
    let begins = |at: usize| {
        let first = text[at..].starts_with(char::is_uppercase);
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() || (first && c.is_lowercase()))
    };
    let ends = |at: usize| !text[at..].starts_with(char::is_alphanumeric);
    // ASCII lower case keeps byte offsets, so that an offset in one text is valid in the other.
    let lower = text.to_ascii_lowercase();
    let places = lower.match_indices(word).map(|(at, _)| at).filter(|at| begins(*at));
    places.map(|at| if ends(at + word.len()) { 2 } else { 1 }).max()
}

/// Documentation of an item besides its summary.
fn rest_of(item: &Item) -> String {
    let mut text = item.text.clone();
    for one in item.params.iter().chain(&item.fields) {
        for part in [&one.name, &one.doc] {
            text.push(' ');
            text.push_str(part);
        }
    }
    text
}

/// Up to three similar names, compared as a whole, by their last part, or by their AWS action. The
/// second and third must be about as similar as the first.
fn near(query: &str) -> Vec<&'static str> {
    if !query.contains(char::is_alphabetic) {
        return Vec::new();
    }
    let in_module = near_in_module(query);
    if !in_module.is_empty() {
        return in_module;
    }
    let query = query.to_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&query, &word.to_lowercase());
    let mut ranked: Vec<_> = items()
        .iter()
        .filter_map(|item| {
            let action = item.actions.first().map(|action| action.name);
            let rest = item.name.strip_prefix("iam.");
            let words = [Some(item.name.as_str()), Some(item.short_name()), rest, action];
            let words = words.into_iter().flatten();
            // Same measure as for names on the command line.
            spec::nearest(&query, words).map(|word| (distance(word), item.name.as_str()))
        })
        .collect();
    ranked.sort_by_key(|(distance, _)| *distance);
    let best = ranked.first().map_or(0, |(distance, _)| *distance);
    let near = ranked.into_iter().filter(|(distance, _)| *distance <= best + 1);
    near.take(3).map(|(_, name)| name).collect()
}

/// Verbs of other libraries for what `decode` and `encode` do.
const VERBS: [(&[&str], &str); 2] = [
    (&["read", "load", "loads", "parse", "open", "deserialize"], "decode"),
    (&["write", "dump", "dumps", "stringify", "save", "serialize"], "encode"),
];

/// Name of a module that a name with a wrong end may mean, or else the module itself.
fn near_in_module(query: &str) -> Vec<&'static str> {
    let Some((module, end)) = query.rsplit_once(['.', ':']) else { return Vec::new() };
    let is_module = |item: &&Item| item.kind == ItemKind::Module && item.name == module;
    let Some(module) = items().iter().find(is_module) else { return Vec::new() };
    let of_module = || items().iter().filter(|item| item.module == module.name);
    let names = || of_module().map(Item::short_name);
    let verb = VERBS.iter().find(|(others, _)| others.contains(&end)).map(|(_, own)| *own);
    let verb = verb.filter(|own| names().any(|name| name == *own));
    let meant = verb.or_else(|| spec::nearest(end, names()));
    let item = of_module().find(|item| Some(item.short_name()) == meant).unwrap_or(module);
    vec![item.name.as_str()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(query: &str) -> &'static str {
        match find(query) {
            SearchResult::One(item) => &item.name,
            other => panic!("{query}: {other:?}"),
        }
    }

    fn several(query: &str) -> Vec<&'static str> {
        match find(query) {
            SearchResult::Several(items) => {
                items.into_iter().map(|item| item.name.as_str()).collect()
            }
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn a_name_is_found_whole_or_by_its_end() {
        assert_eq!(one("iam.profiles.tag"), "iam.profiles.tag");
        assert_eq!(one("profiles.tag"), "iam.profiles.tag");
        assert_eq!(one("profiles.tag()"), "iam.profiles.tag");
        assert_eq!(one("iam.profiles.create { name = \"x\" }"), "iam.profiles.create");
        assert_eq!(several("tag"), ["iam.profiles.tag", "iam.roles.tag"]);
        assert_eq!(one("add_role"), "iam.profiles.add_role");
        assert_eq!(several("account"), ["iam.account", "account"]);
        assert_eq!(one("describe"), "describe");
        assert_eq!(one("report"), "report");
        assert_eq!(one("try"), "try");
        assert_eq!(one("bulk.Options"), "bulk.Options");
        assert_eq!(one("iam.profile"), "iam.Profile");
        assert_eq!(one("task.Task:done"), "task.Task:done");
        assert_eq!(one("done"), "task.Task:done");
        assert_eq!(one("io.open"), "io.open");
        assert_eq!(one("expectation.to_equal"), one("to_equal"));
        assert_eq!(one("task.Task.done"), "task.Task:done");
    }

    #[test]
    fn an_action_of_aws_is_found_in_any_case() {
        assert_eq!(one("TagInstanceProfile"), "iam.profiles.tag");
        assert_eq!(one("iam:taginstanceprofile"), "iam.profiles.tag");
        assert_eq!(one("UpdateAssumeRolePolicy"), "iam.roles.set_assume_role_policy");
        assert_eq!(one("sts:GetCallerIdentity"), "iam.account");
        assert_eq!(
            several("ListInstanceProfiles"),
            ["iam.profiles.list", "iam.profiles.pages", "iam.profiles.each"]
        );
    }

    #[test]
    fn words_are_searched_where_no_name_fits() {
        for name in ["bulk.Options", "iam.usage.scan"] {
            assert!(several("concurrency").contains(&name), "{name}");
        }
        assert!(several("trust policy").contains(&"policy.trust"));
    }

    #[test]
    fn a_module_is_found_among_words_that_are_not_all_in_a_text() {
        assert_eq!(one("read csv file"), "csv");
        assert_eq!(one("how to make an html website"), "html");
        assert_eq!(several("xyzzyplugh csv json"), ["csv", "json"]);
        assert!(matches!(find("xyzzyplugh cs"), SearchResult::Nothing(_)));
    }

    #[test]
    fn a_word_is_found_at_its_beginning_and_first_where_it_is_whole() {
        // "concurrency" contains the first inside; the second is no misspelling of "tagged", which
        // begins with it.
        for inside in ["oncurrency", "tagg"] {
            assert!(matches!(find(inside), SearchResult::Nothing(_)), "{inside}");
        }
        assert_eq!(fit("A stagger of tags.", "tag"), Some(1));
        assert_eq!(fit("Tags, and a tag", "tag"), Some(2));
        assert_eq!(fit("each_for_role", "role"), Some(2));
        assert_eq!(fit("TagInstanceProfile", "instance"), Some(1));
        assert_eq!(fit("Häuser", "user"), None);
        assert_eq!(several("trust, (policy)"), several("trust policy"));
        assert_eq!(several("the trust * policy"), several("the trust policy"));
    }

    #[test]
    fn what_is_no_word_finds_nothing() {
        for query in ["*", "(", ".", ":", "()", "--", "12"] {
            assert_eq!(find(query), SearchResult::Nothing(vec![]), "{query}");
        }
        assert!(matches!(find("a"), SearchResult::Nothing(_)));
    }

    #[test]
    fn what_is_not_there_brings_names_that_are_near() {
        let SearchResult::Nothing(near) = find("iam.profiles.tagg") else { panic!("found") };
        assert_eq!(near[0], "iam.profiles.tag");
        for (name, meant) in [
            ("csv.read", "csv.decode"),
            ("json.dumps", "json.encode"),
            ("csv.decoed", "csv.decode"),
            ("csv.xyzzy", "csv"),
        ] {
            assert_eq!(find(name), SearchResult::Nothing(vec![meant]), "{name}");
        }
        let SearchResult::Nothing(near) = find("TagInstanceProfle") else { panic!("found") };
        assert_eq!(near[0], "iam.profiles.tag");
        let SearchResult::Nothing(near) = find("tagg") else { panic!("found") };
        assert!(near.contains(&"iam.Tag") && near.contains(&"iam.profiles.tag"), "{near:?}");
        assert_eq!(find("xyzzyplugh"), SearchResult::Nothing(vec![]));
        assert!(matches!(find(" "), SearchResult::Nothing(_)));
    }
}
