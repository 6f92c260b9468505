use raincheck_core::JobId;

/// How many digits a job's id has.
const DIGITS: usize = 32;

/// The 32 hexadecimal digits of a job's id, which every dialect's own ids are made from.
pub(crate) fn hex(job: JobId) -> String {
    job.to_string().split_off("job_".len())
}

/// The same as UUID text.
pub(crate) fn uuid(job: JobId) -> String {
    let mut text = hex(job);
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

/// The job that an id of a dialect names: the prefix, and 32 digits or a UUID. Text that cannot be one names no job.
pub(crate) fn job_of(prefix: &str, text: &str) -> Option<JobId> {
    let digits: String = text.strip_prefix(prefix)?.chars().filter(|letter| *letter != '-').collect();
    if digits.len() != DIGITS || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    format!("job_{digits}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_back_to_their_job() {
        let job: JobId = "job_019c5a3e0f4b7c3a9d2b1f6a0e8c7d11".parse().unwrap();
        assert_eq!(uuid(job), "019c5a3e-0f4b-7c3a-9d2b-1f6a0e8c7d11");
        assert_eq!(job_of("", &uuid(job)), Some(job));
        assert_eq!(job_of("msg_", &format!("msg_{}", hex(job))), Some(job));
        for text in ["", "msg_", "resp_019c5a3e0f4b7c3a9d2b1f6a0e8c7d11", "msg_019C5A3E0F4B7C3A9D2B1F6A0E8C7D11"] {
            assert_eq!(job_of("msg_", text), None, "{text}");
        }
    }
}
