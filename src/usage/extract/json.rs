//! Parser of the JSON protocols. Pages are small enough to be buffered before they are parsed; only
//! wanted values are kept.

use std::fmt;

use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{ExtractState, Flaw};

/// Maximum size of a page; a hundred records of the largest kind are much smaller.
const MAX_SIZE: usize = 32 << 20;

/// Reads a document and reports its parts to `reading`.
///
/// # Errors
/// A message, if it is truncated, too long, or not JSON.
pub(super) async fn read(body: SdkBody, reading: &mut ExtractState<'_>) -> Result<(), Flaw> {
    let body = Limited::new(body, MAX_SIZE).collect().await;
    let body =
        body.map_err(|error| Flaw::CutOff(format!("the answer breaks off: {error}")))?.to_bytes();
    let mut json = serde_json::Deserializer::from_slice(&body);
    let read = Part(reading).deserialize(&mut json).and_then(|()| json.end());
    read.map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => Flaw::CutOff("the answer breaks off".to_owned()),
        _ => Flaw::Unusable(format!("the answer cannot be read: {error}")),
    })
}

/// Value at the current path of the reading.
struct Part<'a, 'b>(&'a mut ExtractState<'b>);

impl Part<'_, '_> {
    fn scalar(self, text: &str) {
        let is_record = self.0.is_at_record();
        if is_record {
            self.0.begin_record();
        }
        self.0.text(text);
        if is_record {
            self.0.end_record();
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let is_record = self.0.is_at_record();
        if is_record {
            self.0.begin_record();
        }
        while let Some(name) = map.next_key::<String>()? {
            let before = self.0.enter(&name);
            map.next_value_seed(Part(self.0))?;
            self.0.leave(before);
        }
        if is_record {
            self.0.end_record();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Part(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(text.trim());
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.nothing();
        Ok(())
    }
}
