//! Settings for Kafka: the consumer group and librdkafka's properties. The values of secrets are never shown.

use std::fmt;
use std::str::FromStr;

use millrace_platform::settings::InvalidSetting;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `group.id` of the projector's consumers.
    pub group: String,
    pub properties: KafkaProperties,
}

/// librdkafka properties, written `name=value;name=value`.
///
/// They override the properties that Millrace sets, except those that its guarantees depend on: for these, opening
/// the log fails. `Debug` hides the values of secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaProperties(Vec<(String, String)>);

impl KafkaProperties {
    /// Name and value of each, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for KafkaProperties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl FromStr for KafkaProperties {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let items = (1..).zip(text.split(';'));
        items
            .filter(|(_, item)| !item.trim().is_empty())
            .map(|(number, item)| parse_item(number, item))
            .collect()
    }
}

fn parse_item(number: usize, item: &str) -> Result<(String, String), InvalidSetting> {
    let is_name = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !name.is_empty() && name.bytes().all(allowed)
    };
    match item.split_once('=') {
        Some((name, value)) if is_name(name.trim()) => Ok((name.trim().to_owned(), value.to_owned())),
        // The error has the number of the item and not its text, which may be the rest of a password with a `;`.
        _ => Err(InvalidSetting(format!(
            "expected librdkafka properties as name=value;name=value; item {number} has another form"
        ))),
    }
}

impl fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| (name, if is_secret(name) { "***" } else { value }));
        f.debug_map().entries(shown).finish()
    }
}

/// Whether the value of this property must never be shown.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "key", "token", "oauthbearer.config"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<(String, String)>, InvalidSetting> {
        text.parse::<KafkaProperties>().map(|properties| properties.0)
    }

    #[test]
    fn reads_names_and_values() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("linger.ms=5;"), Ok(vec![pair("linger.ms", "5")]));
        assert_eq!(
            parse("security.protocol=SASL_SSL; sasl.password=a=b c "),
            Ok(vec![pair("security.protocol", "SASL_SSL"), pair("sasl.password", "a=b c ")]),
            "a value may hold = and spaces"
        );
        assert_eq!(parse("client.rack="), Ok(vec![pair("client.rack", "")]));
    }

    #[test]
    fn the_error_of_an_item_has_its_number_only() {
        for text in ["a=1;hunter2", "a=1;=hunter2", "a=1;hunter 2=x", "a=1;hunter2;b=1"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("item 2") && !error.contains("hunter"), "{text}: {error}");
        }
    }

    #[test]
    fn debug_hides_secrets() {
        let text =
            "sasl.password=hunter2;ssl.key.pem=hunter2;client.SECRET=hunter2;x.token=hunter2;linger.ms=5";
        let settings = KafkaSettings { group: "g".to_owned(), properties: text.parse().unwrap() };
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("sasl.password") && shown.contains(r#""linger.ms": "5""#), "{shown}");
    }
}
