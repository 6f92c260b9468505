use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use raincheck_blob::FileId;
use raincheck_core::{ConversationId, Tenant};
use raincheck_recipes::{PageKind, Recipe, Scope, Template};
use raincheck_store::{MessagesRead, Order};
use serde_json::{Value, json};

use super::talk::{named, shown, unknown};
use super::{Guest, answer};
use crate::api::Api;
use crate::problem::ApiError;

/// Messages that are looked through at once.
const MESSAGES_MAX: usize = 500;

/// Deletes a conversation, cancels what was to answer in it, and removes the files of its messages that the recipe names.
pub(super) async fn delete(
    api: &Arc<Api>,
    recipe: &Recipe,
    path: BTreeMap<String, String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let guest = Guest::to_submit(api, recipe, &mut parts).await?;
    let conversation = named(api, &guest, &parts, path).await?;
    let (id, store) = (conversation.id, api.engine.store());
    let Some(page) = recipe.pages.get(&PageKind::Delete) else { return Err(unknown().into()) };
    let files = match &page.files {
        Some(template) => files(api, recipe, template, id).await?,
        None => BTreeSet::new(),
    };
    if !store.delete_conversation(id, guest.sees.as_ref(), api.engine.clock().now()).await? {
        return Err(unknown().into());
    }
    remove(api, &conversation.tenant, files).await;
    let usual = (StatusCode::NO_CONTENT, || StatusCode::NO_CONTENT.into_response());
    answer::told(recipe, &page.answer, &Scope::default().with_conversation(&json!({ "id": id })), usual)
}

/// The files that the messages of a conversation have.
async fn files(
    api: &Api,
    recipe: &Recipe,
    template: &Template,
    id: ConversationId,
) -> Result<BTreeSet<FileId>, ApiError> {
    let (mut files, mut cursor) = (BTreeSet::new(), None);
    loop {
        let read =
            MessagesRead { conversation: id, tenant: None, order: Order::NewestFirst, cursor, max: MESSAGES_MAX };
        let found = api.engine.store().messages(read).await?.ok_or_else(unknown)?;
        for message in &found.messages {
            let told = template.render(&Scope::default().with_message(&shown(message)));
            let told = told.map_err(|error| answer::broken(recipe, &error))?;
            let ids = told.as_array().map_or(std::slice::from_ref(&told), Vec::as_slice);
            files.extend(ids.iter().filter_map(Value::as_str).filter_map(|id| id.parse::<FileId>().ok()));
        }
        cursor = found.next;
        if cursor.is_none() {
            return Ok(files);
        }
    }
}

/// What cannot be removed now is left, and whoever runs the server is told.
async fn remove(api: &Api, tenant: &Tenant, files: BTreeSet<FileId>) {
    let Some(blobs) = &api.settings.doors.files else { return };
    for file in files {
        if let Err(error) = blobs.remove(tenant, &file).await {
            tracing::warn!(%error, %file, "a file of a deleted conversation could not be removed");
        }
    }
}
