//! A template's text in its parts: what is printed as it is, and the tags between.

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) kind: SegmentKind,
    /// What is between the tag's delimiters; a text as it is.
    pub(super) text: &'a str,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentKind {
    /// Printed as it is.
    Text,
    /// `{{ … }}`
    Print,
    /// `{% … %}`
    Statement,
    /// `{# … #}`
    Comment,
    /// A tag without an end: everything after it.
    Unclosed,
}

const DELIMITERS: [(&str, &str, SegmentKind); 3] = [
    ("{{", "}}", SegmentKind::Print),
    ("{%", "%}", SegmentKind::Statement),
    ("{#", "#}", SegmentKind::Comment),
];

/// The parts of a template, in order.
pub(super) fn segments(source: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while !rest.is_empty() {
        let opening = DELIMITERS.iter().filter_map(|delimiter| Some((rest.find(delimiter.0)?, delimiter)));
        let Some((at, (open, close, kind))) = opening.min_by_key(|(at, _)| *at) else {
            segments.push(Segment { kind: SegmentKind::Text, text: rest, line });
            break;
        };
        let (text, tag) = rest.split_at(at);
        if !text.is_empty() {
            segments.push(Segment { kind: SegmentKind::Text, text, line });
            line += line_breaks(text);
        }
        let inner = &tag[open.len()..];
        // A tag that begins before the end shows that the end was forgotten.
        let is_end = |end: &usize| *kind == SegmentKind::Comment || !has_opening(&inner[..*end]);
        let Some(end) = inner.find(close).filter(is_end) else {
            segments.push(Segment { kind: SegmentKind::Unclosed, text: inner, line });
            break;
        };
        segments.push(Segment { kind: *kind, text: &inner[..end], line });
        line += line_breaks(&inner[..end]);
        rest = &inner[end + close.len()..];
    }
    segments
}

fn line_breaks(text: &str) -> usize {
    text.matches('\n').count()
}

fn has_opening(text: &str) -> bool {
    DELIMITERS.iter().any(|(open, _, _)| text.contains(open))
}

impl<'a> Segment<'a> {
    /// What is in the tag, without the signs that trim blanks around it.
    pub(super) fn inner(&self) -> &'a str {
        self.text.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim()
    }

    /// The first word of a statement: `block`.
    pub(super) fn word(&self) -> &'a str {
        let inner = self.inner();
        inner.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
    }

    /// The rest of a statement.
    pub(super) fn after_word(&self) -> &'a str {
        self.inner()[self.word().len()..].trim()
    }

    /// The text of the first constant in it: `layout/en.html`.
    pub(super) fn constant(&self) -> Option<&'a str> {
        let inner = self.inner();
        let at = inner.find(['"', '\''])?;
        let quote = inner[at..].chars().next()?;
        inner[at + 1..].split(quote).next()
    }

    /// The names in it that stand for values of the mail: `customer` of `customer.name | upper`, with what follows a
    /// dot.
    pub(super) fn names(&self) -> Vec<String> {
        let inner = self.inner();
        let mut names = Vec::new();
        let mut chars = inner.char_indices().peekable();
        let mut before = ' ';
        while let Some((at, c)) = chars.next() {
            if c == '"' || c == '\'' {
                while chars.next_if(|(_, next)| *next != c).is_some() {}
                chars.next();
            } else if c.is_alphabetic() || c == '_' {
                let mut end = at + c.len_utf8();
                while let Some((next, more)) =
                    chars.next_if(|(_, more)| more.is_alphanumeric() || matches!(more, '_' | '.'))
                {
                    end = next + more.len_utf8();
                }
                let is_called = inner[end..].trim_start().starts_with('(');
                let is_named = inner[end..].trim_start().starts_with('=')
                    && !inner[end..].trim_start().starts_with("==");
                if before != '|' && before != '.' && !is_called && !is_named {
                    names.push(inner[at..end].trim_end_matches('.').to_owned());
                }
            } else if c.is_ascii_digit() {
                while chars.next_if(|(_, more)| more.is_alphanumeric()).is_some() {}
            }
            if !c.is_whitespace() {
                before = c;
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_tags_and_their_lines() {
        let source = "Dear\n{{ customer.name }},\n{# a\nb #}{% if x -%}\ny{% endif %}";
        let found: Vec<_> = segments(source)
            .into_iter()
            .map(|segment| (segment.kind, segment.inner(), segment.line))
            .collect();
        use SegmentKind::{Comment, Print, Statement, Text};
        assert_eq!(
            found,
            [
                (Text, "Dear", 1),
                (Print, "customer.name", 2),
                (Text, ",", 2),
                (Comment, "a\nb", 3),
                (Statement, "if x", 4),
                (Text, "y", 4),
                (Statement, "endif", 5),
            ]
        );
        let unclosed = segments("a {{ amount <p>\n{{ product }}");
        assert_eq!((unclosed[1].kind, unclosed[1].line), (SegmentKind::Unclosed, 1));
    }

    #[test]
    fn finds_the_names_of_values() {
        let check = |tag: &str, expected: &[&str]| {
            let source = format!("{{{{ {tag} }}}}");
            assert_eq!(segments(&source)[0].names(), expected, "{tag}");
        };
        check("amount", &["amount"]);
        check("customer.name | default(\"dear friend\")", &["customer.name"]);
        check("\"Dear \" ~ customer.name ~ 'x.y'", &["customer.name"]);
        check("range(3) | join(', ')", &[]);
        check("a if renewal else b", &["a", "if", "renewal", "else", "b"]);
        check("files[0].name", &["files"]);
        check("items | length == 2", &["items"]);
    }
}
