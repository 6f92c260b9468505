use std::io;
use std::path::{Path, PathBuf};

use raincheck_core::JobId;

/// Files that jobs leave: results too large to be kept with the job. One directory per job, which goes when the job is
/// forgotten.
#[derive(Clone, Debug)]
pub struct JobFiles {
    directory: PathBuf,
}

impl JobFiles {
    /// The files of all jobs of a server, in `data_dir`.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let directory = data_dir.join("files");
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Where files of all jobs are: `<job>/<name>`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.directory
    }

    /// A job's directory, made if need be.
    pub(crate) fn directory(&self, job: JobId) -> io::Result<PathBuf> {
        let directory = self.directory.join(job.to_string());
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// Gives a job its own name for a file: a second link to it, so that nothing is copied, and the job keeps it when the
    /// original is replaced.
    pub(crate) fn keep(&self, job: JobId, name: &str, file: &Path) -> io::Result<()> {
        let link = self.directory(job)?.join(name);
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::hard_link(file, link)
    }

    /// The names of a job's files.
    pub(crate) fn names(&self, job: JobId) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.join(job.to_string())).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The jobs that have files.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn jobs(&self) -> io::Result<Vec<JobId>> {
        let entries = std::fs::read_dir(&self.directory)?.flatten();
        Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    /// Removes a job's files.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub fn remove(&self, job: JobId) -> io::Result<()> {
        match std::fs::remove_dir_all(self.directory.join(job.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use raincheck_core::{Minter, Time};

    use super::*;

    #[test]
    fn a_job_keeps_its_file_when_the_original_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let files = JobFiles::open(directory.path()).unwrap();
        let job = Minter::after(None).mint(Time::EPOCH, 0);
        let original = directory.path().join("manifest");
        std::fs::write(&original, "first").unwrap();
        files.keep(job, "manifest.jsonl", &original).unwrap();
        files.keep(job, "manifest.jsonl", &original).unwrap();
        std::fs::write(directory.path().join("new"), "second").unwrap();
        std::fs::rename(directory.path().join("new"), &original).unwrap();
        assert_eq!(
            std::fs::read_to_string(files.root().join(job.to_string()).join("manifest.jsonl")).unwrap(),
            "first"
        );
        assert_eq!((files.names(job), files.jobs().unwrap()), (vec!["manifest.jsonl".to_owned()], vec![job]));
        files.remove(job).unwrap();
        files.remove(job).unwrap();
        assert_eq!(files.jobs().unwrap(), []);
    }
}
