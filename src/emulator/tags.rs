//! Tagging and untagging of roles, profiles and policies. Tag keys of profiles are case-sensitive,
//! those of roles are not.

use super::call::PageRequest;
use super::records::Tag;
use super::refusal::{ApiResult, Refusal};
use super::sequence::Sequence;
use super::xml::Xml;

/// Quota for tags on one role or profile.
pub(super) const MAX_TAGS: usize = 50;

/// Case sensitivity of tag keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyCase {
    ByCase,
    IgnoringCase,
}

impl KeyCase {
    fn same(self, one: &str, other: &str) -> bool {
        match self {
            Self::ByCase => one == other,
            Self::IgnoringCase => one.to_lowercase() == other.to_lowercase(),
        }
    }
}

/// Adds tags; a tag with an existing key is replaced in its place.
pub(super) fn add(tags: &mut Sequence<Tag>, new: Vec<Tag>, keys: KeyCase) -> Result<(), Refusal> {
    for (number, tag) in new.iter().enumerate() {
        if new[..number].iter().any(|earlier| keys.same(&earlier.key, &tag.key)) {
            return Err(Refusal::duplicate_tag_keys(keys == KeyCase::IgnoringCase));
        }
        if tag.key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return Err(Refusal::reserved_tag_key());
        }
    }
    for tag in new {
        let known = tags.iter_mut().find(|known| keys.same(&known.key, &tag.key));
        match known {
            Some(known) => *known = tag,
            None => tags.push(tag),
        }
    }
    if tags.len() > MAX_TAGS { Err(Refusal::too_many_tags()) } else { Ok(()) }
}

/// Removes tags; unknown keys are ignored.
pub(super) fn remove(tags: &mut Sequence<Tag>, gone: &[&str], keys: KeyCase) {
    tags.retain(|tag| !gone.iter().any(|key| keys.same(key, &tag.key)));
}

/// Writes `<Tags>`.
pub(super) fn write<'a>(xml: &mut Xml, mut tags: impl Iterator<Item = &'a Tag>) -> ApiResult<()> {
    xml.within("Tags", |xml| {
        tags.try_for_each(|tag| {
            xml.within("member", |xml| {
                xml.text("Key", &tag.key);
                xml.text("Value", &tag.value);
                Ok(())
            })
        })
    })
}

/// Writes one page of tags. "The returned list of tags is sorted by tag key" (IAM API Reference,
/// `ListInstanceProfileTags` and `ListRoleTags`).
pub(super) fn write_page(
    xml: &mut Xml,
    tags: &Sequence<Tag>,
    page: &PageRequest<'_>,
) -> ApiResult<()> {
    let mut found: Vec<_> = tags.after(0).collect();
    found.sort_by(|(_, one), (_, other)| one.key.cmp(&other.key));
    if let Some(point) = page.point()? {
        found.retain(|(_, tag)| tag.key > point.key);
    }
    let end = page.finish_tags(&mut found);
    write(xml, found.into_iter().map(|(_, tag)| tag))?;
    xml.piece(&end);
    Ok(())
}
