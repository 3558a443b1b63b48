//! Records → what people and programs read: terminal lines, the results TSV, Markdown, JSON.
//!
//! **Invariant**: returns text and never prints; derives nothing that is not in the records it is given.

pub mod journey;
pub mod strip;
pub mod table;
pub mod tsv;
pub mod words;

use serde::Serialize;

/// One versioned JSON document: `{"schema": "perfup.<kind>/1", …}`.
///
/// # Errors
/// When the value cannot be written as a JSON object.
pub fn json(kind: &str, value: &impl Serialize) -> serde_json::Result<String> {
    let mut document = serde_json::Map::new();
    document.insert("schema".to_owned(), format!("perfup.{kind}/1").into());
    match serde_json::to_value(value)? {
        serde_json::Value::Object(fields) => document.extend(fields),
        other => {
            document.insert("items".to_owned(), other);
        }
    }
    serde_json::to_string_pretty(&document)
}
