//! Exact money: never a float, never rounded. A number that does not fit is an error.

use std::fmt;

use serde::ser::Error as _;
use serde_json::value::RawValue;

/// Decimal places kept: the scale of `DECIMAL(19,4)`.
pub const SCALE: u32 = 4;
const UNITS: i64 = 10_i64.pow(SCALE);

/// An amount of money of zero or more, exact to four decimal places, at most 922,337,203,685,477.5807.
///
/// Held as a count of ten-thousandths, so comparison, addition and storage are those of an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    #[error("must be a number such as 149.99")]
    NotANumber,
    #[error("must not be negative")]
    Negative,
    #[error("has more than {SCALE} decimal places; amounts are never rounded")]
    TooPrecise,
    #[error("is larger than 922337203685477.5807")]
    TooLarge,
}

impl Amount {
    pub const ZERO: Self = Self(0);

    /// The amount of this many ten-thousandths; `None` below zero.
    pub fn from_units(units: i64) -> Option<Self> {
        (units >= 0).then_some(Self(units))
    }

    /// The amount as a count of ten-thousandths.
    pub fn units(self) -> i64 {
        self.0
    }

    /// Reads the text of a JSON number, exponents included, without passing through a float.
    ///
    /// # Errors
    /// [`InvalidAmount`] when the text is not a number, or the number cannot be stored exactly.
    pub fn parse(text: &str) -> Result<Self, InvalidAmount> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|c| c.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(InvalidAmount::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = whole.bytes().chain(fraction.bytes()).map(|c| i64::from(c - b'0'));
        let shift = exponent + i64::from(SCALE) - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let units = shifted(digits, shift)?;
        if negative && units != 0 {
            return Err(InvalidAmount::Negative);
        }
        Ok(Self(units))
    }

    /// `self × quantity`; `None` when the product is not an amount.
    pub fn times(self, quantity: i64) -> Option<Self> {
        self.0.checked_mul(quantity).and_then(Self::from_units)
    }
}

/// Exponents beyond this make every non-zero number too large or too precise.
const EXPONENT_MAX: i64 = 1_000_000;

fn parse_exponent(text: &str) -> Result<i64, InvalidAmount> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err(InvalidAmount::NotANumber);
    }
    // An exponent too long for an i64 is treated as the limit.
    let size = digits.parse::<i64>().unwrap_or(EXPONENT_MAX).min(EXPONENT_MAX);
    Ok(if text.starts_with('-') { -size } else { size })
}

/// The decimal number `digits × 10^shift`, exactly.
fn shifted(digits: impl Iterator<Item = i64>, shift: i64) -> Result<i64, InvalidAmount> {
    let mut value: i64 = 0;
    let mut zeros: i64 = 0; // trailing zeros not multiplied in yet
    for digit in digits.skip_while(|d| *d == 0) {
        if digit == 0 {
            zeros += 1;
            continue;
        }
        value = scale_up(value, zeros + 1)?.checked_add(digit).ok_or(InvalidAmount::TooLarge)?;
        zeros = 0;
    }
    match (value, zeros + shift) {
        (0, _) => Ok(0),
        (_, shift) if shift < 0 => Err(InvalidAmount::TooPrecise),
        (_, shift) => scale_up(value, shift),
    }
}

fn scale_up(value: i64, power: i64) -> Result<i64, InvalidAmount> {
    if value == 0 {
        return Ok(0);
    }
    u32::try_from(power)
        .ok()
        .and_then(|power| 10_i64.checked_pow(power))
        .and_then(|factor| value.checked_mul(factor))
        .ok_or(InvalidAmount::TooLarge)
}

impl fmt::Display for Amount {
    /// At least two decimal places, at most four: `2.00`, `149.99`, `0.125`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / UNITS, self.0 % UNITS);
        match rest {
            r if r % 100 == 0 => write!(f, "{whole}.{:02}", r / 100),
            r if r % 10 == 0 => write!(f, "{whole}.{:03}", r / 10),
            r => write!(f, "{whole}.{r:04}"),
        }
    }
}

impl serde::Serialize for Amount {
    /// A JSON number with all its digits (serde_json only: other formats have no raw values).
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_exactly() {
        for (text, units) in [
            ("0", 0),
            ("-0", 0),
            ("0e999999999999999999999", 0),
            ("149.99", 1_499_900),
            ("437", 4_370_000),
            ("0.0001", 1),
            ("1.4999e2", 1_499_900),
            ("15E-1", 15_000),
            ("1.50000000000000000000000000000000000000000", 15_000),
            ("922337203685477.5807", i64::MAX),
            ("1000e-4", 1_000),
        ] {
            assert_eq!(Amount::parse(text), Ok(Amount(units)), "{text}");
        }
    }

    #[test]
    fn refuses_numbers_that_do_not_fit() {
        for (text, error) in [
            ("NaN", InvalidAmount::NotANumber),
            ("", InvalidAmount::NotANumber),
            ("1.", InvalidAmount::NotANumber),
            ("1e", InvalidAmount::NotANumber),
            ("\"12\"", InvalidAmount::NotANumber),
            ("-0.01", InvalidAmount::Negative),
            ("0.00001", InvalidAmount::TooPrecise),
            ("0.30000000000000004", InvalidAmount::TooPrecise),
            ("1e-999999999999999999999", InvalidAmount::TooPrecise),
            ("1e400", InvalidAmount::TooLarge),
            ("922337203685477.5808", InvalidAmount::TooLarge),
        ] {
            assert_eq!(Amount::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn serialises_as_a_plain_number() {
        assert_eq!(serde_json::to_string(&Amount(1_499_900)).unwrap(), "149.99");
        assert_eq!(serde_json::to_string(&Amount(i64::MAX)).unwrap(), "922337203685477.5807");
        assert_eq!(Amount(50_000).to_string(), "5.00");
        assert_eq!(Amount(1_250).to_string(), "0.125");
    }

    proptest! {
        #[test]
        fn text_and_back_is_the_same_amount(units in 0..=i64::MAX) {
            prop_assert_eq!(Amount::parse(&Amount(units).to_string()), Ok(Amount(units)));
        }
    }
}
