use raincheck_core::{Tenant, Time};
use raincheck_store::WebhookSecrets;
use rusqlite::{Connection, Row, params};

use crate::fault::Fault;
use crate::table::column;

/// The secrets of a tenant's webhooks, if it has any.
pub(crate) fn get(connection: &Connection, tenant: &Tenant) -> Result<Option<WebhookSecrets>, Fault> {
    let sql = "SELECT current, previous, previous_until FROM webhook_secret WHERE tenant = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([tenant.as_str()])?;
    rows.next()?.map(read).transpose()
}

fn read(row: &Row<'_>) -> Result<WebhookSecrets, Fault> {
    let previous: Option<[u8; 32]> = row.get(1)?;
    Ok(WebhookSecrets { current: row.get(0)?, previous: previous.zip(column::time_if_any(row, 2)?) })
}

/// Gives a tenant's webhooks these secrets.
pub(crate) fn set(connection: &Connection, tenant: &Tenant, secrets: &WebhookSecrets) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO webhook_secret VALUES (?1, ?2, ?3, ?4)";
    let (previous, until) = secrets.previous.unzip();
    let row = params![tenant.as_str(), secrets.current, previous, until.map(Time::as_millis)];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}
