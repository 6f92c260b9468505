use serde_json::Value;

use super::{model, scan, table};
use crate::console::{Paint, harmless};

/// More of a value than this is not shown in a table.
const VALUE_LENGTH_MAX: usize = 100;
/// More rows than this are not shown.
const ROWS_MAX: usize = 40;

/// A job's result for people: a table, made for the kind where it is known.
pub(crate) fn result(kind: &str, text: &str, paint: Paint) -> String {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return harmless(text) };
    if kind == "audio.scan"
        && let Some(summary) = scan::summary(&value, paint)
    {
        return summary;
    }
    if let Some(summary) = model::summary(kind, &value, paint) {
        return summary;
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut rows: Vec<(String, String)> =
                fields.iter().take(ROWS_MAX).map(|(name, value)| (harmless(name), brief(value))).collect();
            if fields.len() > ROWS_MAX {
                rows.push(("…".into(), format!("{} more; --json shows all", fields.len() - ROWS_MAX)));
            }
            table::pairs(&rows, paint)
        }
        other => format!("  {}", brief(&other)),
    }
}

fn brief(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let text = harmless(&text);
    if text.chars().count() <= VALUE_LENGTH_MAX {
        return text;
    }
    text.chars().take(VALUE_LENGTH_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_a_table_and_the_rest_is_json() {
        let shown = result("x", r#"{"a": 1, "long name": {"b": [1.50]}, "text": "ja"}"#, Paint(false));
        insta::assert_snapshot!(shown, @r#"
          a          1
          long name  {"b":[1.5]}
          text       ja
        "#);
        assert_eq!(result("x", "true", Paint(false)), "  true");
    }
}
