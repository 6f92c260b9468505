/// Which upstreams the doors that speak other APIs' dialects lead to. What is left out is chosen by the kind of job.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    /// The upstream for jobs from the FAL-compatible door.
    pub fal: Option<String>,
    /// The upstream for jobs from the Replicate-compatible door.
    pub replicate: Option<String>,
}
