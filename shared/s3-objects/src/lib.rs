#![doc = include_str!("../README.md")]

mod objects;
mod presigned;

pub use objects::{ListedObject, ObjectsError, S3Objects};
