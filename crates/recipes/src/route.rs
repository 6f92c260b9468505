use std::collections::BTreeMap;
use std::fmt;

/// The methods that a route may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Method {
    /// Every method, by the name that it has in a recipe.
    pub const ALL: [(&'static str, Self); 5] = [
        ("post", Self::Post),
        ("get", Self::Get),
        ("put", Self::Put),
        ("patch", Self::Patch),
        ("delete", Self::Delete),
    ];

    /// As HTTP writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Where a recipe is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// By which method.
    pub method: Method,
    /// At which path.
    pub path: Path,
    /// Whether it may be called without a key.
    pub public: bool,
    /// How many requests a minute are taken from one address.
    pub per_address: Option<u32>,
    /// Whether fields that the recipe does not name are passed over instead of refused.
    pub ignore_unknown: bool,
}

/// A path with places for values: `/api/tutors/{tutorId}/copilot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

/// What stands between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Plain(String),
    /// Any text, which is the value of this name.
    Value(String),
}

/// What is served at the beginning of a path already.
const TAKEN: [&str; 11] =
    ["v1", "openai", "anthropic", "fal", "replicate", "healthz", "readyz", "metrics", "openapi.json", "ui", "pages"];
/// The most parts of a path.
const SEGMENTS_MAX: usize = 16;

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else { return Err("a path begins with `/`".to_owned()) };
        let segments: Vec<Segment> = rest.split('/').map(Segment::read).collect::<Result<_, _>>()?;
        if segments.len() > SEGMENTS_MAX {
            return Err(format!("a path has {SEGMENTS_MAX} parts at most"));
        }
        match segments.first() {
            Some(Segment::Plain(first)) if TAKEN.contains(&first.as_str()) => {
                Err(format!("paths under /{first} are served by Raincheck itself"))
            }
            Some(Segment::Plain(_)) => Ok(Self(segments)),
            _ => Err("a path does not begin with a value".to_owned()),
        }
    }

    /// The names of its values, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Value(name) => Some(name.as_str()),
            Segment::Plain(_) => None,
        })
    }

    /// Its values in a path that was called; `None` if that is another one.
    #[must_use]
    pub fn values(&self, parts: &[String]) -> Option<BTreeMap<String, String>> {
        if parts.len() != self.0.len() {
            return None;
        }
        let mut values = BTreeMap::new();
        for (segment, part) in self.0.iter().zip(parts) {
            match segment {
                Segment::Plain(text) if text == part => {}
                Segment::Value(name) if !part.is_empty() => drop(values.insert(name.clone(), part.clone())),
                _ => return None,
            }
        }
        Some(values)
    }

    /// The path with this for every value in it.
    #[must_use]
    pub fn with(&self, value: &str) -> String {
        self.0.iter().fold(String::new(), |mut path, segment| {
            path.push('/');
            path.push_str(match segment {
                Segment::Plain(text) => text,
                Segment::Value(_) => value,
            });
            path
        })
    }

    /// Whether some path could be meant by both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let same = |(one, other): (&Segment, &Segment)| match (one, other) {
            (Segment::Plain(one), Segment::Plain(other)) => one == other,
            _ => true,
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Plain(text) => write!(f, "/{text}"),
            Segment::Value(name) => write!(f, "/{{{name}}}"),
        })
    }
}

impl Segment {
    fn read(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            return if is_name(name) { Ok(Self::Value(name.to_owned())) } else { Err(bad_name(name)) };
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let good = !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain);
        if good { Ok(Self::Plain(text.to_owned())) } else { Err(format!("{text:?} cannot be a part of a path")) }
    }
}

/// Whether an expression can use it as a name.
pub(crate) fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && text.len() <= 64
}

pub(crate) fn bad_name(text: &str) -> String {
    format!("{text:?} cannot be a name: letters, digits and `_`, beginning with a letter, 64 at most")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> Vec<String> {
        path.split('/').skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn a_path_gives_its_values() {
        let path = Path::read("/api/tutors/{tutorId}/copilot").unwrap();
        assert_eq!(path.to_string(), "/api/tutors/{tutorId}/copilot");
        assert_eq!(path.values(&parts("/api/tutors/7/copilot")).unwrap()["tutorId"], "7");
        for other in ["/api/tutors//copilot", "/api/tutors/7", "/api/tutors/7/other", "/api/tutors/7/copilot/"] {
            assert_eq!(path.values(&parts(other)), None, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_a_path_is_refused() {
        for bad in ["", "api", "/", "/v1/jobs", "/{id}", "/a//b", "/a/{b c}", "/a/../b", "/a/%20"] {
            assert!(Path::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_paths_that_could_both_be_meant_overlap() {
        let overlap = |one: &str, other: &str| Path::read(one).unwrap().overlaps(&Path::read(other).unwrap());
        assert!(overlap("/a/{x}", "/a/b") && overlap("/a/{x}/c", "/a/b/{y}"));
        assert!(!overlap("/a/b", "/a/c") && !overlap("/a/{x}", "/a/{x}/b"));
    }
}
