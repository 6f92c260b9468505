//! A program with slow work of its own: reports, which take a second for each chapter. Its route `POST /reports` answers at
//! once, the report is written behind it, and `/jobs` has everything that can be asked of jobs. docs/embedding.md walks
//! through it.
//!
//!     cargo run -p raincheck --example embedded -- [ADDR:PORT [DATA_DIR]]

use std::error::Error;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use raincheck::{ApiError, Context, Failure, Identity, Progress, Raincheck, Tenant, handler};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What a report is to be.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WriteReport {
    /// What it is about.
    title: String,
    /// How many chapters it has.
    chapters: u8,
}

/// A report.
#[derive(Debug, Deserialize, Serialize)]
struct Report {
    title: String,
    chapters: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:4444".into());
    let data_dir = arguments.next().unwrap_or("report-data".into());

    let write = handler("report.write", write).summary("Writes a report.").timeout(Duration::from_secs(600));
    let raincheck = Raincheck::builder().data_dir(data_dir).path("/jobs").register(write).start().await?;

    // Who may do what is the program's to know. This one takes everybody who reaches it for the same tenant.
    let jobs = raincheck.router().layer(Extension(Identity::of(Tenant::default())));
    let app = Router::new()
        .route("/health", get(|| async { "fine" }))
        .route("/reports", post(create))
        .with_state(raincheck.clone())
        .merge(jobs);

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    Ok(raincheck.serve(listener, app, ctrl_c).await?)
}

/// A slow request gets its job, and no input that cannot be written about gets one.
async fn create(
    State(raincheck): State<Raincheck>,
    Json(input): Json<Value>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let job = raincheck.submit("report.write", &input).send().await?;
    let id = job.id().to_string();
    Ok((StatusCode::ACCEPTED, Json(json!({ "report": id, "watch": format!("/jobs/v1/jobs/{id}") }))))
}

async fn write(context: Context, input: WriteReport) -> Result<Report, Failure> {
    let mut chapters = Vec::new();
    for number in 1..=input.chapters {
        // Recorded as soon as it is written: whatever happens to the process, it is not written again.
        let chapter = context.step(&format!("chapter {number}"), write_chapter(&context, &input.title, number)).await?;
        let message = format!("Chapter {number} of {}", input.chapters);
        context.progress(Progress::counted(number.into(), input.chapters.into(), message));
        chapters.push(chapter);
    }
    Ok(Report { title: input.title, chapters })
}

/// Stands for what takes long and should not be paid for twice.
async fn write_chapter(context: &Context, title: &str, number: u8) -> Result<String, Failure> {
    eprintln!("writing chapter {number} of {title:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let text = format!("What chapter {number} has to say about {title}.");
    // Whoever follows the job sees it at once.
    context.emit(json!({ "text": text }).into()).await?;
    Ok(text)
}
