use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use raincheck_core::ProblemType;

use crate::problem::ApiError;

/// The parameters of a query string, read strictly: broken escapes, bytes that are no UTF-8, unknown and repeated names
/// are refused rather than guessed at.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    /// Reads the part of an address after its question mark.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?.into_owned(), decoded(value)?.into_owned()))
        };
        text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Refuses every parameter that is not among these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let unknown = self.0.iter().find(|(name, _)| !known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |(name, _)| {
            let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(malformed(format!("there is no query parameter {name:?} here; there are: {takes}")))
        })
    }

    /// The parameter of this name as `T`.
    pub(crate) fn get<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
        let mut values = self.all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(malformed(format!("the query parameter {name:?} should be given once")));
        }
        let value =
            value.parse().map_err(|_| malformed(format!("the query parameter {name:?} should be {expected}")))?;
        Ok(Some(value))
    }

    /// Every parameter, none of which is repeated.
    pub(crate) fn into_single(self) -> Result<BTreeMap<String, String>, ApiError> {
        let mut single = BTreeMap::new();
        for (name, value) in self.0 {
            let again = single.insert(name.clone(), value).is_some();
            if again {
                return Err(malformed(format!("{name:?} should be given once")));
            }
        }
        Ok(single)
    }

    /// Every value of a parameter that may be repeated.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The number from 1 to `max` of things wanted at most.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, ApiError> {
        let limit = self.get("limit", "a number from 1")?.unwrap_or(default.min(max));
        if limit == 0 {
            return Err(malformed("the query parameter \"limit\" should be a number from 1".to_owned()));
        }
        Ok(limit.min(max))
    }

    /// How many seconds `wait` says.
    pub(crate) fn wait(&self) -> Result<Option<Duration>, ApiError> {
        Ok(self.get("wait", "a whole number of seconds")?.map(Duration::from_secs))
    }
}

pub(crate) fn malformed(detail: String) -> ApiError {
    ApiError::new(ProblemType::MALFORMED_REQUEST, detail)
}

/// Undoes percent-encoding, and `+` for a space.
fn decoded(text: &str) -> Result<Cow<'_, str>, ApiError> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let broken = || malformed("the query string is not percent-encoded UTF-8".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut nibble = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(broken);
                u8::try_from(nibble()? * 16 + nibble()?).map_err(|_| broken())?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("label=a:b%20c&label=%C3%A4:+&wait=30&").unwrap();
        assert_eq!(query.all("label").collect::<Vec<_>>(), ["a:b c", "ä: "]);
        assert_eq!(query.wait().unwrap(), Some(Duration::from_secs(30)));
        assert!(query.only(&["label"]).is_err());
    }

    #[test]
    fn what_is_broken_is_refused() {
        for text in ["a=%", "a=%f", "a=%zz", "a=%FF", "%C3=1"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        for text in ["wait=-1", "wait=x", "wait=", "wait=1&wait=1", "wait=99999999999999999999"] {
            assert!(Query::parse(text).unwrap().wait().is_err(), "{text}");
        }
        assert!(Query::parse("limit=0").unwrap().limit(10, 100).is_err());
        assert_eq!(Query::parse("limit=999").unwrap().limit(10, 100).unwrap(), 100);
    }
}
