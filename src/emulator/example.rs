//! The example account of a first use. It is an account file, with the ages of its entries instead
//! of their creation dates. It is loaded by the import, which validates it.

use serde_json::{Map, Value, json};

use super::clock::iso8601;
use super::write_txn::WriteTxn;
use super::{ChangeError, import};

const DAY: i64 = 24 * 60 * 60;

/// Fills an empty account.
pub(super) fn fill(edit: &WriteTxn<'_>) -> Result<(), ChangeError> {
    let mut account: Value = serde_json::from_str(include_str!("example.json"))
        .expect("every test that opens an account reads this file");
    for section in ["policies", "roles", "profiles", "resources"] {
        for entry in account[section].as_array_mut().into_iter().flatten() {
            if let Value::Object(entry) = entry {
                date(entry, edit.seconds());
            }
        }
    }
    import::replace(edit, account.to_string().as_bytes())?;
    Ok(())
}

/// Replaces ages by dates. The time of day is derived from the age, so that creation times differ.
fn date(entry: &mut Map<String, Value>, now: i64) {
    let ago = |days: i64| iso8601(now - days * DAY - (days * 7919) % (DAY / 2));
    let mut age = |key: &str| entry.swap_remove(key).as_ref().and_then(Value::as_i64);
    let (made, used) = (age("age_days"), age("last_used_days"));
    if let Some(days) = made {
        entry.insert("create_date".to_owned(), Value::String(ago(days)));
    }
    if let Some(days) = used {
        let used = json!({"date": ago(days), "region": "eu-central-1"});
        entry.insert("last_used".to_owned(), used);
    }
}
