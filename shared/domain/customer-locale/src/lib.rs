#![doc = include_str!("../README.md")]

mod language;
mod locale;

pub use language::{BuiltInLanguage, LANGUAGES};
pub use locale::LocaleRequest;
