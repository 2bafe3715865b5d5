//! Parser of the AWS Query protocol: a form body, in which a list is written `Tags.member.1.Key=…`
//! and an empty list `Tags=`. EC2 writes `Filter.1.Name=…`.

use super::partition::swap;

/// Percent-decoded parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Form {
    pairs: Vec<(String, String)>,
}

/// Member of a list: its fields by name, or one field named `""` if the members are plain strings.
#[derive(Debug, PartialEq)]
pub(super) struct Member<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Member<'a> {
    /// Strings of a list inside this member; `between` stands between its name and the index.
    pub(super) fn list(&self, name: &str, between: &str) -> Vec<&'a str> {
        let numbered = |(field, value): &(&'a str, &'a str)| {
            let number = field.strip_prefix(name)?.strip_prefix(between)?.parse::<u32>().ok()?;
            Some((number, *value))
        };
        let mut numbered: Vec<_> = self.fields.iter().filter_map(numbered).collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, value)| value).collect()
    }

    /// Value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }
}

impl Form {
    /// Parses a body of type `application/x-www-form-urlencoded`.
    pub(super) fn parse(body: &[u8]) -> Self {
        Self { pairs: form_urlencoded::parse(body).into_owned().collect() }
    }

    /// Copy of the form with the ARNs of a partition and of `aws` swapped.
    pub(super) fn translated(&self, partition: &str) -> Self {
        let translated =
            |(key, value): &(String, String)| (key.clone(), swap(value, partition).into_owned());
        Self { pairs: self.pairs.iter().map(translated).collect() }
    }

    /// Value of a parameter; the first one wins.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Members of a list in the order of their indexes; `None` if the list is missing.
    pub(super) fn list(&self, name: &str) -> Option<Vec<Member<'_>>> {
        self.gather(name, ".member.")
    }

    /// Members of a list that is written with `between`, which may be empty, instead of `member`.
    pub(super) fn list_between(&self, name: &str, between: &str) -> Vec<Member<'_>> {
        self.gather(name, between).unwrap_or_default()
    }

    fn gather(&self, name: &str, between: &str) -> Option<Vec<Member<'_>>> {
        let mut numbered: Vec<(u32, &str, &str)> = Vec::new();
        let mut present = false;
        for (key, value) in &self.pairs {
            let Some(rest) = key.strip_prefix(name) else { continue };
            present |= rest.is_empty();
            let Some(rest) = rest.strip_prefix(between) else { continue };
            let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
            if let Ok(number) = number.parse() {
                present = true;
                numbered.push((number, field, value));
            }
        }
        numbered.sort_by_key(|(number, ..)| *number);
        let members = numbered.chunk_by(|a, b| a.0 == b.0).map(|fields| Member {
            fields: fields.iter().map(|(_, field, value)| (*field, *value)).collect(),
        });
        present.then(|| members.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn members_come_in_the_order_of_their_numbers() {
        let form = Form::parse(
            b"Tags.member.10.Key=j&Tags.member.2.Key=b&Tags.member.2.Value=%C3%A9+x&TagsX.member.1.Key=no",
        );
        let tags = form.list("Tags").expect("Tags is there");
        assert_eq!(tags.len(), 2);
        assert_eq!((tags[0].field("Key"), tags[0].field("Value")), (Some("b"), Some("é x")));
        assert_eq!((tags[1].field("Key"), tags[1].field("Value")), (Some("j"), None));
    }

    #[test]
    fn an_empty_list_is_not_a_missing_one() {
        assert_eq!(Form::parse(b"Tags=").list("Tags"), Some(Vec::new()));
        assert_eq!(Form::parse(b"Tag=").list("Tags"), None);
        let keys = Form::parse(b"TagKeys.member.1=a&TagKeys.member.2=b");
        let keys = keys.list("TagKeys").expect("TagKeys is there");
        assert_eq!(
            keys.iter().map(|key| key.field("")).collect::<Vec<_>>(),
            [Some("a"), Some("b")]
        );
    }
}
