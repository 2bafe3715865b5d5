//! Records that no single function of the registry owns: tags as AWS pages them, and errors.

use crate::iam;
use crate::spec::{Field, Record};

/// Records of the registry, in the order of the documentation.
pub(super) const RECORDS: [&Record; 4] = [&iam::PROFILE, &iam::ROLE, &iam::POLICY, &iam::ACCOUNT];

/// A tag, in a page of tags.
pub(super) static TAG: Record = Record {
    name: "iam.Tag",
    doc: "Tag in a page of tags.",
    fields: &[
        Field { name: "key", ty: "string", doc: "Its key." },
        Field { name: "value", ty: "string", doc: "Its value; may be empty." },
    ],
};

/// An error, as functions raise it.
pub(super) static ERROR: Record = Record {
    name: "iam.Error",
    doc: "Error that functions raise. `tostring` returns it as text.",
    fields: &[
        Field {
            name: "kind",
            ty: "string",
            doc: "Category: `aws`, `connection`, `credentials`, `argument`, `usage`, `configuration`, `script`, `permission`, `refused`, `protected`, `io`, `state`, `interrupted`, `timeout` or `bug`.",
        },
        Field { name: "code", ty: "string?", doc: "AWS's error code, such as `NoSuchEntity`." },
        Field { name: "message", ty: "string", doc: "Description of the failure." },
        Field { name: "operation", ty: "string?", doc: "The AWS action." },
        Field { name: "status", ty: "integer?", doc: "The HTTP status." },
        Field { name: "request_id", ty: "string?", doc: "The id to give to AWS support." },
        Field { name: "retryable", ty: "boolean", doc: "True if the same call may succeed later." },
        Field { name: "hint", ty: "string?", doc: "Suggested next step." },
        Field { name: "where", ty: "string?", doc: "The position in the script." },
        Field { name: "traceback", ty: "string?", doc: "Call stack at the raise." },
        Field { name: "value", ty: "any", doc: "Raised value, if it was not text." },
        Field { name: "item", ty: "any", doc: "Item of `bulk` that ended the operation." },
    ],
};

/// Fields of a page besides its entries.
pub(super) const PAGE_FIELDS: &[Field] = &[
    Field { name: "is_truncated", ty: "boolean", doc: "True if there is a next page." },
    Field { name: "marker", ty: "string?", doc: "Start of the next page." },
];

/// Tables of the registry: name, summary and further text.
pub(super) const MODULES: [(&str, &str, &str); 4] = [
    (
        "iam",
        "AWS IAM instance profiles and their roles.",
        "Most functions take their first arguments by position and the rest in a table; all of them can be named in one table too: \
         `iam.profiles.tag { name = \"web\", tags = { Owner = \"ops\" } }`. Arguments are checked before anything is sent. \
         A failure raises an `iam.Error`; `try` returns it instead.",
    ),
    (
        "iam.profiles",
        "Instance profiles: the containers that pass a role's credentials to EC2 instances.",
        "",
    ),
    ("iam.roles", "The roles that profiles need.", ""),
    (
        "iam.usage",
        "Usage of instance profiles.",
        "Of the account of its `iam`; for the run's own account there is the shorter `usage`, which says more.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_of_error_is_named() {
        let doc = ERROR.fields[0].doc;
        let named: BTreeSet<_> = doc
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|name| Kind::from_name(name).map(Kind::name))
            .collect();
        assert!(!named.contains(&None), "{named:?}");
        assert_eq!(named.len(), Kind::Bug as usize + 1);
    }

    #[test]
    fn every_table_of_the_registry_is_described() {
        for entry in iam::registry() {
            let name = format!("iam.{}", entry.spec.module);
            assert!(
                MODULES.iter().any(|(known, ..)| *known == name.trim_end_matches('.')),
                "{name} is not described"
            );
        }
    }
}
