//! Forms of settings that every role reads, parsed once at the edge: addresses, durations, switches.

use std::net::SocketAddr;
use std::time::Duration;

/// A setting that names nothing we know. One line that says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(pub String);

/// `on` or `off`
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// `on`
    On,
    /// `off`
    Off,
}

impl Switch {
    /// As a condition.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// An address to listen on: `host:port` by numbers, or `:port` for all interfaces.
///
/// # Errors
/// [`InvalidSetting`].
pub fn listen_addr(text: &str) -> Result<SocketAddr, InvalidSetting> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map_err(|_| InvalidSetting("expected an address such as 127.0.0.1:8080 or :8080".to_owned()))
}

/// A length of time, such as `500ms`, `30s`, `2m`, `12h` or `30d`.
///
/// # Errors
/// [`InvalidSetting`].
pub fn duration(text: &str) -> Result<Duration, InvalidSetting> {
    let invalid = || InvalidSetting("expected a duration such as 500ms, 30s, 2m, 12h or 30d".to_owned());
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
    let (number, unit) = text.split_at(split);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_durations() {
        assert_eq!(listen_addr(":8080").unwrap().to_string(), "0.0.0.0:8080");
        assert_eq!(listen_addr("127.0.0.1:0").unwrap().port(), 0);
        assert!(listen_addr("localhost").is_err());
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for text in ["", "5", "s", "-1s", "99999999999999999999s", "1h30"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
