//! The machine, and what was used of it.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::figures::{capitalised, duration};
use crate::output::count;

/// What is known about `machine`, as entries of a description list.
pub fn facts(machine: &Map<String, Value>) -> Markup {
    html! {
        @for (key, value) in machine.iter().filter(|(_, value)| !value.is_null()) {
            @let (name, text) = in_words(key, value);
            dt { (name) } dd { (text) }
        }
    }
}

/// A fact of the machine: its name and what it is.
fn in_words(key: &str, value: &Value) -> (String, String) {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let number = |what: fn(f64) -> String| value.as_f64().map_or(text.clone(), what);
    let mib = |mib: f64| format!("{} MiB", count(mib as u64));
    match key {
        "instruction_set" => ("Instruction set".into(), text),
        "os" => ("Operating system".into(), text),
        "memory_mib" => ("Memory".into(), number(mib)),
        "peak_rss_mib" => ("Peak memory".into(), number(mib)),
        "version" => ("Version of densenet".into(), text),
        "seconds" => ("Time".into(), number(duration)),
        key => (capitalised(&key.replace('_', " ")), text),
    }
}
