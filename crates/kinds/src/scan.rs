use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use raincheck_audio::{Control, Export, Exports, Options, PathRefusal, ScanError, Summary, Tier, resolve, scan};
use raincheck_core::{JobId, Json, Problem, ProblemType, Progress};
use raincheck_engine::{About, BlockingContext, BlockingHandler, Failure};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::{JobFiles, input};

/// When a scan first looks again whether another scan of the same directory has ended; each time so much later.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// It looks again after this at the latest.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(30);

/// `audio.scan`: what is in a directory of audio files, and what is wrong with them.
#[derive(Clone, Debug)]
pub struct AudioScan {
    /// Only directories under these may be scanned.
    roots: Vec<PathBuf>,
    history: History,
    /// Where results that are too large for a job are put.
    files: JobFiles,
    threads: NonZeroUsize,
}

/// What `audio.scan` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The directory, an absolute path under one of the server's `audio.roots`.
    path: String,
    /// `quick` (headers), `standard` (also hashes and transcripts) or `full` (also loudness, noise, silence, clipping).
    #[serde(default)]
    #[schemars(schema_with = "tier_schema")]
    tier: Tier,
    /// Formats of other tools to write as well.
    #[serde(default)]
    #[schemars(schema_with = "exports_schema")]
    exports: Vec<Export>,
    /// Read every file again, whether or not it changed since the last scan.
    #[serde(default)]
    fresh: bool,
}

fn tier_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    json_schema!({ "enum": ["quick", "standard", "full"], "default": "standard" })
}

fn exports_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let formats = ["nemo", "lhotse", "hf_audiofolder", "lj_speech"];
    json_schema!({ "type": "array", "items": { "enum": formats }, "uniqueItems": true })
}

/// What `audio.scan` gives.
#[derive(Serialize)]
struct Output<'a> {
    /// The directory that was scanned, after links were followed.
    path: &'a Path,
    #[serde(flatten)]
    summary: &'a Summary,
    /// What can be fetched at `/v1/jobs/{id}/files/{name}`: every file's facts as JSON Lines, and the exports.
    downloads: Vec<String>,
}

impl AudioScan {
    /// A handler that scans directories under `roots`, and keeps what it needs in `data_dir`.
    ///
    /// # Errors
    /// If its directory there cannot be made.
    pub fn new(roots: Vec<PathBuf>, data_dir: &Path, files: JobFiles) -> std::io::Result<Self> {
        let history = History::open(data_dir)?;
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self { roots, history, files, threads })
    }

    fn read(&self, input: &Json) -> Result<(Input, PathBuf), Problem> {
        let input: Input = input::read(input)?;
        let path = resolve(&self.roots, &input.path).map_err(|refusal| self.problem(&refusal, &input.path))?;
        Ok((input, path))
    }

    fn problem(&self, refusal: &PathRefusal, path: &str) -> Problem {
        let (problem_type, mend) = match refusal {
            PathRefusal::NotFound => (ProblemType::PATH_NOT_FOUND, "there is no such directory on the server"),
            PathRefusal::NotADirectory => (ProblemType::PATH_UNUSABLE, "name the directory that the files are in"),
            PathRefusal::OutsideRoots if self.roots.is_empty() => (
                ProblemType::PATH_FORBIDDEN,
                "no directory may be scanned yet: set audio.roots in the server's configuration",
            ),
            PathRefusal::OutsideRoots => {
                (ProblemType::PATH_FORBIDDEN, "the server's audio.roots say which may be scanned")
            }
            PathRefusal::Unreadable => (ProblemType::PATH_FORBIDDEN, "let the server's user read it"),
            _ => (ProblemType::INVALID_INPUT, "give an absolute path"),
        };
        let shown: String = path.chars().take(200).collect();
        Problem::new(problem_type, format!("{refusal}: {shown:?}; {mend}")).at("/input/path")
    }

    /// The scan's options. The history of a directory is shared by all jobs that scan it; each job gets its own name for
    /// the manifest that it made.
    fn options(&self, input: &Input, path: &Path, job: JobId) -> std::io::Result<Options> {
        let manifest = self.history.manifest(path);
        let exports = if input.exports.is_empty() {
            None
        } else {
            Some(Exports { formats: input.exports.clone(), directory: self.files.directory(job)? })
        };
        let previous = (!input.fresh).then(|| manifest.clone());
        let tables_below =
            self.roots.iter().filter_map(|root| root.canonicalize().ok()).find(|root| path.starts_with(root));
        Ok(Options { tier: input.tier, threads: self.threads, manifest, previous, tables_below, exports })
    }

    fn output(&self, job: JobId, path: &Path, options: &Options, summary: &Summary) -> Result<Json, Failure> {
        if !summary.is_partial {
            let kept = self.files.keep(job, "manifest.jsonl", &options.manifest);
            kept.map_err(|error| Failure::transient(format!("failed to keep the manifest: {error}")))?;
        }
        let output = Output { path, summary, downloads: self.files.names(job) };
        Json::from_value(&output).map_err(|error| Failure::transient(error.to_string()))
    }
}

/// Shows a scan's progress on its job, and ends it when the job is to stop.
struct Watch<'a>(&'a BlockingContext);

impl Control for Watch<'_> {
    fn progress(&self, current: u64, total: u64) {
        self.0.progress(Progress::counted(current, total, format!("Processing file {current}/{total}")));
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

impl AudioScan {
    pub(crate) fn described() -> About {
        let kind = "audio.scan".parse().expect("a constant name");
        let schema = Json::from_value(&schemars::schema_for!(Input)).unwrap_or_default();
        let summary = "Scans a directory of audio files: facts, faults, speakers, transcripts, duplicates.";
        // A scan takes all cores; two at once share them, so that a short one need not wait for a long one.
        About { concurrency: 2, timeout: Duration::from_secs(86_400), ..About::new(kind, summary, schema) }
    }
}

impl BlockingHandler for AudioScan {
    fn about(&self) -> About {
        Self::described()
    }

    fn check(&self, input: &Json) -> Result<(), Problem> {
        self.read(input).map(drop)
    }

    fn run(&self, context: &BlockingContext, input: Json) -> Result<Json, Failure> {
        let (input, path) = self.read(&input)?;
        let job = context.job().id;
        let options = self.options(&input, &path, job).map_err(|error| Failure::transient(error.to_string()))?;
        // Old manifests that cannot be removed are no reason not to scan; the next scan tries again.
        let _ = self.history.make_room(&path);
        match scan(&path, &options, &Watch(context)) {
            Ok(summary) => self.output(job, &path, &options, &summary),
            Err(ScanError::Cancelled { partial }) => {
                context.emit(self.output(job, &path, &options, &partial)?)?;
                Err(Failure::cancelled())
            }
            Err(ScanError::RootVanished { partial }) => {
                context.emit(self.output(job, &path, &options, &partial)?)?;
                let detail =
                    format!("{path:?} disappeared during the scan; what was found until then is in the job's log");
                Err(Failure::fatal(Problem::new(ProblemType::PATH_NOT_FOUND, detail)))
            }
            Err(ScanError::Busy(_)) => Err(busy(context.job().life.attempt)),
            Err(error) => Err(Failure::transient(error.to_string())),
        }
    }
}

/// Another job scans the directory. This one gives its place back, and looks again the later the more often it has looked.
fn busy(attempt: u32) -> Failure {
    let detail = "another job is scanning the same directory; this one goes on when that has ended";
    let wait = (LOOK_AGAIN * attempt).min(LOOK_AGAIN_MAX);
    Failure::postponed(Problem::new(ProblemType::RESOURCE_BUSY, detail), wait)
}
