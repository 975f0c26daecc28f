//! How Markdown is written as HTML and as plain text.

use std::fmt::Write as _;

use pulldown_cmark::{HeadingLevel, LinkType, Tag, TagEnd};

/// How the parts of Markdown are written.
pub(super) trait Form {
    fn text(&self, text: &str) -> String;
    fn start(&self, tag: &Tag<'_>, lists: &mut Vec<Option<u64>>) -> String;
    fn end(&self, tag: &TagEnd, link: &str, lists: &[Option<u64>]) -> String;
    fn hard_break(&self) -> &'static str;
    fn rule(&self) -> &'static str;
}

/// For mail programs, which are old browsers: styles on the elements, as in the templates that ship.
pub(super) struct Html;

impl Form for Html {
    fn text(&self, text: &str) -> String {
        escaped(text)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "of what else there is only the text is written")]
    fn start(&self, tag: &Tag<'_>, lists: &mut Vec<Option<u64>>) -> String {
        match tag {
            Tag::Paragraph => "<p style=\"margin: 0 0 16px;\">".to_owned(),
            Tag::Heading { level, .. } => {
                let size = if *level <= HeadingLevel::H2 { 20 } else { 17 };
                format!("<h2 class=\"ink\" style=\"margin: 24px 0 8px; font-size: {size}px; line-height: 28px; font-weight: 600; color: #22252a;\">")
            }
            Tag::BlockQuote(_) => "<blockquote class=\"soft rule\" style=\"margin: 0 0 16px; padding: 0 0 0 16px; border-left: 3px solid #e5e1d8; color: #5d6169;\">".to_owned(),
            Tag::List(first) => {
                lists.push(*first);
                let name = if first.is_some() { "ol" } else { "ul" };
                format!("<{name} style=\"margin: 0 0 16px; padding: 0 0 0 24px;\">\n")
            }
            Tag::Item => "<li style=\"margin: 0 0 6px;\">".to_owned(),
            Tag::Emphasis => "<em>".to_owned(),
            Tag::Strong => "<strong>".to_owned(),
            Tag::Link { link_type: LinkType::Email, dest_url, .. } => {
                format!("<a href=\"mailto:{}\">", escaped(dest_url))
            }
            Tag::Link { dest_url, .. } => format!("<a href=\"{}\">", escaped(dest_url)),
            Tag::CodeBlock(_) => "<p style=\"margin: 0 0 16px; white-space: pre-wrap;\">".to_owned(),
            _ => String::new(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "of what else there is only the text is written")]
    fn end(&self, tag: &TagEnd, _link: &str, _lists: &[Option<u64>]) -> String {
        match tag {
            TagEnd::Paragraph | TagEnd::CodeBlock => "</p>\n",
            TagEnd::Heading(_) => "</h2>\n",
            TagEnd::BlockQuote(_) => "</blockquote>\n",
            TagEnd::List(true) => "</ol>\n",
            TagEnd::List(false) => "</ul>\n",
            TagEnd::Item => "</li>\n",
            TagEnd::Emphasis => "</em>",
            TagEnd::Strong => "</strong>",
            TagEnd::Link => "</a>",
            _ => "",
        }
        .to_owned()
    }

    fn hard_break(&self) -> &'static str {
        "<br>\n"
    }

    fn rule(&self) -> &'static str {
        "<hr class=\"rule\" style=\"margin: 24px 0; border: 0; border-top: 1px solid #e5e1d8;\">\n"
    }
}

pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// For those who read plain text: the same words, links with their address behind them.
pub(super) struct Plain;

impl Form for Plain {
    fn text(&self, text: &str) -> String {
        text.to_owned()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "of what else there is only the text is written")]
    fn start(&self, tag: &Tag<'_>, lists: &mut Vec<Option<u64>>) -> String {
        match tag {
            Tag::List(first) => {
                lists.push(*first);
                String::new()
            }
            Tag::Item => {
                let indent = "  ".repeat(lists.len().saturating_sub(1));
                let mut mark = format!("{indent}- ");
                if let Some(Some(number)) = lists.last_mut() {
                    mark.clear();
                    // Writing to a text does not fail.
                    let _ = write!(mark, "{indent}{number}. ");
                    *number = number.saturating_add(1);
                }
                mark
            }
            Tag::BlockQuote(_) => "> ".to_owned(),
            _ => String::new(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "of what else there is only the text is written")]
    fn end(&self, tag: &TagEnd, link: &str, lists: &[Option<u64>]) -> String {
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock => "\n\n".to_owned(),
            TagEnd::Item => "\n".to_owned(),
            TagEnd::List(_) if lists.is_empty() => "\n".to_owned(),
            TagEnd::Link if !link.is_empty() => format!(" ({})", link.trim_start_matches("mailto:")),
            _ => String::new(),
        }
    }

    fn hard_break(&self) -> &'static str {
        "\n"
    }

    fn rule(&self) -> &'static str {
        "---\n\n"
    }
}
