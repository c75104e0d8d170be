//! The address of Redis in the variables of older systems: `REDIS_ADDR`, `REDIS_CONNECTION`, `REDIS_HOST`.

use std::fmt::Write as _;

use super::value::Value;

/// The URL, if one of the older names is set. An invalid value becomes an invalid URL.
pub(super) fn url<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Value> {
    let (address, names) = if let Some(address) = get("REDIS_ADDR") {
        (address.to_owned(), ["REDIS_ADDR", "REDIS_PASSWORD", "REDIS_DB"].as_slice())
    } else if let Some(text) = get("REDIS_CONNECTION") {
        return Some(Value::new(stack_exchange(text), &["REDIS_CONNECTION"]));
    } else {
        let address = format!("{}:{}", get("REDIS_HOST")?, get("REDIS_PORT").unwrap_or("6379"));
        (address, ["REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB"].as_slice())
    };
    let used: Vec<_> = names.iter().copied().filter(|name| get(name).is_some()).collect();
    Some(Value::new(plain(&address, get("REDIS_PASSWORD"), get("REDIS_DB")), &used))
}

fn plain(address: &str, password: Option<&str>, database: Option<&str>) -> String {
    let secret = password.map_or(String::new(), |password| format!(":{}@", encoded(password)));
    format!("redis://{secret}{address}/{}", database.unwrap_or("0"))
}

/// `host:port,password=…,ssl=true,defaultDatabase=1`, the form of StackExchange.Redis. Of several hosts the first counts.
fn stack_exchange(text: &str) -> String {
    let mut parts = text.split(',').map(str::trim);
    let address = parts.next().unwrap_or_default();
    let options: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
    let option = |name: &str| {
        let option = options.iter().find(|(given, _)| given.trim().eq_ignore_ascii_case(name));
        option.map(|(_, value)| value.trim())
    };
    let scheme = match option("ssl") {
        Some(on) if on.eq_ignore_ascii_case("true") => "rediss",
        _ => "redis",
    };
    let user = encoded(option("user").unwrap_or_default());
    let secret = option("password").map_or(String::new(), |secret| format!("{user}:{}@", encoded(secret)));
    format!("{scheme}://{secret}{address}/{}", option("defaultDatabase").unwrap_or("0"))
}

/// Percent-encodes everything but the unreserved characters of a URL.
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

    fn read(values: &[(&str, &'static str)]) -> Option<String> {
        let get = |name: &str| values.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        url(get).map(|value| value.text)
    }

    #[test]
    fn the_forms_of_older_systems_are_read() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("REDIS_PASSWORD", "x")]), None, "a password is not an address");
        assert_eq!(read(&[("REDIS_ADDR", "r:1")]).as_deref(), Some("redis://r:1/0"));
        let whole = [("REDIS_ADDR", "r:1"), ("REDIS_PASSWORD", "a/b@c:%"), ("REDIS_DB", "2")];
        assert_eq!(read(&whole).as_deref(), Some("redis://:a%2Fb%40c%3A%25@r:1/2"));
        assert_eq!(read(&[("REDIS_HOST", "r")]).as_deref(), Some("redis://r:6379/0"));
        assert_eq!(read(&[("REDIS_HOST", "r"), ("REDIS_PORT", "7")]).as_deref(), Some("redis://r:7/0"));
        let text = "r:6380,password=p=w,ssl=True,abortConnect=false,defaultDatabase=3";
        assert_eq!(read(&[("REDIS_CONNECTION", text)]).as_deref(), Some("rediss://:p%3Dw@r:6380/3"));
        assert_eq!(read(&[("REDIS_CONNECTION", "r:1")]).as_deref(), Some("redis://r:1/0"));
    }
}
