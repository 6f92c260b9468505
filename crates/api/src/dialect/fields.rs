use std::fmt;

use raincheck_core::Json;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The fields of an object in their order, each as it came, so that one can be changed and the others keep their digits.
pub(crate) struct Fields {
    fields: Vec<(String, Box<RawValue>)>,
    is_changed: bool,
}

impl Fields {
    /// The fields, if this is an object.
    pub(crate) fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.get())
    }

    /// The names of the fields, with the text of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// A name that stands there more than once: readers differ in which of its values they take.
    pub(crate) fn repeated(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    /// Puts a value in the place of a field, or behind the others if there is no such field.
    pub(crate) fn set(&mut self, name: &str, value: &Json) {
        let Ok(value) = RawValue::from_string(value.as_str().to_owned()) else { return };
        self.is_changed = true;
        match self.fields.iter_mut().find(|(other, _)| other == name) {
            Some((_, place)) => *place = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    /// Takes a field away; gives its text if there was one.
    pub(crate) fn remove(&mut self, name: &str) -> Option<String> {
        let place = self.fields.iter().position(|(other, _)| other == name)?;
        self.is_changed = true;
        Some(self.fields.remove(place).1.get().to_owned())
    }

    /// Whether it is another object than it was read as.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// The object as JSON.
    pub(crate) fn json(&self) -> Json {
        Json::from_value(self).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields { fields, is_changed: false })
            }
        }

        deserializer.deserialize_map(Visit)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_as_it_was() {
        let mut fields = Fields::of(r#"{"z": 1.10, "id": "theirs", "a": [ 1 ]}"#).unwrap();
        assert!(fields.remove("none").is_none() && !fields.is_changed());
        fields.set("id", &serde_json::json!("ours").into());
        fields.set("new", &Json::null());
        assert_eq!(fields.json().as_str(), r#"{"z":1.10,"id":"ours","a":[ 1 ],"new":null}"#);
        assert!(Fields::of("[1]").is_none());
        assert_eq!(fields.repeated(), None);
        assert_eq!(Fields::of(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap().repeated(), Some("b"));
    }
}
