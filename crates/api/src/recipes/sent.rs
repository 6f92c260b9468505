use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use raincheck_blob::{About, Blobs, FileId, Wanted};
use raincheck_core::{ProblemType, Tenant};
use raincheck_recipes::{Field, FieldType, Recipe, Sent};
use serde_json::{Map, Value, json};

use super::coming::Coming;
use super::fields;
use crate::api::Api;
use crate::body::{JsonBody, next_piece, patience};
use crate::multipart::Multipart;
use crate::openai::refused;
use crate::problem::ApiError;
use crate::query::Query;

/// The longest value in a form that is no file, in bytes.
const VALUE_MAX: usize = 1 << 20;
/// The most values of a form.
const VALUES_MAX: usize = 256;
/// The longest name of a file.
const FILENAME_MAX: usize = 512;
/// How long a file that came to a recipe is kept.
const KEPT: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);
/// What files that came to recipes are for, as lists of files tell it.
const PURPOSE: &str = "user_data";

/// What came with a request, and the files that were kept of it. Those are removed again unless it becomes a job.
pub(super) struct Arrived {
    pub(super) sent: Sent,
    files: Vec<Arc<About>>,
    blobs: Option<Blobs>,
}

impl Arrived {
    /// Reads what a request brings: values of its path and query, and a body that is JSON, a form, a form with files, or a
    /// file.
    pub(super) async fn read(
        api: &Arc<Api>,
        recipe: &Recipe,
        tenant: &Tenant,
        path: BTreeMap<String, String>,
        request: Request,
    ) -> Result<Self, ApiError> {
        let query = Query::parse(request.uri().query().unwrap_or_default())?.into_single()?;
        let sent = Sent { path, query, ..Sent::default() };
        let mut arrived = Self { sent, files: Vec::new(), blobs: api.settings.doors.files.clone() };
        let sort = sort_of(request.headers());
        let read = match sort.as_str() {
            "multipart/form-data" => arrived.form(api, recipe, tenant, request).await,
            "application/x-www-form-urlencoded" => arrived.pairs(api, request).await,
            "application/json" => arrived.json(api, request).await,
            _ => arrived.other(api, recipe, tenant, request).await,
        };
        match read {
            Ok(()) => Ok(arrived),
            Err(error) => {
                arrived.forget(tenant).await;
                Err(error)
            }
        }
    }

    /// Removes the files again.
    pub(super) async fn forget(&mut self, tenant: &Tenant) {
        let Some(blobs) = &self.blobs else { return };
        for file in self.files.drain(..) {
            if let Err(error) = blobs.remove(tenant, &file.id).await {
                tracing::warn!(%error, file = %file.id, "a file of a request that was refused could not be removed; it expires");
            }
        }
    }

    async fn json(&mut self, api: &Arc<Api>, request: Request) -> Result<(), ApiError> {
        let body = JsonBody::from_request(request, api).await?;
        let value: Value = body.parse()?;
        let Value::Object(fields) = value else {
            let detail = "the body should be a JSON object with the fields of the input";
            return Err(ApiError::new(ProblemType::INVALID_INPUT, detail));
        };
        self.sent.body = fields;
        Ok(())
    }

    async fn pairs(&mut self, api: &Arc<Api>, request: Request) -> Result<(), ApiError> {
        let body = JsonBody::read(api, request.into_body()).await?;
        let text = std::str::from_utf8(body.bytes());
        let text = text.map_err(|_| ApiError::new(ProblemType::MALFORMED_REQUEST, "the form is not UTF-8"))?;
        let pairs = Query::parse(text)?.into_single()?;
        self.sent.body = pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        self.sent.is_form = true;
        Ok(())
    }

