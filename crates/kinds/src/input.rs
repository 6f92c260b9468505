use raincheck_core::{Json, Misfit, Problem, ProblemType};
use serde::de::DeserializeOwned;

/// Reads a job's input as `T`.
///
/// # Errors
/// A problem that points at the field.
pub(crate) fn read<T: DeserializeOwned>(input: &Json) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(input.as_str());
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let Misfit { pointer, detail } = Misfit::new("/input", &error);
        Problem::new(ProblemType::INVALID_INPUT, detail).at(pointer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Input {
        seconds: f64,
        #[serde(default)]
        names: Vec<String>,
    }

    #[test]
    fn a_refusal_points_at_the_field() {
        let refusal = |text: &str| {
            let problem = read::<Input>(&Json::from_text(text.into()).unwrap()).unwrap_err();
            (problem.pointer.unwrap().into_string(), problem.detail)
        };
        assert_eq!(refusal("{}"), ("/input".into(), "missing field `seconds`".into()));
        let (pointer, detail) = refusal(r#"{"seconds": 1, "names": ["a", 7]}"#);
        assert_eq!((pointer.as_str(), detail.contains("expected a string")), ("/input/names/1", true));
        assert_eq!(refusal(r#"{"seconds": 1, "a/b": 2}"#).0, "/input/a~1b");
    }
}
