//! Points in time with the range and precision of `DATETIME2(6)`: UTC, microseconds, years 0001 to 9999.

use std::fmt;

use chrono::{DateTime, Datelike, Timelike, Utc};

/// Microseconds since 1970-01-01T00:00:00Z; negative before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimestamp {
    #[error("must be an RFC 3339 time with an offset, such as 2026-11-21T07:00:00.5Z ({0})")]
    Format(chrono::ParseError),
    #[error("is outside the years 0001 to 9999")]
    Range,
}

impl Timestamp {
    pub fn now() -> Self {
        Self(Utc::now().timestamp_micros())
    }

    /// From microseconds since 1970; `None` outside the years 0001 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        RANGE.contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Seconds from `earlier` to `self`; negative when `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a duration for a metric")]
        let micros = (self.0 - earlier.0) as f64;
        micros / 1e6
    }

    /// Parses RFC 3339 with any offset. Digits beyond the microsecond are cut off.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] for another format, a missing offset, or a year out of range.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let time = DateTime::parse_from_rfc3339(text).map_err(InvalidTimestamp::Format)?;
        Self::from_micros(time.timestamp_micros()).ok_or(InvalidTimestamp::Range)
    }

    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).expect("RANGE lies within chrono's range")
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC: `2026-11-21T07:00:00.5Z` is written `2026-11-21T07:00:00.500Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Text::of(*self).as_str())
    }
}

/// The text of a time, without an allocation or format strings: responses and records contain many of them.
struct Text {
    bytes: [u8; 27],
    length: usize,
}

impl Text {
    fn of(time: Timestamp) -> Self {
        let time = time.to_chrono();
        let micros = time.timestamp_subsec_micros();
        let mut bytes = *b"0000-00-00T00:00:00.000000Z";
        digits(&mut bytes[..4], time.year().unsigned_abs());
        digits(&mut bytes[5..7], time.month());
        digits(&mut bytes[8..10], time.day());
        digits(&mut bytes[11..13], time.hour());
        digits(&mut bytes[14..16], time.minute());
        digits(&mut bytes[17..19], time.second());
        digits(&mut bytes[20..26], micros);
        let end = match micros {
            0 => 19,
            micros if micros % 1_000 == 0 => 23,
            _ => 26,
        };
        bytes[end] = b'Z';
        Self { bytes, length: end + 1 }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("digits are ASCII")
    }
}

/// Fills `place` with the last digits of `number`.
fn digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Text::of(*self).as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_precision_and_offset_as_utc() {
        for (text, shown) in [
            ("2026-11-21T07:00:00.123456789Z", "2026-11-21T07:00:00.123456Z"),
            ("2026-11-21T08:00:00.5+01:00", "2026-11-21T07:00:00.500Z"),
            ("2026-11-21T07:00:00.1234567Z", "2026-11-21T07:00:00.123456Z"),
            ("2026-10-06T17:00:00Z", "2026-10-06T17:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn is_formatted_as_chrono_formats_it(micros in RANGE, coarse in 0..3_u32) {
            let unit = 1_000_i64.pow(coarse);
            let time = Timestamp::from_micros(micros / unit * unit).unwrap();
            let expected = time.to_chrono().to_rfc3339_opts(SecondsFormat::AutoSi, true);
            prop_assert_eq!(time.to_string(), expected);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        }
    }

    #[test]
    fn refuses_local_times_and_impossible_years() {
        assert!(matches!(Timestamp::parse("2026-11-21T07:00:00"), Err(InvalidTimestamp::Format(_))));
        assert!(matches!(Timestamp::parse("yesterday"), Err(InvalidTimestamp::Format(_))));
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59-01:00"), Err(InvalidTimestamp::Range));
        assert_eq!(Timestamp::parse("0000-06-01T00:00:00Z"), Err(InvalidTimestamp::Range));
    }
}
