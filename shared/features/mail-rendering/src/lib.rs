#![doc = include_str!("../README.md")]

pub mod check;
mod customer_name;
mod date_format;
mod displayed;
mod mail;
mod money_format;
mod own_files;
pub mod preview;
mod wording;

pub use mail::{Download, MailContext, Occasion, RenderError, RenderedMail, render};
pub use own_files::{OwnFiles, text_of};
pub use wording::{BrokenTemplate, Part, Unusable, Wording, Wordings, is_built_in};
