//! Forms with files (RFC 7578), as far as clients of providers send them: read whole.

use bytes::Bytes;

/// Parts of a form.
const PARTS_MAX: usize = 100;

/// A part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content: Bytes,
}

/// The parts of a form; `None` if it is none.
pub(crate) fn parts(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let boundary = parameter(content_type.strip_prefix("multipart/form-data")?, "boundary")?;
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut from = find(body, delimiter.as_bytes(), 0)? + delimiter.len();
    while parts.len() < PARTS_MAX {
        if body[from..].starts_with(b"--") {
            return Some(parts);
        }
        let head = from + 2;
        let content = find(body, b"\r\n\r\n", from)? + 4;
        let end = find(body, format!("\r\n{delimiter}").as_bytes(), content - 2)?;
        // An empty part has the end of its head as the line break before the delimiter.
        let content_end = end.max(content);
        let head = std::str::from_utf8(body.get(head..content)?).ok()?;
        parts.push(part(head, body.slice(content..content_end))?);
        from = end + 2 + delimiter.len();
    }
    None
}

fn part(head: &str, content: Bytes) -> Option<Part> {
    let is_disposition = |line: &&str| line.to_ascii_lowercase().starts_with("content-disposition:");
    let disposition = head.split("\r\n").find(is_disposition)?;
    Some(Part { name: parameter(disposition, "name")?, file_name: parameter(disposition, "filename"), content })
}

/// A parameter of a header's value, quoted or not.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(wanted.len()).position(|window| window == wanted).map(|place| from + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=xyz";

    #[test]
    fn a_form_is_read() {
        let body = "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--xyz\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: text/plain\r\n\r\n\
            one\r\n\r\ntwo\r\n--xyz\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--xyz--\r\n";
        let parts = parts(TYPE, &Bytes::from(body)).unwrap();
        let seen: Vec<_> =
            parts.iter().map(|part| (&*part.name, part.file_name.as_deref(), &part.content[..])).collect();
        let expected: [(&str, Option<&str>, &[u8]); 3] =
            [("purpose", None, b"batch"), ("file", Some("a.jsonl"), b"one\r\n\r\ntwo"), ("empty", None, b"")];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_no_form_is_none() {
        for body in ["", "--xyz", "--xyz\r\n", "--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xyz--"] {
            assert_eq!(parts(TYPE, &Bytes::from(body)), None, "{body:?}");
        }
        assert_eq!(parts("application/json", &Bytes::from("--xyz--")), None);
    }
}
