//! The setting `LOG_LEVEL`. The filter of `tracing` takes a misspelt level for the name of a target and logs nothing else;
//! here a word without `=` is a level or an error.

use millrace_platform::settings::InvalidSetting;

use crate::similar::closest;

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Checks a list such as `info` or `warn,millrace::projector=debug`.
pub(super) fn log_level(text: &str) -> Result<String, InvalidSetting> {
    text.split(',').try_for_each(directive)?;
    Ok(text.to_owned())
}

fn directive(text: &str) -> Result<(), InvalidSetting> {
    let level = match text.trim().rsplit_once('=') {
        None => text.trim(),
        Some(("", _)) => "",
        Some((_, level)) => level,
    };
    if LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
        return Ok(());
    }
    let hint = match closest(&level.to_ascii_lowercase(), LEVELS, 2) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "expected error, warn, info, debug, trace or off, or a list such as info,millrace::projector=debug"
            .to_owned(),
    };
    Err(InvalidSetting(format!("unknown level {level:?}; {hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets() {
        for text in ["info", "INFO", "off", "warn,millrace::projector=debug", "info, hyper=off"] {
            assert!(log_level(text).is_ok(), "{text}");
        }
        for text in ["", "loud", "info,", "info,millrace", "millrace=loud", "=info", "info;debug"] {
            assert!(log_level(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_an_error_with_the_near_level() {
        let error = log_level("inof").unwrap_err().to_string();
        assert!(error.contains("\"inof\"; did you mean info?"), "{error}");
        let error = log_level("info,millrace::projector=debgu").unwrap_err().to_string();
        assert!(error.contains("did you mean debug?"), "{error}");
    }
}
