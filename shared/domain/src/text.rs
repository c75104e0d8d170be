//! Free text with a maximum length, currency codes and order statuses.

use std::fmt;

/// Text of 1 to `MAX` UTF-16 code units (the unit of `NVARCHAR(MAX)`), without control characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text<const MAX: usize>(Box<str>);

/// An e-mail address: one `@` with something on either side, at most 320 units.
pub type Email = Text<320>;
pub type Name = Text<200>;
/// Why a stock changed.
pub type Reason = Text<200>;
/// How a payment was made.
pub type Method = Text<64>;
/// Connects a command, its event and the log messages about both.
pub type CorrelationId = Text<128>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Also for white space only.
    #[error("must not be empty")]
    Empty,
    #[error("has {found} UTF-16 code units; at most {max} are allowed")]
    TooLong { found: usize, max: usize },
    #[error("contains the control character {0:?}")]
    Control(char),
    #[error("{0}")]
    Form(&'static str),
}

impl<const MAX: usize> Text<MAX> {
    /// Keeps the text as it is: it is not trimmed.
    ///
    /// # Errors
    /// [`InvalidText`] when the text is blank, too long or has a control character.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        if text.trim().is_empty() {
            return Err(InvalidText::Empty);
        }
        // A UTF-8 text never has more UTF-16 units than bytes.
        if text.len() > MAX {
            let found = text.encode_utf16().count();
            if found > MAX {
                return Err(InvalidText::TooLong { found, max: MAX });
            }
        }
        if let Some(c) = text.chars().find(|c| c.is_control()) {
            return Err(InvalidText::Control(c));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Email {
    /// Checks the form only: an `@` between two parts.
    ///
    /// # Errors
    /// [`InvalidText`].
    pub fn parse_address(text: &str) -> Result<Self, InvalidText> {
        let email = Self::parse(text)?;
        match text.rsplit_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Ok(email),
            _ => Err(InvalidText::Form("must be an e-mail address such as ada@example.com")),
        }
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl<const MAX: usize> serde::Serialize for Text<MAX> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A currency code: three capital letters (ISO 4217 decides what they mean).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    pub const USD: Self = Self(*b"USD");

    /// # Errors
    /// [`InvalidText::Form`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(InvalidText::Form("must be a currency code of three capital letters such as USD")),
        }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters")
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The status of an order in capitals: `PLACED`, `CANCELLED`, … The producers choose the words.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OrderStatus(std::borrow::Cow<'static, str>);

impl OrderStatus {
    /// The default.
    pub const PLACED: Self = Self(std::borrow::Cow::Borrowed("PLACED"));
    pub const CANCELLED: Self = Self(std::borrow::Cow::Borrowed("CANCELLED"));
    pub const COMPLETED: Self = Self(std::borrow::Cow::Borrowed("COMPLETED"));

    /// Accepts 1 to 32 letters or underscores in any case.
    ///
    /// # Errors
    /// [`InvalidText::Form`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let fits = (1..=32).contains(&text.len());
        if !fits || !text.bytes().all(|c| c.is_ascii_alphabetic() || c == b'_') {
            return Err(InvalidText::Form("must be a word of 1 to 32 letters such as PLACED"));
        }
        Ok(Self(text.to_ascii_uppercase().into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for OrderStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_utf16_units_as_sql_server_does() {
        assert!(Text::<2>::parse("\u{1f600}").is_ok(), "an emoji is two UTF-16 units");
        assert_eq!(Text::<1>::parse("\u{1f600}"), Err(InvalidText::TooLong { found: 2, max: 1 }));
        assert!(Text::<3>::parse("\u{e9}\u{e9}\u{e9}").is_ok());
    }

    #[test]
    fn refuses_blank_and_control() {
        assert_eq!(Name::parse(" "), Err(InvalidText::Empty));
        assert_eq!(Name::parse("a\0b"), Err(InvalidText::Control('\0')));
        assert!(Email::parse_address("@x").is_err());
        assert!(Email::parse_address("ada@example.com").is_ok());
    }

    #[test]
    fn vocabularies() {
        assert_eq!(OrderStatus::parse("Placed").unwrap(), OrderStatus::PLACED);
        assert!(OrderStatus::parse("not ok").is_err());
        assert!(Currency::parse("usd").is_err());
        assert_eq!(Currency::parse("EUR").unwrap().as_str(), "EUR");
    }
}
