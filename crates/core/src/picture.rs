/// A format of pictures that is taken and shown: one that every browser shows and none runs code from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Picture {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
}

impl Picture {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::Webp, Self::Gif];
    /// So many bytes of a file tell its format.
    pub const HEAD: usize = 12;

    /// The format of a file by its first bytes, whatever it says of itself.
    #[must_use]
    pub fn of_bytes(head: &[u8]) -> Option<Self> {
        match head {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ => None,
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// The end of a file's name that says so.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }

    /// The format of this media type, without parameters. `image/jpg` is none, but is often said.
    #[must_use]
    pub fn of_media_type(text: &str) -> Option<Self> {
        let text = if text == "image/jpg" { "image/jpeg" } else { text };
        Self::ALL.into_iter().find(|picture| picture.media_type() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_its_bytes() {
        for (head, picture) in [
            (&b"\x89PNG\r\n\x1A\n\0\0\0\r"[..], Some(Picture::Png)),
            (b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01", Some(Picture::Jpeg)),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Some(Picture::Webp)),
            (b"GIF89a\x01\0\x01\0\0\0", Some(Picture::Gif)),
            (b"RIFF\x24\0\0\0WAVEfmt ", None),
            (b"<svg xmlns=\"h", None),
            (b"<!DOCTYPE htm", None),
            (b"GIF8", None),
            (b"", None),
        ] {
            assert_eq!(Picture::of_bytes(head), picture, "{head:?}");
        }
        for picture in Picture::ALL {
            assert_eq!(Picture::of_media_type(picture.media_type()), Some(picture));
        }
        assert_eq!(Picture::of_media_type("image/jpg"), Some(Picture::Jpeg));
        assert_eq!(Picture::of_media_type("image/svg+xml"), None);
    }
}
