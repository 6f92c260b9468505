use hyper::Uri;

use super::value::Value;

/// Where an upstream is. It is shown and logged, so nothing secret may stand in it; and paths are appended to it, so nothing
/// may stand behind its path.
pub(super) struct BaseUrl(pub(super) Uri);

const MUST: &str = "must be an address such as https://api.openai.com/v1";
const NO_USER: &str =
    "no name and password stand in an address, which is shown; give the key as api_key or api_key_env";
const NO_QUERY: &str = "paths are appended to it, so it has no ? and no #; give a key as api_key or api_key_env";

impl Value for BaseUrl {
    /// What is said of a wrong one does not repeat it.
    fn from_text(text: &str) -> Result<Self, String> {
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest).split(['/', '?', '#']).next();
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(NO_USER.to_owned());
        }
        if text.contains(['?', '#']) {
            return Err(NO_QUERY.to_owned());
        }
        let url: Uri = text.parse().map_err(|_| MUST.to_owned())?;
        let is_http = url.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
        let is_place = |authority: &hyper::http::uri::Authority| {
            let behind = authority.as_str().strip_prefix(authority.host());
            !authority.host().is_empty() && (behind == Some("") || authority.port_u16().is_some())
        };
        if is_http && url.authority().is_some_and(is_place) { Ok(Self(url)) } else { Err(MUST.to_owned()) }
    }

    fn show(&self) -> String {
        self.0.to_string().show()
    }
}

/// Whether the text of a value may hold something that was meant to be secret, and is not to be shown even as a mistake.
pub(super) fn may_hold_a_secret(text: &str) -> bool {
    text.contains(['@', '?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_stands_in_an_address_and_nothing_behind_its_path() {
        for good in ["https://api.openai.com/v1", "http://127.0.0.1:7247/", "https://a.example/v1/@cf/x"] {
            assert!(BaseUrl::from_text(good).is_ok(), "{good}");
        }
        for (wrong, told) in [
            ("http://user:canary@a.example/v1", NO_USER),
            ("http://canary@a.example", NO_USER),
            ("http://user:can?ary@a.example", NO_QUERY),
            ("https://a.example/v1?key=canary", NO_QUERY),
            ("https://a.example/v1#canary", NO_QUERY),
            ("a.example/v1", MUST),
            ("ftp://a.example", MUST),
            ("http://u:can/ary@a.example", MUST),
        ] {
            assert_eq!(BaseUrl::from_text(wrong).err().as_deref(), Some(told), "{wrong}");
        }
    }
}
