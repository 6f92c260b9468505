use std::io;
use std::time::Duration;

use raincheck_blob::{Blobs, FileId, UploadError, Wanted};
use raincheck_core::Job;

use super::journal::Journal;
use super::{Counts, Outcome};

/// What the files that a batch leaves are for.
const PURPOSE: &str = "batch_output";

/// Writes what became of the lines, in their order: the good ones to one file and the others to another. Done twice, it leaves
/// the same files. They stay until they are deleted, or for as long as they are to be `kept`.
pub(super) async fn write(
    blobs: &Blobs,
    job: &Job,
    journal: &mut Journal,
    counts: &Counts,
    kept: Option<Duration>,
) -> io::Result<Outcome> {
    Ok(Outcome {
        output_file_id: file(blobs, job, journal, "output", kept).await?,
        error_file_id: file(blobs, job, journal, "error", kept).await?,
        request_counts: *counts,
    })
}

async fn file(
    blobs: &Blobs,
    job: &Job,
    journal: &mut Journal,
    role: &str,
    kept: Option<Duration>,
) -> io::Result<Option<FileId>> {
    let lines = journal.lines(role == "output");
    if lines.is_empty() {
        return Ok(None);
    }
    let name = job.id.to_string().replace("job_", "batch_");
    let wanted = Wanted {
        id: FileId::of_job(job.id, role),
        tenant: job.spec.tenant.clone(),
        filename: format!("{name}_{role}.jsonl"),
        purpose: PURPOSE.to_owned(),
        created_at: job.spec.created_at,
    };
    let mut upload = blobs.begin(wanted, u64::MAX).await.map_err(of_upload)?;
    for line in lines {
        upload.write(&journal.read(line).await?).await.map_err(of_upload)?;
    }
    if let Some(kept) = kept {
        let written_at = upload.written_at().await?;
        upload.expire_at(written_at.after(kept));
    }
    Ok(Some(upload.finish().await.map_err(of_upload)?.id.clone()))
}

fn of_upload(error: UploadError) -> io::Error {
    match error {
        UploadError::Io(error) | UploadError::Source(error) => error,
        UploadError::NoRoom(max) => {
            let detail = format!("{max} bytes wait for the bucket of the files already, and it takes none");
            io::Error::new(io::ErrorKind::StorageFull, detail)
        }
        UploadError::TooMany(max) => io::Error::other(format!("the tenant has {max} files already; delete some")),
        UploadError::TooLarge(max) => io::Error::other(format!("a file may have {max} bytes")),
    }
}
