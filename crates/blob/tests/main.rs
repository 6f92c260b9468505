//! What a store of blobs must do, held against the directory and against a bucket of a real S3 service.

mod conformance;
mod in_bucket;
mod s3;
mod support;
