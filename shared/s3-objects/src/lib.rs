#![doc = include_str!("../README.md")]

mod objects;
mod presigned;
mod upload;

pub use objects::{ListedObject, ObjectsError, S3Objects};
pub use upload::{LARGEST_UPLOAD, Sha256Sum, StoredObject};
