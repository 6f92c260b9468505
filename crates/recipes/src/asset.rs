/// A file of a page that lies beside a recipe, served as it is.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its media type.
    pub media_type: &'static str,
    /// What it holds.
    pub bytes: bytes::Bytes,
}

/// Media types by how a name ends.
const MEDIA_TYPES: [(&str, &str); 10] = [
    (".html", "text/html; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".json", "application/json"),
    (".svg", "image/svg+xml"),
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".webp", "image/webp"),
    (".wav", "audio/wav"),
    (".txt", "text/plain; charset=utf-8"),
];

impl Asset {
    /// A file of this name.
    #[must_use]
    pub fn new(name: &str, bytes: Vec<u8>) -> Self {
        let found = MEDIA_TYPES.iter().find(|(end, _)| name.ends_with(end));
        let media_type = found.map_or("application/octet-stream", |(_, media_type)| *media_type);
        Self { media_type, bytes: bytes.into() }
    }
}
