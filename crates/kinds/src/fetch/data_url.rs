use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// As providers write it: some leave out the padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A file that stands in its address (RFC 2397).
pub(super) struct DataUrl {
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
}

impl DataUrl {
    /// The file, if the address is such a one.
    ///
    /// # Errors
    /// If it is, and cannot be read or has more bytes than it may.
    pub(super) fn parse(url: &str, bytes_max: u64) -> Result<Option<Self>, String> {
        let is_data = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        if !is_data {
            return Ok(None);
        }
        let (head, data) = url[5..].split_once(',').ok_or("a data address has a comma before its data")?;
        let (media_type, coding) = head.rsplit_once(';').unwrap_or((head, ""));
        if !coding.trim().eq_ignore_ascii_case("base64") {
            return Err("a data address should be as data:image/png;base64,…".to_owned());
        }
        // Before they are decoded: four characters stand for three bytes.
        let bytes = data.len() as u64 / 4 * 3;
        if bytes > bytes_max.saturating_add(3) {
            return Err(format!("it has about {bytes} bytes, and may have {bytes_max}"));
        }
        let bytes = LENIENT.decode(data.trim()).map_err(|error| format!("its data is no base64: {error}"))?;
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_lowercase();
        Ok(Some(Self { media_type, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_address_is_read_and_others_are_left_alone() {
        let read = |url: &str| DataUrl::parse(url, 100).map(|data| data.map(|data| (data.media_type, data.bytes)));
        assert_eq!(read("https://a.example/data:,"), Ok(None));
        let abc = || Ok(Some(("image/png".to_owned(), b"abcd".to_vec())));
        assert_eq!(read("data:image/png;base64,YWJjZA=="), abc());
        assert_eq!(read("DATA:Image/PNG;charset=x;BASE64,YWJjZA"), abc());
        for bad in ["data:image/png;base64", "data:image/svg+xml,<svg/>", "data:image/png;base64,Y*"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let large = format!("data:image/png;base64,{}", "AAAA".repeat(50));
        assert!(read(&large).unwrap_err().contains("150 bytes"));
    }
}
