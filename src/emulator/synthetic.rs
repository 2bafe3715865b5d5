//! Synthetic ids, addresses and numbers that complete an answer. They are derived from the entity
//! that they belong to, so that all answers have the same ones.

/// Source of synthetic values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Synthetic(u64);

impl Synthetic {
    /// Source for the entity identified by these parts.
    pub(super) fn of(parts: &[&str]) -> Self {
        // FNV-1a, which does not change between builds.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for part in parts {
            for byte in part.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Self(mixed(hash))
    }

    /// Number below `end`.
    pub(super) fn below(self, end: u64) -> u64 {
        self.0 % end
    }

    /// Hexadecimal digits, at most 32.
    pub(super) fn hex(self, digits: usize) -> String {
        let mut text = format!("{:016x}{:016x}", self.0, mixed(self.0));
        text.truncate(digits);
        text
    }

    /// Capital letters and digits of base 32, at most 24.
    pub(super) fn capitals(self, count: usize) -> String {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let bits = [self.0, mixed(self.0)];
        let letter = |place: usize| {
            let five = (bits[place / 12] >> (5 * (place % 12))) & 31;
            char::from(BASE32[usize::try_from(five).unwrap_or_default()])
        };
        (0..count.min(24)).map(letter).collect()
    }

    /// A UUID.
    pub(super) fn uuid(self) -> String {
        let hex = self.hex(32);
        let (a, b, c, d) = (&hex[..8], &hex[8..12], &hex[13..16], &hex[17..20]);
        format!("{a}-{b}-4{c}-a{d}-{}", &hex[20..])
    }
}

/// Final mixing step of `SplitMix64`.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
