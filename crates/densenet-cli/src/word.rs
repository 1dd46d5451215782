//! Options whose values are the words of an enumeration.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// One of an enumeration's words.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.into())).map_err(|error| error.to_string())
}
