//! Forms of settings that several crates parse: addresses, durations, switches. Pure; where a value comes from is the
//! business of `app`.

use std::net::SocketAddr;
use std::time::Duration;

/// A value that a setting does not accept. One line that states what is expected, without the value: it may be a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(pub String);

/// `on` or `off`: the type of every setting with these two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

impl Switch {
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for all interfaces.
///
/// # Errors
/// [`InvalidSetting`]. Other host names are not resolved: the answer of a name server may change.
pub fn listen_addr(text: &str) -> Result<SocketAddr, InvalidSetting> {
    let numeric = match text.split_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        InvalidSetting("expected an address such as 127.0.0.1:8080, localhost:8080 or :8080".to_owned())
    })
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
    fn addresses() {
        for (text, expected) in [
            (":8080", "0.0.0.0:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::]:8080", "[::]:8080"),
        ] {
            assert_eq!(listen_addr(text).unwrap().to_string(), expected);
        }
        for text in ["", ":", "8080", "localhost", "example.com:8080", ":65536", "::8080"] {
            assert!(listen_addr(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for text in ["", "5", "s", "-1s", "99999999999999999999s", "1h30"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
