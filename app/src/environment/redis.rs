//! Where the older systems said that Redis is, as one address: `REDIS_ADDR`, `REDIS_CONNECTION`, `REDIS_HOST`.

use std::fmt::Write as _;

/// The address, when one of the older names is set. A text that makes no sense makes an address that is refused later.
pub(super) fn url<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    if let Some(address) = get("REDIS_ADDR") {
        return Some(plain(address, get("REDIS_PASSWORD"), get("REDIS_DB")));
    }
    if let Some(text) = get("REDIS_CONNECTION") {
        return Some(stack_exchange(text));
    }
    let address = format!("{}:{}", get("REDIS_HOST")?, get("REDIS_PORT").unwrap_or("6379"));
    Some(plain(&address, get("REDIS_PASSWORD"), get("REDIS_DB")))
}

fn plain(address: &str, password: Option<&str>, database: Option<&str>) -> String {
    let secret = password.map_or(String::new(), |password| format!(":{}@", encoded(password)));
    format!("redis://{secret}{address}/{}", database.unwrap_or("0"))
}

/// `host:port,password=…,ssl=true,defaultDatabase=1`, as StackExchange.Redis has it. Of several hosts the first counts.
fn stack_exchange(text: &str) -> String {
    let mut parts = text.split(',').map(str::trim);
    let address = parts.next().unwrap_or_default();
    let options: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
    let option = |name: &str| {
        let found = options.iter().find(|(given, _)| given.trim().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let scheme = match option("ssl") {
        Some(on) if on.eq_ignore_ascii_case("true") => "rediss",
        _ => "redis",
    };
    let user = encoded(option("user").unwrap_or_default());
    let secret = option("password").map_or(String::new(), |secret| format!("{user}:{}@", encoded(secret)));
    format!("{scheme}://{secret}{address}/{}", option("defaultDatabase").unwrap_or("0"))
}

/// As it may stand in an address.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String never fails.
            let _written = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[(&str, &'static str)]) -> Option<String> {
        url(|name| values.iter().find(|(given, _)| *given == name).map(|(_, value)| *value))
    }

    #[test]
    fn reads_what_the_older_systems_wrote() {
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("REDIS_PASSWORD", "x")]), None, "a password alone is no address");
        assert_eq!(told(&[("REDIS_ADDR", "r:1")]).as_deref(), Some("redis://r:1/0"));
        let whole = [("REDIS_ADDR", "r:1"), ("REDIS_PASSWORD", "a/b@c:%"), ("REDIS_DB", "2")];
        assert_eq!(told(&whole).as_deref(), Some("redis://:a%2Fb%40c%3A%25@r:1/2"));
        assert_eq!(told(&[("REDIS_HOST", "r")]).as_deref(), Some("redis://r:6379/0"));
        assert_eq!(told(&[("REDIS_HOST", "r"), ("REDIS_PORT", "7")]).as_deref(), Some("redis://r:7/0"));
        let text = "r:6380,password=p=w,ssl=True,abortConnect=false,defaultDatabase=3";
        assert_eq!(told(&[("REDIS_CONNECTION", text)]).as_deref(), Some("rediss://:p%3Dw@r:6380/3"));
        assert_eq!(told(&[("REDIS_CONNECTION", "r:1")]).as_deref(), Some("redis://r:1/0"));
    }
}
