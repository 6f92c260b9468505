//! `raincheck key`: API keys, in the data directory itself, whether or not a server runs on it.

use std::path::PathBuf;

use clap::Subcommand;
use raincheck_api::keys;
use raincheck_core::{Tenant, Time};
use raincheck_engine::{Clock, SystemClock};
use raincheck_store::{ApiKey, Scope, StoreError};
use raincheck_store_sqlite::Keys;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::config::{Config, Layers, StoreKind};
use crate::console::{Console, Paint};
use crate::exit::{Exit, Failure};
use crate::serve::store::not_opened;
use crate::show::table::{self, Cell};
use crate::show::{moment, relative, short};
use crate::submit::deadline;

/// Makes, lists and revokes API keys, on the machine of the server and whether or not it runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The data directory of the server [default: as `raincheck serve` would take it]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The configuration file [default: raincheck.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "RAINCHECK_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a key, and shows it once
    Create {
        /// What it allows: submit, read, worker, admin
        #[arg(long, value_name = "SCOPES", value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// Whose jobs it gives access to
        #[arg(long, default_value = "default")]
        tenant: Tenant,
        /// Until when it is good: a time (RFC 3339), or how long from now such as 90d [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = deadline)]
        expires: Option<Time>,
    },
    /// Lists keys, without their secrets
    List,
    /// Makes a key worthless from now on
    Revoke {
        /// The key's id: what stands between `rc_` and the next `_`
        id: String,
    },
}

/// Makes, lists or revokes.
///
/// # Errors
/// If the data directory cannot be used.
pub(crate) fn run(args: Args, console: Console) -> Result<Exit, Failure> {
    let mut keys = open(&args)?;
    let now = SystemClock.now();
    match args.command {
        Command::Create { scope, tenant, expires } => create(&mut keys, scope, tenant, expires, now, console),
        Command::List => list(&keys.list().map_err(failed)?, now, console),
        Command::Revoke { id } => revoke(&mut keys, &id, now, console),
    }
}

fn open(args: &Args) -> Result<Keys, Failure> {
    let mut layers = Layers::here(args.config.as_deref())?;
    let directory = args.data_dir.iter().map(|path| ("--data-dir", "server.data_dir", vec![path.into()]));
    layers.flags.extend(directory);
    let config = Config::load(&layers)?.config;
    if config.store.kind == StoreKind::Memory {
        return Err(Failure::new(Exit::Usage, "the memory store has no keys").hint("set store.kind to \"sqlite\""));
    }
    let directory = &config.server.data_dir;
    if !matches!(args.command, Command::Create { .. }) && !directory.is_dir() {
        let message = format!("there is no data directory {}, so there are no keys", directory.display());
        return Err(Failure::new(Exit::DataDirectory, message).hint("say where it is with --data-dir"));
    }
    Keys::open(directory).map_err(|error| not_opened(&error))
}

#[expect(clippy::needless_pass_by_value, reason = "taken by `map_err`")]
fn failed(error: StoreError) -> Failure {
    Failure::new(Exit::DataDirectory, format!("the keys cannot be used: {error}"))
}

fn create(
    keys: &mut Keys,
    mut scopes: Vec<Scope>,
    tenant: Tenant,
    expires_at: Option<Time>,
    now: Time,
    console: Console,
) -> Result<Exit, Failure> {
    scopes.sort_unstable();
    scopes.dedup();
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Failure::new(Exit::Usage, "the key would have expired already"));
    }
    let new = keys::generate(&random()?);
    let key = ApiKey { id: new.id, hash: new.hash, tenant, scopes, created_at: now, expires_at };
    keys.add(&key).map_err(failed)?;
    if console.json {
        let mut shown = as_json(&key, now);
        shown["key"] = new.text.into();
        console.print(&shown.to_string())?;
        return Ok(Exit::Success);
    }
    console.print(&new.text)?;
    let until = expires_at.map_or("until it is revoked".to_owned(), |at| format!("until {}", moment(at, now)));
    console.say(&format!(
        "\nKeep it well: this is the only time that it is shown.\nIt allows {} for the tenant {}, {until}.\n{}",
        scopes_of(&key),
        key.tenant,
        console
            .err
            .dim("As soon as there is a key, the server asks every client for one: export RAINCHECK_API_KEY=rc_…")
    ));
    Ok(Exit::Success)
}

/// Bytes that nobody can foresee, from the operating system itself.
fn random() -> Result<[u8; keys::RANDOM_BYTES], Failure> {
    let mut bytes = [0; keys::RANDOM_BYTES];
    let failed = |error| Failure::new(Exit::Failed, format!("the operating system gives no random numbers: {error}"));
    SysRng.try_fill_bytes(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn list(keys: &[ApiKey], now: Time, console: Console) -> Result<Exit, Failure> {
    if console.json {
        let all: Vec<serde_json::Value> = keys.iter().map(|key| as_json(key, now)).collect();
        console.print(&serde_json::json!({ "keys": all }).to_string())?;
    } else if keys.is_empty() {
        console.say("no keys: the server is open to this machine, and to this machine only");
    } else {
        let mut rows: Vec<Vec<Cell>> = keys.iter().map(|key| row(key, now)).collect();
        let mut names = vec!["ID", "TENANT", "SCOPES", "CREATED", "GOOD UNTIL"];
        if let Some(width) = console.width() {
            table::fit(&mut names, &mut rows, width, &["CREATED"]);
        }
        console.print(&table::columns(&names, rows, console.out))?;
    }
    Ok(Exit::Success)
}

fn revoke(keys: &mut Keys, id: &str, now: Time, console: Console) -> Result<Exit, Failure> {
    // A whole key may be given as well: the id is its middle.
    let id = id.strip_prefix("rc_").and_then(|rest| rest.split('_').next()).unwrap_or(id);
    if !keys.revoke(id, now).map_err(failed)? {
        return Err(
            Failure::new(Exit::Failed, format!("there is no key {id:?}")).hint("`raincheck key list` lists them")
        );
    }
    if console.json {
        console.print(&serde_json::json!({ "id": id, "revoked": true }).to_string())?;
    } else {
        console.print(&format!("{id}  {}", console.out.yellow("revoked")))?;
    }
    Ok(Exit::Success)
}

fn row(key: &ApiKey, now: Time) -> Vec<Cell> {
    let until = match key.expires_at {
        None => Cell::painted("it is revoked", Paint::dim),
        Some(at) => format!("{}  ({})", short(at), relative(at, now)).into(),
    };
    let gone = key.expires_at.is_some_and(|at| at <= now);
    let id = Cell::painted(key.id.clone(), if gone { Paint::dim } else { Paint::bold });
    let created = relative(key.created_at, now);
    vec![id, key.tenant.as_str().into(), scopes_of(key).into(), created.into(), until]
}

fn scopes_of(key: &ApiKey) -> String {
    key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
}

fn as_json(key: &ApiKey, now: Time) -> serde_json::Value {
    serde_json::json!({
        "id": key.id,
        "tenant": key.tenant,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "valid": key.expires_at.is_none_or(|at| at > now),
    })
}