    async fn form(
        &mut self,
        api: &Arc<Api>,
        recipe: &Recipe,
        tenant: &Tenant,
        request: Request,
    ) -> Result<(), ApiError> {
        let (parts, body) = request.into_parts();
        let mut form = Multipart::new(api, &parts.headers, body)?;
        let mut fields = Map::new();
        while let Some(part) = form.part().await? {
            if fields.len() >= VALUES_MAX || fields.contains_key(&part.name) {
                let detail = format!("a form has {VALUES_MAX} values at most, each once; {:?} is too many", part.name);
                return Err(ApiError::new(ProblemType::INVALID_INPUT, detail));
            }
            let value = match fields::file(recipe, &part.name) {
                Some(field) => {
                    let named = part.filename.filter(|name| name.len() <= FILENAME_MAX);
                    let mut pieces = Pieces::Form(&mut form);
                    self.keep(api, tenant, field, named.unwrap_or_else(|| "upload".to_owned()), &mut pieces).await?
                }
                None => Value::from(form.text(VALUE_MAX).await?),
            };
            fields.insert(part.name, value);
        }
        (self.sent.body, self.sent.is_form) = (fields, true);
        Ok(())
    }

    /// A body of no sort that is read: the one file of the recipe, or nothing at all.
    async fn other(
        &mut self,
        api: &Arc<Api>,
        recipe: &Recipe,
        tenant: &Tenant,
        request: Request,
    ) -> Result<(), ApiError> {
        let (parts, body) = request.into_parts();
        if axum::body::HttpBody::is_end_stream(&body) {
            return Ok(());
        }
        let Some(field) = fields::whole_body(recipe) else {
            let detail = if fields::has_file(recipe) {
                "send the file and what comes with it as a form: `Content-Type: multipart/form-data`"
            } else {
                "send the input as JSON with the header `Content-Type: application/json`, or as a form"
            };
            return Err(ApiError::new(ProblemType::UNSUPPORTED_MEDIA_TYPE, detail));
        };
        if parts.headers.contains_key(header::CONTENT_ENCODING) {
            let detail = "send the file as it is, without Content-Encoding";
            return Err(ApiError::new(ProblemType::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let begun = tokio::time::Instant::now();
        let mut pieces = Pieces::Raw { api, body, begun, arrived: 0 };
        let file = self.keep(api, tenant, field, "upload".to_owned(), &mut pieces).await?;
        self.sent.body.insert(field.name.clone(), file);
        Ok(())
    }

    /// Keeps a file: it goes to the store of files as it comes, and is there whole or not at all.
    async fn keep(
        &mut self,
        api: &Arc<Api>,
        tenant: &Tenant,
        field: &Field,
        filename: String,
        pieces: &mut Pieces<'_>,
    ) -> Result<Value, ApiError> {
        let Some(blobs) = &self.blobs else {
            return Err(ApiError::new(ProblemType::NOT_FOUND, "no files are taken here"));
        };
        let FieldType::File(max) = field.holds else {
            return Err(ApiError::new(ProblemType::INVALID_INPUT, format!("{} is no file", field.name)));
        };
        let now = api.engine.clock().now();
        let id = FileId::new(now, api.engine.random());
        let wanted = Wanted { id, tenant: tenant.clone(), filename, purpose: PURPOSE.to_owned(), created_at: now };
        let mut upload = blobs.begin(wanted, max).await.map_err(refused)?;
        upload.expire_at(now.after(KEPT));
        let mut file = Coming::new(upload, field)?;
        while let Some(piece) = pieces.next().await? {
            file.write(&piece).await?;
        }
        let about = file.finish().await?;
        let told = json!({
            "id": about.id.as_str(),
            "filename": about.filename,
            "bytes": about.bytes,
            "sha256": about.sha256,
        });
        self.files.push(about);
        Ok(told)
    }
}

/// Where the bytes of a file come from.
enum Pieces<'a> {
    /// A part of a form.
    Form(&'a mut Multipart),
    /// The whole body.
    Raw { api: &'a Arc<Api>, body: Body, begun: tokio::time::Instant, arrived: usize },
}

impl Pieces<'_> {
    async fn next(&mut self) -> Result<Option<axum::body::Bytes>, ApiError> {
        match self {
            Self::Form(form) => form.piece().await,
            Self::Raw { api, body, begun, arrived } => {
                let piece = next_piece(body, *begun + patience(api, *arrived)).await?;
                *arrived += piece.as_ref().map_or(0, axum::body::Bytes::len);
                Ok(piece)
            }
        }
    }
}

/// What a body says it is, without parameters, in lower case.
fn sort_of(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
