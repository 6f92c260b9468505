use std::sync::Arc;

use raincheck_blob::{About, NotTaken, PictureUpload, Upload};
use raincheck_core::{Problem, ProblemType};
use raincheck_recipes::Field;

use crate::openai::refused;
use crate::problem::ApiError;

/// A file of a request as it comes: any, or one that must be a picture.
pub(super) struct Coming<'a> {
    field: &'a Field,
    sort: Sort,
}

enum Sort {
    Any(Upload, bool),
    Picture(PictureUpload),
}

impl<'a> Coming<'a> {
    pub(super) fn new(upload: Upload, field: &'a Field) -> Result<Self, ApiError> {
        let sort = if field.pictures.is_empty() {
            Sort::Any(upload, true)
        } else {
            // What a form says of it is of no account: its bytes do.
            let picture = PictureUpload::new(upload, field.pictures.clone(), None);
            Sort::Picture(picture.map_err(|why| not_taken(field, why))?)
        };
        Ok(Self { field, sort })
    }

    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        match &mut self.sort {
            Sort::Any(upload, is_empty) => {
                *is_empty = false;
                upload.write(piece).await.map_err(refused)
            }
            Sort::Picture(picture) => picture.write(piece).await.map_err(|why| not_taken(self.field, why)),
        }
    }

    pub(super) async fn finish(self) -> Result<Arc<About>, ApiError> {
        match self.sort {
            Sort::Any(_, true) => Err(wrong(self.field, "the file is empty")),
            Sort::Any(upload, false) => upload.finish().await.map_err(refused),
            Sort::Picture(picture) => {
                let (about, _) = picture.finish().await.map_err(|why| not_taken(self.field, why))?;
                Ok(about)
            }
        }
    }
}

fn wrong(field: &Field, why: &str) -> ApiError {
    Problem::new(ProblemType::INVALID_INPUT, format!("{}: {why}", field.name)).at(format!("/{}", field.name)).into()
}

fn not_taken(field: &Field, why: NotTaken) -> ApiError {
    match why {
        NotTaken::Format(detail) => {
            let detail = format!("{}: {detail}", field.name);
            Problem::new(ProblemType::UNSUPPORTED_MEDIA_TYPE, detail).at(format!("/{}", field.name)).into()
        }
        NotTaken::Refused(detail) => wrong(field, &detail),
        NotTaken::Upload(error) => refused(error),
    }
}
