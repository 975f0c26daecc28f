#![doc = include_str!("../README.md")]

pub mod check;
mod customer_name;
mod date_format;
mod displayed;
mod invented;
mod mail;
mod markdown;
mod money_format;
mod own_files;
mod part;
pub mod preview;
mod tags;
mod wording;

pub use displayed::displayed;
pub use mail::{Download, MailContext, Occasion, RenderError, RenderedMail, Sale, render};
pub use money_format::money_text;
pub use own_files::{LARGEST_FILE, OwnFiles, is_template_file, text_of};
pub use part::Part;
pub use wording::{BrokenTemplate, Unusable, Wording, Wordings, is_built_in};
