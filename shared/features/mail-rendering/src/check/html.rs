//! The HTML of a template: what mail programs would make of it. Reads the template's own text, so that every finding has
//! its line; tags of the template count as a word.

use super::tags::{Segment, SegmentKind};

/// Something about the HTML, in the marketer's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HtmlFinding {
    pub(super) line: usize,
    pub(super) is_mistake: bool,
    pub(super) problem: String,
    pub(super) fix: String,
}

/// Elements that have no end.
const VOID: [&str; 10] = ["br", "hr", "img", "meta", "link", "input", "col", "wbr", "area", "base"];

/// Elements whose end may be left out.
const OPTIONAL_END: [&str; 13] =
    ["p", "li", "td", "th", "tr", "dt", "dd", "tbody", "thead", "tfoot", "html", "body", "head"];

/// Elements that mail programs take out, and what customers see instead.
const REMOVED: [&str; 11] = [
    "script", "form", "input", "button", "iframe", "object", "embed", "video", "audio", "select", "textarea",
];

/// Services that hide where a link leads. Spam filters count them against a mail.
const SHORTENERS: [&str; 12] = [
    "bit.ly",
    "tinyurl.com",
    "t.co",
    "goo.gl",
    "ow.ly",
    "is.gd",
    "buff.ly",
    "lnkd.in",
    "rebrand.ly",
    "cutt.ly",
    "t.ly",
    "shorturl.at",
];

const TYPOGRAPHIC: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '«', '»'];

/// Whether a text has quotes that a word processor made.
pub(super) fn has_typographic_quotes(text: &str) -> bool {
    text.contains(TYPOGRAPHIC)
}

