use std::sync::Arc;

use raincheck_core::Picture;

use crate::{About, Upload, UploadError};

const HEAD_MAX: usize = 1 << 20;
/// A few kilobytes may unfold to gigabytes: the most pixels to a side, and in all.
const SIDE_MAX: usize = 20_000;
const PIXELS_MAX: usize = 100_000_000;
/// What servers say that do not know what they have.
const UNKNOWN_TYPES: [&str; 3] = ["application/octet-stream", "binary/octet-stream", "application/binary"];

/// Why a file is not taken as a picture.
#[derive(Debug)]
pub enum NotTaken {
    /// It is none, or of a format that it may not have.
    Format(String),
    /// It is damaged, or too large to be unfolded.
    Refused(String),
    /// It cannot be kept.
    Upload(UploadError),
}

impl From<UploadError> for NotTaken {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

/// What a picture says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its format.
    pub picture: Picture,
    /// How wide it is, in pixels.
    pub width: usize,
    /// How high it is, in pixels.
    pub height: usize,
}

impl Seen {
    /// Within so many bytes it says so: what cameras write before that is shorter.
    pub const HEAD_MAX: usize = HEAD_MAX;

    /// By its first bytes, if they are enough.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        let picture = Picture::of_bytes(head)?;
        let size = imagesize::blob_size(head).ok()?;
        Some(Self { picture, width: size.width, height: size.height })
    }

    fn check(self) -> Result<Self, NotTaken> {
        let Self { width, height, .. } = self;
        if width == 0 || height == 0 {
            return Err(NotTaken::Refused("the picture has no pixels".to_owned()));
        }
        let is_small = width <= SIDE_MAX && height <= SIDE_MAX && width * height <= PIXELS_MAX;
        let detail = || {
            format!(
                "the picture has {width} x {height} pixels, and may have {SIDE_MAX} to a side and {PIXELS_MAX} in all"
            )
        };
        if is_small { Ok(self) } else { Err(NotTaken::Refused(detail())) }
    }
}

/// The format that a server says that a file has, if it says any.
///
/// # Errors
/// If it is none that may be.
fn of_declared(media_type: Option<&str>, types: &[Picture]) -> Result<Option<Picture>, NotTaken> {
    let Some(media_type) = media_type.filter(|said| !UNKNOWN_TYPES.contains(said)) else { return Ok(None) };
    let picture = Picture::of_media_type(media_type).filter(|picture| types.contains(picture));
    let shown: String = media_type.chars().take(80).collect();
    picture.map(Some).ok_or_else(|| NotTaken::Format(format!("it is said to be {shown:?}; {}", may_be(types))))
}

fn may_be(types: &[Picture]) -> String {
    let types: Vec<&str> = types.iter().map(|picture| picture.media_type()).collect();
    format!("it may be {}", types.join(", "))
}

/// A picture as it comes: looked at as soon as its first bytes are there. Dropped before it is finished it leaves nothing.
pub struct PictureUpload {
    upload: Upload,
    types: Vec<Picture>,
    declared: Option<Picture>,
    /// Its first bytes, until it is known what it is.
    head: Vec<u8>,
    /// When it is worth looking again, by their number.
    look_at: usize,
    seen: Option<Seen>,
}

impl PictureUpload {
    /// Of a file that may be of these formats, and of which somebody says that it has this media type.
    ///
    /// # Errors
    /// If that is none that it may have.
    pub fn new(upload: Upload, types: Vec<Picture>, declared: Option<&str>) -> Result<Self, NotTaken> {
        let declared = of_declared(declared, &types)?;
        Ok(Self { upload, types, declared, head: Vec::new(), look_at: Picture::HEAD, seen: None })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// If it turns out to be no picture that may be, or cannot be kept.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), NotTaken> {
        if self.seen.is_none() {
            let room = HEAD_MAX - self.head.len();
            self.head.extend_from_slice(&piece[..piece.len().min(room)]);
            if self.head.len() >= self.look_at {
                self.look()?;
                // Twice as much, so that each byte is looked at twice on average.
                self.look_at = (self.head.len() * 2).min(HEAD_MAX);
            }
            if self.seen.is_none() && self.head.len() >= HEAD_MAX {
                return Err(self.shapeless());
            }
        }
        Ok(self.upload.write(piece).await?)
    }

    fn look(&mut self) -> Result<(), NotTaken> {
        let picture = Picture::of_bytes(&self.head).ok_or_else(|| self.no_picture())?;
        if !self.types.contains(&picture) {
            let is = picture.media_type();
            return Err(NotTaken::Format(format!("its bytes are those of {is}; {}", may_be(&self.types))));
        }
        if let Some(declared) = self.declared.filter(|declared| *declared != picture) {
            let (said, is) = (declared.media_type(), picture.media_type());
            return Err(NotTaken::Refused(format!("it is said to be {said}, and its bytes are those of {is}")));
        }
        if let Some(seen) = Seen::of(&self.head) {
            self.seen = Some(seen.check()?);
            self.head = Vec::new();
        }
        Ok(())
    }

    fn no_picture(&self) -> NotTaken {
        let begins: String = String::from_utf8_lossy(&self.head).chars().take(16).collect();
        NotTaken::Format(format!("it is no picture: it begins with {begins:?}; {}", may_be(&self.types)))
    }

    fn shapeless(&self) -> NotTaken {
        NotTaken::Refused("the picture is damaged: it does not say how wide and high it is".to_owned())
    }

    /// Puts it in its place. It is called by its format, unless it has a name.
    ///
    /// # Errors
    /// If it is no picture, or cannot be kept.
    pub async fn finish(mut self) -> Result<(Arc<About>, Seen), NotTaken> {
        if self.seen.is_none() {
            if self.head.is_empty() {
                return Err(NotTaken::Refused("it is empty".to_owned()));
            }
            self.look()?;
        }
        let Some(seen) = self.seen else { return Err(self.shapeless()) };
        self.upload.name_if_nameless(|| format!("picture.{}", seen.picture.extension()));
        Ok((self.upload.finish().await?, seen))
    }
}
