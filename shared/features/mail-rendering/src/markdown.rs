//! A mail that is written as one file in Markdown.
//!
//! ```text
//! Subject: Your {{ amount }} for the autumn appeal
//! Preview: Forty trees are on their way.
//!
//! # Forty new trees, thanks to you
//!
//! Your gift of **{{ amount }}** has arrived.
//! ```
//!
//! It is made into the three files of a template: subject, HTML and plain text over the frame of its language. What is
//! converted is the template, before any value is filled in: a tag stands through the conversion as one character, and
//! is put back afterwards. So a value is never read as Markdown, and is escaped like any other.

mod forms;

use pulldown_cmark::{Event, LinkType, Parser, Tag, TagEnd};

use self::forms::{Form, Html, Plain, escaped};
use crate::part::Part;
use crate::tags::{Segment, SegmentKind, segments};

/// A file that cannot be made into a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotAMail {
    /// From 1.
    pub(crate) line: usize,
    /// In a few words; quotes the template and no value.
    pub(crate) problem: String,
}

impl NotAMail {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }
}

/// What such a file says.
#[derive(Debug, PartialEq, Eq)]
struct Source<'a> {
    subject: &'a str,
    preview: Option<&'a str>,
    heading: &'a str,
    /// Everything after the heading.
    message: &'a str,
    /// The line on which that begins, from 1.
    line: usize,
}

/// The statements there can be: a frame comes by itself.
const STATEMENTS: [&str; 9] = ["if", "elif", "else", "endif", "for", "endfor", "set", "include", "raw"];

fn parse(text: &str) -> Result<Source<'_>, NotAMail> {
    let mut source = Source { subject: "", preview: None, heading: "", message: "", line: 0 };
    let mut at = 0;
    for (index, whole) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let line = whole.trim();
        at += whole.len();
        if number == 1 {
            let no_subject = || NotAMail::new(1, "the first line is not `Subject: …`");
            source.subject = line
                .strip_prefix("Subject:")
                .map(str::trim)
                .filter(|subject| !subject.is_empty())
                .ok_or_else(no_subject)?;
        } else if let Some(preview) = line.strip_prefix("Preview:").filter(|_| source.preview.is_none()) {
            source.preview = Some(preview.trim());
        } else if let Some(heading) = line.strip_prefix("# ") {
            source.heading = heading.trim();
            source.message = &text[at..];
            source.line = number + 1;
            return Ok(source);
        } else if !line.is_empty() {
            return Err(NotAMail::new(number, "the headline is missing: a line that begins with `# `"));
        }
    }
    Err(NotAMail::new(1, "the headline is missing: a line that begins with `# `"))
}

/// What is wrong with such a file, apart from its values.
pub(crate) fn problem_of(text: &str) -> Option<NotAMail> {
    let source = match parse(text) {
        Ok(source) => source,
        Err(problem) => return Some(problem),
    };
    for segment in segments(text) {
        let word = segment.word();
        if segment.kind == SegmentKind::Statement && !STATEMENTS.contains(&word) {
            return Some(NotAMail::new(segment.line, format!("`{word}` is not available in this form")));
        }
    }
    converted(&source, &Html).and_then(|_| converted(&source, &Plain)).err()
}

/// One of the three files that such a file stands for; `None` where it cannot be made into a mail.
pub(crate) fn derived(text: &str, language: &str, part: Part) -> Option<String> {
    let source = parse(text).ok()?;
    Some(match part {
        Part::Subject => format!("{}\n", source.subject),
        Part::Html => {
            let message = converted(&source, &Html).ok()?;
            let heading = inline(source.heading, &Html)?;
            let preview =
                source.preview.and_then(|preview| inline(preview, &Plain)).map(|preview| escaped(&preview));
            let preview =
                preview.map(|preview| format!("{{% block preheader %}}{preview}{{% endblock %}}\n"));
            format!(
                "{{% extends \"layout/{language}.html\" %}}\n{{% block heading %}}{heading}{{% endblock %}}\n{}{{% block message %}}\n{message}{{% endblock %}}\n",
                preview.unwrap_or_default(),
            )
        }
        Part::Text => {
            let message = converted(&source, &Plain).ok()?;
            let heading = inline(source.heading, &Plain)?;
            // Above the greeting, as in the HTML: in some languages the message goes on where the greeting ends.
            format!(
                "{{% extends \"layout/{language}.txt\" %}}\n{{% block greeting %}}\n{heading}\n\n{{{{ super() }}}}{{% endblock %}}\n{{% block message %}}\n{message}{{% endblock %}}\n"
            )
        }
    })
}

