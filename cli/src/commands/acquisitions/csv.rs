//! Events as a file for spreadsheets. <https://www.rfc-editor.org/rfc/rfc4180>

use anyhow::{Context as _, Result};
use fulfilment::AcquisitionEvent;
use serde_json::Value;

/// The columns, in their order: every field of an event.
pub(super) const COLUMNS: [&str; 48] = [
    "occurred_at",
    "kind",
    "product",
    "item",
    "amount_decimal",
    "currency",
    "cause",
    "reason",
    "campaign_codes",
    "source",
    "component_type",
    "component_id",
    "labels",
    "ab_tests",
    "promo_code",
    "payment_frequency",
    "acquisition_type",
    "marketing_answer",
    "country",
    "state",
    "amount",
    "currency_exponent",
    "amount_subtotal",
    "amount_discount",
    "amount_tax",
    "amount_shipping",
    "presentment_amount",
    "presentment_currency",
    "items",
    "supporter_id",
    "payment_id",
    "contribution_id",
    "session_id",
    "payment_link_id",
    "cause_id",
    "event_id",
    "reverses",
    "page_view_id",
    "browser_id",
    "referrer_url",
    "query_parameters",
    "platform",
    "payment_provider",
    "reader_type",
    "livemode",
    "replayed",
    "published_at",
    "schema_version",
];

/// The file: a byte order mark, by which Excel reads the text as UTF-8, the names, and a line each event.
pub(super) fn written(events: &[AcquisitionEvent]) -> Result<String> {
    let mut text = format!("\u{feff}{}\r\n", COLUMNS.join(","));
    for event in events {
        let event = serde_json::to_value(event).context("the event is not JSON")?;
        let cells: Vec<_> = COLUMNS.iter().map(|column| quoted(&cell(&event[*column]))).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    Ok(text)
}

/// A value as a cell: null is empty, a list of texts is joined, what has more inside is JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
        Value::String(text) => harmless(text),
        Value::Array(values) if values.is_empty() => String::new(),
        Value::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(Value::as_str).collect();
            texts.map_or_else(|| value.to_string(), |texts| harmless(&texts.join("; ")))
        }
    }
}

/// A text that no spreadsheet runs: one that begins like a formula is shown as it is behind an apostrophe. Numbers stay
/// numbers. <https://owasp.org/www-community/attacks/CSV_Injection>
fn harmless(text: &str) -> String {
    const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠', '−'];
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !is_number && text.trim_start_matches(' ').starts_with(FORMULA) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', ';', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_text_that_no_spreadsheet_runs() {
        for (value, expected) in [
            (json!(null), ""),
            (json!(false), "false"),
            (json!(-500), "-500"),
            (json!("-5.00"), "-5.00"),
            (json!("1.500"), "1.500"),
            (json!("-2+3"), "'-2+3"),
            (json!("-"), "'-"),
            (json!("=HYPERLINK(\"https://example.org\")"), "\"'=HYPERLINK(\"\"https://example.org\"\")\""),
            (json!("  =1"), "'  =1"),
            (json!("＠SUM(1)"), "'＠SUM(1)"),
            (json!("\t=1"), "'\t=1"),
            (json!("Trier, Saarburg"), "\"Trier, Saarburg\""),
            (json!("two\nlines"), "\"two\nlines\""),
            (json!([]), ""),
            (json!(["a", "b"]), "\"a; b\""),
            (json!(["=a", "b"]), "\"'=a; b\""),
            (
                json!([{ "name": "colour", "variant": "red" }]),
                "\"[{\"\"name\"\":\"\"colour\"\",\"\"variant\"\":\"\"red\"\"}]\"",
            ),
        ] {
            assert_eq!(quoted(&cell(&value)), expected, "{value}");
        }
    }
}
