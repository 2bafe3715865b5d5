//! Markers: opaque tokens for a position in a list. A marker has a checksum over the account's
//! salt, the action and the scope of the list. A marker of another list gives `Invalid Marker.`
//! instead of a wrong page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Context in which a marker is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal<'a> {
    pub(super) salt: u64,
    pub(super) action: &'a str,
    /// Path prefix, or name of the entity whose parts are listed.
    pub(super) scope: &'a str,
}

/// Position in a list: the number of a path, or a place in a sequence. For lists with keys, also
/// the last key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) number: u64,
    pub(super) key: String,
}

impl Seal<'_> {
    /// Encodes a marker of at most 192 characters, as keys have at most 128.
    pub(super) fn close(&self, point: &Point) -> String {
        let mut bytes = self.check(point).to_le_bytes().to_vec();
        bytes.extend(point.number.to_le_bytes());
        bytes.extend(point.key.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes a marker; `None` if it was created for another list.
    pub(super) fn open(&self, marker: &str) -> Option<Point> {
        let bytes = URL_SAFE_NO_PAD.decode(marker).ok()?;
        let (check, rest) = bytes.split_first_chunk()?;
        let (number, key) = rest.split_first_chunk()?;
        let point = Point {
            number: u64::from_le_bytes(*number),
            key: String::from_utf8(key.to_vec()).ok()?,
        };
        (self.check(&point) == u64::from_le_bytes(*check)).then_some(point)
    }

    /// FNV-1a, which does not change between builds.
    fn check(&self, point: &Point) -> u64 {
        let parts: [&[u8]; 5] = [
            &self.salt.to_le_bytes(),
            self.action.as_bytes(),
            self.scope.as_bytes(),
            &point.number.to_le_bytes(),
            point.key.as_bytes(),
        ];
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for part in parts {
            // Each part ends with a byte that UTF-8 never contains, so that the boundaries are
            // unambiguous.
            for byte in part.iter().chain(&[0xff]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::{Point, Seal};

    #[test]
    fn a_marker_opens_only_where_it_was_closed() {
        let seal = Seal { salt: 1, action: "ListRoles", scope: "/a/" };
        let point = Point { number: 3, key: "k".repeat(128) };
        let marker = seal.close(&point);
        assert!(marker.len() <= 320, "{} letters", marker.len());
        assert_eq!(seal.open(&marker), Some(point));
        for other in [
            Seal { salt: 2, ..seal },
            Seal { action: "ListUsers", ..seal },
            Seal { scope: "/a/b", ..seal },
        ] {
            assert_eq!(other.open(&marker), None, "{other:?}");
        }
        for garbage in ["", "a", "garbage", "====", &marker[1..], &format!("{marker}AAAA")] {
            assert_eq!(seal.open(garbage), None, "{garbage}");
        }
    }
}