/// A filled text part with one empty line between paragraphs: statements that stand alone leave more.
pub(crate) fn evenly_spaced(text: &str) -> String {
    let mut even = String::with_capacity(text.len());
    let mut after_empty = true;
    for line in text.split_inclusive('\n') {
        let is_empty = line.trim_end_matches(['\r', '\n']).is_empty();
        if !(is_empty && after_empty) {
            even.push_str(line);
        }
        after_empty = is_empty;
    }
    even
}

/// The first of the characters that stand for tags. Private use: <https://www.unicode.org/charts/PDF/UF0000.pdf>
const FIRST_TAG: u32 = 0xF_0000;

/// The most tags of one file, as many as there are such characters.
const MOST_TAGS: usize = 0xFFFD;

/// A text in which each tag is one character, and the tags.
struct Protected<'a> {
    text: String,
    tags: Vec<Segment<'a>>,
}

fn protected(text: &str) -> Protected<'_> {
    let mut protected = Protected { text: String::new(), tags: Vec::new() };
    for segment in segments(text) {
        match segment.kind {
            SegmentKind::Text => {
                protected.text.extend(segment.text.chars().filter(|c| !is_tag(*c)));
            }
            SegmentKind::Print | SegmentKind::Statement | SegmentKind::Comment | SegmentKind::Unclosed => {
                let index = u32::try_from(protected.tags.len()).ok();
                let stands_for = index.and_then(|index| char::from_u32(FIRST_TAG.checked_add(index)?));
                if let Some(c) = stands_for.filter(|_| protected.tags.len() < MOST_TAGS) {
                    protected.text.push(c);
                    protected.tags.push(segment);
                }
            }
        }
    }
    protected
}

fn is_tag(c: char) -> bool {
    (FIRST_TAG..=FIRST_TAG + 0xFFFD).contains(&u32::from(c))
}

impl Protected<'_> {
    /// The tag that a character stands for.
    fn tag(&self, c: char) -> Option<&Segment<'_>> {
        let index = u32::from(c).checked_sub(FIRST_TAG)?;
        self.tags.get(usize::try_from(index).ok()?)
    }

    /// Whether a line holds nothing but statements and notes: it stands between paragraphs, and makes none.
    fn is_statements(&self, line: &str) -> bool {
        let mut tags = line.chars().filter(|c| !c.is_whitespace()).peekable();
        tags.peek().is_some()
            && tags.all(|c| {
                let kind = self.tag(c).map(|tag| tag.kind);
                matches!(kind, Some(SegmentKind::Statement | SegmentKind::Comment))
            })
    }

    /// A converted text with its tags.
    ///
    /// The engine takes away the end of a line that a statement ends, which is right where the statement stands alone,
    /// and would join two paragraphs where words stand before it.
    fn restored(&self, converted: &str) -> String {
        let mut restored = String::with_capacity(converted.len());
        for line in converted.split_inclusive('\n') {
            let words = line.trim_end_matches('\n');
            let stands_alone = self.is_statements(words);
            for (at, c) in words.char_indices() {
                let ends_line = at + c.len_utf8() == words.len();
                match self.tag(c) {
                    Some(tag) if ends_line && !stands_alone => restored.push_str(&keeping_end_of_line(tag)),
                    Some(tag) => restored.push_str(&whole(tag)),
                    None => restored.push(c),
                }
            }
            restored.push_str(&line[words.len()..]);
        }
        restored
    }
}

