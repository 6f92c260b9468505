use serde_json::Value;

use crate::read::Reading;
use crate::step::Call;
use crate::{Template, nearest};

/// Looks whether what a step is given can be what its kind takes, as far as that is certain before anything is computed.
pub(crate) fn check(call: &Call, schema: &Value, reading: &mut Reading<'_>) {
    let kind = call.kind.as_str();
    let entries = match &call.input {
        Template::Table(entries) => entries.as_slice(),
        // Whatever it comes to.
        Template::Computed(_) => return,
        _ if schema.get("required").is_none() => return,
        _ => &[],
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let names = || properties.iter().flat_map(|properties| properties.keys().map(String::as_str));
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    for (name, value) in entries {
        let place = reading.find(name, call.span.start).unwrap_or_else(|| call.span.clone());
        match properties.and_then(|properties| properties.get(name)) {
            Some(property) => {
                if let Err(message) = fits(value, property) {
                    reading.complain(place, format!("`{name}` of {kind} {message}"), None);
                }
            }
            None if is_closed => {
                let near = nearest(name, names()).map(|near| format!("did you mean `{near}`?"));
                let hint = near.unwrap_or_else(|| format!("it takes: {}", names().collect::<Vec<_>>().join(", ")));
                reading.complain(place, format!("{kind} takes no `{name}`"), Some(hint));
            }
            None => {}
        }
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for missing in required.filter(|name| !entries.iter().any(|(entry, _)| entry == name)) {
        let hint = format!("such as input = {{ {missing} = \"...\" }}");
        reading.complain(call.span.clone(), format!("{kind} is not given its `{missing}`"), Some(hint));
    }
}

/// Whether a value that is certain is of the right type, and among those that there are.
fn fits(value: &Template, property: &Value) -> Result<(), String> {
    let sort = match value {
        Template::Fixed(value) => sort_of(value),
        Template::Text(_) => "string",
        Template::List(_) => "array",
        Template::Table(_) => "object",
        Template::Computed(_) => return Ok(()),
    };
    let types: Vec<&str> = match property.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_whole = sort == "integer" && types.contains(&"number");
    if !types.is_empty() && !types.contains(&sort) && !is_whole {
        return Err(format!("should be of type {}, not {sort}", types.join(" or ")));
    }
    match (value, property.get("enum").and_then(Value::as_array)) {
        (Template::Fixed(value), Some(values)) if !values.contains(value) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            Err(format!("should be one of {}", values.join(", ")))
        }
        _ => Ok(()),
    }
}

/// The type of a value, as JSON Schema names it.
fn sort_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
