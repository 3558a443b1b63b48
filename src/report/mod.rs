//! Records → what people and programs read: terminal lines, the results TSV, Markdown, JSON.
//!
//! **Invariant**: returns text and never prints; derives nothing that is not in the records it is given.

pub mod journey;
pub mod strip;
pub mod table;
pub mod tsv;
pub mod words;
pub mod wrap;

use serde::Serialize;

/// One versioned JSON document: `{"schema": "perfup.<kind>/1", …}`.
///
/// # Errors
/// When the value cannot be written as a JSON object.
pub fn json(kind: &str, value: &impl Serialize) -> serde_json::Result<String> {
    /// In this order, which a map of values would lose.
    #[derive(Serialize)]
    struct Document<'a, T> {
        schema: String,
        #[serde(flatten)]
        fields: Option<&'a T>,
        #[serde(skip_serializing_if = "Option::is_none")]
        items: Option<&'a T>,
    }
    let schema = format!("perfup.{kind}/1");
    let document = if serde_json::to_value(value)?.is_object() {
        Document { schema, fields: Some(value), items: None }
    } else {
        Document { schema, fields: None, items: Some(value) }
    };
    serde_json::to_string_pretty(&document)
}