/// Checks the HTML between the tags of a template.
pub(super) fn check_html(segments: &[Segment<'_>]) -> Vec<HtmlFinding> {
    let mut reader = Reader { source: flattened(segments), at: 0, findings: Vec::new(), open: Vec::new() };
    reader.read();
    reader.findings
}

/// The text of the first branches, with a word in place of each printed value: what a customer gets of one kind, as long
/// as the branches are alike. Each character has its line.
fn flattened(segments: &[Segment<'_>]) -> Vec<(char, usize)> {
    let mut flat = Vec::new();
    // For each `if` and `for` that is open, whether what follows is left out.
    let mut left_out: Vec<bool> = Vec::new();
    for segment in segments {
        let is_left_out = left_out.contains(&true);
        match segment.kind {
            SegmentKind::Text | SegmentKind::Unclosed if !is_left_out => {
                let mut line = segment.line;
                for c in segment.text.chars() {
                    flat.push((c, line));
                    line += usize::from(c == '\n');
                }
            }
            SegmentKind::Print if !is_left_out => flat.push((VALUE, segment.line)),
            SegmentKind::Statement => match segment.word() {
                "if" | "for" => left_out.push(false),
                "elif" | "else" => left_out.iter_mut().last().into_iter().for_each(|branch| *branch = true),
                "endif" | "endfor" => drop(left_out.pop()),
                // Each block has HTML of its own.
                "block" | "endblock" if !is_left_out => flat.push((BLOCK, segment.line)),
                _ => {}
            },
            SegmentKind::Text | SegmentKind::Unclosed | SegmentKind::Print | SegmentKind::Comment => {}
        }
    }
    flat
}

/// Stands where a block begins or ends. No text has it: <https://www.unicode.org/faq/private_use.html#nonchar1>
const BLOCK: char = '\u{10FFFD}';

/// Stands for a value of the mail.
const VALUE: char = '\u{10FFFC}';

/// The line of an element whose mistake is reported.
const REPORTED: usize = 0;

struct Reader {
    source: Vec<(char, usize)>,
    at: usize,
    findings: Vec<HtmlFinding>,
    /// Elements that are open, and where they were opened.
    open: Vec<(String, usize)>,
}

impl Reader {
    fn read(&mut self) {
        while let Some((c, line)) = self.source.get(self.at).copied() {
            match c {
                '<' if self.starts_with("<!--") => self.skip_past("-->", line),
                '<' if self.starts_with("<!") => self.skip_past(">", line),
                '<' if self
                    .source
                    .get(self.at + 1)
                    .is_some_and(|(c, _)| *c == '/' || c.is_ascii_alphabetic()) =>
                {
                    self.tag(line);
                }
                BLOCK => {
                    self.close_all();
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        self.close_all();
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(n, c)| self.source.get(self.at + n).is_some_and(|(have, _)| *have == c))
    }

    fn skip_past(&mut self, end: &str, line: usize) {
        while self.at < self.source.len() {
            if self.starts_with(end) {
                self.at += end.chars().count();
                return;
            }
            self.at += 1;
        }
        self.mistake(
            line,
            "The comment that begins here never ends, so everything after it is missing in the mail."
                .to_owned(),
            format!("End it with `{end}`."),
        );
    }

    /// Reads one tag, from its `<`.
    fn tag(&mut self, line: usize) {
        self.at += 1;
        let mut tag = String::new();
        let mut quote: Option<(char, usize)> = None;
        loop {
            let Some((c, at_line)) = self.source.get(self.at).copied() else {
                return self.unclosed(&tag, quote, line);
            };
            match quote {
                None if c == '>' => {
                    self.at += 1;
                    break;
                }
                // Another tag begins within the value: the quote before it was never closed.
                Some(_) if c == '<' => return self.unclosed(&tag, quote, line),
                None if c == '<' || c == BLOCK => return self.unclosed(&tag, quote, line),
                Some((closing, _)) if c == closing => quote = None,
                None if c == '"' || c == '\'' => quote = Some((c, at_line)),
                Some(_) | None => {}
            }
            tag.push(c);
            self.at += 1;
        }
        self.judge(&tag, line);
    }

    fn unclosed(&mut self, tag: &str, quote: Option<(char, usize)>, line: usize) {
        let name = name_of(tag);
        match quote {
            Some((quote, at_line)) => self.mistake(
                at_line,
                format!("The quote {quote} in `<{name} …>` is never closed, so the text after it is missing and the mail falls apart."),
                format!("Type {quote} at the end of the value: `href=\"https://example.org\"`."),
            ),
            None => self.mistake(
                line,
                format!("`<{name}` is never closed, so the text after it is missing."),
                "Type `>` where the tag ends.".to_owned(),
            ),
        }
        // Its end, if it comes, is no second mistake.
        self.open.push((name, REPORTED));
    }

    /// What a whole tag is.
    fn judge(&mut self, tag: &str, line: usize) {
        let name = name_of(tag);
        if has_typographic_quotes(tag) {
            self.mistake(
                line,
                format!("`<{name} …>` has typographic quotes “ ”, so its link or its style does not work."),
                "Type straight ones: \"".to_owned(),
            );
        }
        if let Some(closed) = tag.strip_prefix('/') {
            return self.close(&name_of(closed), line);
        }
        self.judge_element(&name, line);
        for (attribute, value) in attributes(tag) {
            self.judge_attribute(&name, &attribute, &value, line);
        }
        let closes_itself = tag.ends_with('/') || VOID.contains(&name.as_str());
        if !closes_itself {
            self.open.push((name, line));
        }
    }

    fn judge_element(&mut self, name: &str, line: usize) {
        if REMOVED.contains(&name) {
            self.mistake(
                line,
                format!("Mail programs remove `<{name}>`, or put the mail into the spam folder for it."),
                "Take it out, and link to a page on your site instead.".to_owned(),
            );
        }
    }

    fn judge_attribute(&mut self, element: &str, attribute: &str, value: &str, line: usize) {
        let value = value.trim();
        let is_remote =
            value.starts_with("http://") || value.starts_with("https://") || value.starts_with("//");
        if element == "img" && attribute == "src" {
            let problem = match is_remote {
                true => {
                    "Many mail programs do not show this picture, and one that is shown tells others who opened the mail."
                }
                false => "Customers cannot see this picture: it is not in the mail.",
            };
            let fix = "Leave pictures out, or make sure that the mail reads well without them.";
            return self.warning(line, problem.to_owned(), fix.to_owned());
        }
        if attribute.starts_with("on") && attribute.len() > 2 {
            return self.mistake(
                line,
                format!("Mail programs remove `{attribute}`."),
                "Take it out.".to_owned(),
            );
        }
        if element == "a"
            && attribute == "href"
            && !has_typographic_quotes(value)
            && let Some(LinkFinding { is_mistake, problem, fix }) = check_link(value)
        {
            self.findings.push(HtmlFinding { line, is_mistake, problem, fix });
        }
    }

    fn close(&mut self, name: &str, line: usize) {
        let Some(at) = self.open.iter().rposition(|(open, _)| open == name) else {
            if !VOID.contains(&name) && !OPTIONAL_END.contains(&name) {
                self.mistake(
                    line,
                    format!("`</{name}>` ends something that was never begun."),
                    format!("Take it out, or type `<{name}>` where it should begin."),
                );
            }
            return;
        };
        for (unclosed, opened) in self.open.split_off(at).into_iter().skip(1) {
            self.left_open(&unclosed, opened);
        }
    }

    fn close_all(&mut self) {
        for (unclosed, opened) in std::mem::take(&mut self.open) {
            self.left_open(&unclosed, opened);
        }
    }

    fn left_open(&mut self, name: &str, line: usize) {
        if line != REPORTED && !OPTIONAL_END.contains(&name) {
            self.mistake(
                line,
                format!("`<{name}>` is never closed, so it goes on to the end of the mail."),
                format!("Type `</{name}>` where it should end."),
            );
        }
    }

    fn mistake(&mut self, line: usize, problem: String, fix: String) {
        self.findings.push(HtmlFinding { line, is_mistake: true, problem, fix });
    }

    fn warning(&mut self, line: usize, problem: String, fix: String) {
        self.findings.push(HtmlFinding { line, is_mistake: false, problem, fix });
    }
}

/// Something about the address of a link.
pub(super) struct LinkFinding {
    pub(super) is_mistake: bool,
    pub(super) problem: String,
    pub(super) fix: String,
}

/// Checks the address of a link. What a template's tag prints is taken for right.
pub(super) fn check_link(address: &str) -> Option<LinkFinding> {
    let finding = |is_mistake, problem: String, fix: &str| {
        Some(LinkFinding { is_mistake, problem, fix: fix.to_owned() })
    };
    let lower = address.to_lowercase();
    let host =
        lower.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if let Some(to) = lower.strip_prefix("mailto:") {
        let to = to.split('?').next().unwrap_or_default();
        let is_address = to.contains(VALUE)
            || to.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        return match is_address {
            true => None,
            false => finding(
                true,
                format!("The link `{address}` opens an empty mail: that is no address."),
                "Write it as `mailto:hello@example.org`.",
            ),
        };
    }
    if address.is_empty() || address == "#" {
        return finding(
            true,
            "The link leads nowhere.".to_owned(),
            "Type the address it should open: `https://…`.",
        );
    }
    if address.starts_with(VALUE) || lower.starts_with("tel:") {
        return None;
    }
    match host {
        None => finding(
            true,
            format!("The link `{address}` does not work in a mail, which is on no site."),
            "Write the whole address: `https://…`.",
        ),
        Some(host) if SHORTENERS.contains(&host.trim_start_matches("www.")) => finding(
            false,
            format!("The link by {host} hides where it leads, and spam filters count it against the mail."),
            "Link to the page itself.",
        ),
        Some(_) if lower.starts_with("http://") => finding(
            false,
            format!("The link `{address}` is not encrypted; browsers warn of such pages."),
            "Write `https://` if your site has it.",
        ),
        Some(_) if !lower.starts_with("https://") => finding(
            true,
            format!("Mail programs do not open the link `{address}`."),
            "Use an address that begins with `https://`.",
        ),
        Some(_) => None,
    }
}

fn name_of(tag: &str) -> String {
    let name: String =
        tag.trim_start_matches('/').chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    name.to_lowercase()
}

/// The attributes of a tag with their values, in lower case, without quotes.
fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    let mut rest = tag[name_of(tag).len().min(tag.len())..].trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let name =
            name.rsplit(char::is_whitespace).find(|word| !word.is_empty()).unwrap_or_default().to_lowercase();
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, next) = match quote {
            Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        attributes.push((name, value.to_owned()));
        rest = next;
    }
    attributes
}

#[cfg(test)]
mod tests;
