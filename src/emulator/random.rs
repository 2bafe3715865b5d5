//! Generator of ids, keys, tokens and request ids. It is reproducible with a seed. It is not
//! cryptographic: nothing here protects anything.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `SplitMix64` generator (Steele, Lea and Flood, 2014), shared between threads.
#[derive(Debug)]
pub(super) struct Random(AtomicU64);

impl Random {
    /// Generator with a seed; without one the seed is random.
    pub(super) fn new(seed: Option<u64>) -> Self {
        // `RandomState` is keyed by the operating system's entropy, once per thread.
        Self(AtomicU64::new(
            seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id())),
        ))
    }

    /// Next 64 bits.
    pub(super) fn bits(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Random event with a probability.
    pub(super) fn happens(&self, probability: f64) -> bool {
        // The upper 32 bits fit a double exactly.
        let upper = u32::try_from(self.bits() >> 32).unwrap_or(u32::MAX);
        probability > 0.0 && f64::from(upper) < probability * 4_294_967_296.0
    }

    /// Entity id: a prefix such as `AIPA` and 17 characters of `[A-Z2-7]`.
    pub(super) fn entity_id(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.letters(BASE32, 17))
    }

    /// Secret access key of 40 characters.
    pub(super) fn secret(&self) -> String {
        self.letters(BASE64, 40)
    }

    /// Session token: base64 text of a typical length.
    pub(super) fn session_token(&self) -> String {
        format!("IQoJb3JpZ2luX2Vj{}", self.letters(BASE64, 480))
    }

    /// Request id: a version 4 UUID.
    pub(super) fn request_id(&self) -> String {
        let (high, low) = (self.bits(), self.bits());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            ((low >> 48) & 0x3fff) | 0x8000,
            low & 0xffff_ffff_ffff,
        )
    }

    /// Access key id of temporary credentials. As on AWS it contains the account number, in the
    /// bits that [`session_account`] reads. A key is recognised as this account's even after its
    /// session is gone.
    pub(super) fn session_key(&self, account_id: &str) -> String {
        let account: u128 = account_id.parse().unwrap_or_default();
        let filling = u128::from(self.bits()) & ((1 << 39) - 1);
        let bits: u128 = (1 << 79) | (account << 39) | filling;
        let mut key = String::from("ASIA");
        for position in (0..16).rev() {
            let letter = usize::try_from((bits >> (5 * position)) & 31).unwrap_or_default();
            key.push(char::from(BASE32[letter]));
        }
        key
    }

    fn letters<const N: usize>(&self, alphabet: &[u8; N], count: usize) -> String {
        // The sizes of both alphabets divide 256, so the remainder is unbiased.
        let mut letters = String::with_capacity(count);
        while letters.len() < count {
            for byte in self.bits().to_le_bytes().into_iter().take(count - letters.len()) {
                letters.push(char::from(alphabet[usize::from(byte) % N]));
            }
        }
        letters
    }
}

/// Account number in the access key id of temporary credentials: 40 bits of its base32 part.
pub(super) fn session_account(access_key: &str) -> Option<String> {
    let letters = access_key.strip_prefix("ASIA").filter(|letters| letters.len() == 16)?;
    let mut bits: u128 = 0;
    for letter in letters.bytes() {
        let value = BASE32.iter().position(|known| *known == letter)?;
        bits = (bits << 5) | u128::try_from(value).ok()?;
    }
    Some(format!("{:012}", (bits >> 39) & ((1 << 40) - 1)))
}

#[cfg(test)]
mod tests {
    use super::{Random, session_account};

    #[test]
    fn a_session_key_carries_its_account() {
        let random = Random::new(Some(7));
        for account in ["123456789012", "000000000001", "999999999999"] {
            let key = random.session_key(account);
            assert_eq!(key.len(), 20);
            assert_eq!(session_account(&key).as_deref(), Some(account));
        }
        assert_eq!(session_account("AKIAIOSFODNN7EXAMPLE"), None);
    }

    /// Key and account of the article that first published the layout (T. Be'ery, 2023).
    #[test]
    fn the_account_sits_where_aws_puts_it() {
        assert_eq!(session_account("ASIAQNZGKIQY56JQ7WML").as_deref(), Some("029608264753"));
    }

    #[test]
    fn a_certain_thing_happens_and_an_impossible_one_does_not() {
        let random = Random::new(Some(1));
        assert!((0..1000).all(|_| random.happens(1.0)));
        assert!((0..1000).all(|_| !random.happens(0.0)));
        let halves = (0..10_000).filter(|_| random.happens(0.5)).count();
        assert!((4_700..5_300).contains(&halves), "{halves} of 10,000");
    }
}
