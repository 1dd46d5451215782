//! Options whose values are the words of an enumeration.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One of an enumeration's words.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.into())).map_err(|error| error.to_string())
}

/// The word of an enumeration's value.
pub fn word_of<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