/// A tag as it was written.
fn whole(tag: &Segment<'_>) -> String {
    match tag.kind {
        SegmentKind::Print => format!("{{{{{}}}}}", tag.text),
        SegmentKind::Statement => format!("{{%{}%}}", tag.text),
        SegmentKind::Comment => format!("{{#{}#}}", tag.text),
        SegmentKind::Text | SegmentKind::Unclosed => tag.text.to_owned(),
    }
}

/// A tag as it was written, of which the engine leaves the end of the line: `+%}` says so.
/// <https://docs.rs/minijinja/latest/minijinja/syntax/index.html#whitespace-control>
fn keeping_end_of_line(tag: &Segment<'_>) -> String {
    match tag.kind {
        SegmentKind::Statement if !tag.text.ends_with(['-', '+']) => format!("{{%{}+%}}", tag.text),
        SegmentKind::Comment => String::new(),
        SegmentKind::Statement | SegmentKind::Print | SegmentKind::Text | SegmentKind::Unclosed => whole(tag),
    }
}

/// The message in one form. Statements on lines of their own stand between what is converted.
fn converted(source: &Source<'_>, form: &impl Form) -> Result<String, NotAMail> {
    let protected = protected(source.message);
    let mut out = String::new();
    let mut chunk = String::new();
    for line in protected.text.split_inclusive('\n') {
        if protected.is_statements(line) {
            convert(&chunk, form, &mut out).map_err(|problem| locate(source, problem))?;
            chunk.clear();
            out.push_str(line.trim());
            out.push('\n');
        } else {
            chunk.push_str(line);
        }
    }
    convert(&chunk, form, &mut out).map_err(|problem| locate(source, problem))?;
    Ok(protected.restored(&out))
}

/// The line of an element that this form does not have.
fn locate(source: &Source<'_>, element: String) -> NotAMail {
    let before =
        source.message.find(element.trim()).map_or(0, |at| source.message[..at].matches('\n').count());
    NotAMail::new(
        source.line + before,
        format!("`{}` is HTML, which this form does not have", element.trim()),
    )
}

/// One line in one form: a headline.
fn inline(text: &str, form: &impl Form) -> Option<String> {
    let protected = protected(text);
    let mut out = String::new();
    for event in Parser::new(&protected.text) {
        if !matches!(event, Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph)) {
            write_event(event, form, &mut out, &mut Vec::new()).ok()?;
        }
    }
    Some(protected.restored(out.trim()))
}

/// # Errors
///
/// The first HTML element in it.
#[expect(clippy::wildcard_enum_match_arm, reason = "everything but a link is written as it comes")]
fn convert(markdown: &str, form: &impl Form, out: &mut String) -> Result<(), String> {
    let mut lists = Vec::new();
    let mut links: Vec<String> = Vec::new();
    for event in Parser::new(markdown) {
        match &event {
            // The words of such a link are its address.
            Event::Start(Tag::Link { link_type: LinkType::Autolink | LinkType::Email, .. }) => {
                links.push(String::new());
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.to_string());
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                let link = links.pop().unwrap_or_default();
                if let Event::End(end) = &event {
                    out.push_str(&form.end(end, &link, &lists));
                }
                continue;
            }
            _ => {}
        }
        write_event(event, form, out, &mut lists)?;
    }
    Ok(())
}

fn write_event(
    event: Event<'_>,
    form: &impl Form,
    out: &mut String,
    lists: &mut Vec<Option<u64>>,
) -> Result<(), String> {
    match event {
        Event::Start(tag) => {
            let start = form.start(&tag, lists);
            out.push_str(&start);
        }
        Event::End(end) => {
            if matches!(end, TagEnd::List(_)) {
                lists.pop();
            }
            let end = form.end(&end, "", lists);
            out.push_str(&end);
        }
        Event::Text(text) | Event::Code(text) => out.push_str(&form.text(&text)),
        Event::SoftBreak => out.push(' '),
        Event::HardBreak => out.push_str(form.hard_break()),
        Event::Rule => out.push_str(form.rule()),
        Event::Html(html) | Event::InlineHtml(html) => return Err(html.to_string()),
        Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
            out.push_str(&form.text(&text));
        }
        Event::TaskListMarker(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
