//! Identifiers: parsed at the edge, valid everywhere else. They are never trimmed, converted or case-folded.

use std::fmt;

use uuid::Uuid;

/// Longest identifier, in characters. The column width of every id in the tables.
pub const ID_CHARS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("must not be empty")]
    Empty,
    #[error("has {0} characters; at most {ID_CHARS_MAX} are allowed")]
    TooLong(usize),
    /// A character outside `[A-Za-z0-9._:@-]`.
    #[error("contains {0:?}; allowed are letters, digits and . _ : @ -")]
    Character(char),
}

/// Bytes that are allowed in an identifier. A table, because each event has several identifiers to check.
const ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        allowed[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'@' | b'-');
        byte += 1;
    }
    allowed
};

/// Checks that the text is `[A-Za-z0-9._:@-]{1,64}`.
fn check(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if let Some(at) = text.bytes().position(|c| !ALLOWED[usize::from(c)]) {
        // All bytes before `at` are ASCII, so `at` starts a character.
        return Err(InvalidId::Character(text[at..].chars().next().unwrap_or('\u{fffd}')));
    }
    if text.len() > ID_CHARS_MAX {
        return Err(InvalidId::TooLong(text.len()));
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// # Errors
            /// [`InvalidId`] when the text is not `[A-Za-z0-9._:@-]{1,64}`.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// A new identifier: a time-ordered UUID (version 7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7().to_string().into_boxed_str())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(UserId);
id!(
    /// An order; also the partition key of its payments.
    OrderId
);
id!(PaymentId);
id!(
    /// A stock keeping unit.
    Sku
);
id!(
    /// Identifies an event: two records with the same event id hold the same event.
    EventId
);

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.to_string().into_boxed_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_ids_of_all_five_systems() {
        for text in [
            "0c0f2c2e-6a5d-4f0e-9a53-0b7f7a5d1e01",
            "user-6b0f3c9e-2a77-4b8e-9a53-1c2d3e4f5a6b",
            "SKU-042",
            "order_1795244400_123456789",
            "a.b:c@d",
            &"x".repeat(64),
        ] {
            assert_eq!(UserId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_other_characters_and_lengths() {
        assert_eq!(Sku::parse(""), Err(InvalidId::Empty));
        assert_eq!(Sku::parse(&"x".repeat(65)), Err(InvalidId::TooLong(65)));
        assert_eq!(Sku::parse("a b"), Err(InvalidId::Character(' ')));
        assert_eq!(Sku::parse("a\u{e9}"), Err(InvalidId::Character('\u{e9}')));
        assert_eq!(Sku::parse("a'--"), Err(InvalidId::Character('\'')));
    }
}
