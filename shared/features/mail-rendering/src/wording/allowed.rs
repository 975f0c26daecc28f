//! What a template may do: enough for a mail, and nothing that grows without bound.
//!
//! The engine counts instructions, not bytes. One that doubles a text costs as much as one that prints a comma, and
//! thirty of them need more memory than the function has; then Lambda ends the process, and the rest of the batch with
//! it. So a template of one's own is read through before the engine gets it. A text can grow only within one tag, and
//! there are bounds for what one tag holds: values are carried on by `set` and `with`, which may not join texts, and
//! most of the ways to keep a value (`filter` blocks, recursive loops) cannot be used at all. A printed text ends at
//! [`LONGEST_PART`](super::LONGEST_PART), also within a `set` block; a block's own text (`self.heading()`, `super()`)
//! can only be printed.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Bytes of one text constant, and of what `join` makes.
pub(super) const LONGEST_CONSTANT: usize = 2 * 1024;

/// How often texts or lists are joined in one tag.
const MOST_JOINS: usize = 16;

/// Bytes of plain text inside of loops, which the engine copies for each round.
const MOST_LOOPED: usize = 4 * 1024;

/// Files that one file includes. They may include others, four deep.
const MOST_INCLUDES: usize = 4;

/// The statements there are, with their ends.
const STATEMENTS: [&str; 15] = [
    "if", "elif", "else", "endif", "for", "endfor", "set", "endset", "with", "endwith", "block", "endblock",
    "extends", "include", "raw",
];

/// What may be called, beside filters and tests.
const FUNCTIONS: [&str; 1] = ["range"];

/// Words before a parenthesis that call nothing.
const WORDS: [&str; 9] = ["if", "elif", "else", "and", "or", "not", "in", "is", "set"];

/// Reads a template through.
///
/// # Errors
///
/// When it does what no mail needs: the line, and what.
pub(super) fn check(source: &str, syntax: &SyntaxConfig) -> Result<(), NotAllowed> {
    let mut reader = Reader::default();
    for token in tokenize(source, false, syntax.clone()) {
        // The engine reports what cannot be read at all, with more to say about it.
        let Ok((token, span)) = token else { return Ok(()) };
        if let Err(problem) = reader.next(token) {
            return Err(NotAllowed { line: usize::from(span.start_line), problem });
        }
    }
    Ok(())
}

/// What a template does although no mail needs it.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(super) struct NotAllowed {
    /// From 1.
    pub(super) line: usize,
    /// In a few words; quotes the template and no value.
    pub(super) problem: String,
}

/// Where the reader is.
#[derive(Default)]
struct Reader {
    /// The tag's tokens so far: only the last three are looked at.
    before: [Option<Kind>; 3],
    /// The statement of the tag, in a tag of statements; empty before it is named.
    statement: Option<String>,
    /// Whether the statement has had a `=`.
    assigns: bool,
    joins: usize,
    loops: usize,
    looped: usize,
    /// How many `set` blocks are open.
    kept: usize,
    includes: usize,
}

/// What a token is to the one after it.
#[derive(Clone, PartialEq)]
enum Kind {
    Word(String),
    Pipe,
    Dot,
    Compares,
    Closes,
    Other,
}

impl Reader {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other tokens are read within their tag")]
    fn next(&mut self, token: Token<'_>) -> Result<(), String> {
        match &token {
            Token::TemplateData(text) => {
                if self.loops > 0 {
                    self.looped += text.len();
                }
                if self.looped > MOST_LOOPED {
                    return Err(format!("more than {} KB of text inside of loops", MOST_LOOPED / 1024));
                }
            }
            Token::VariableStart | Token::BlockStart => {
                self.joins = 0;
                self.assigns = false;
                self.before = [None, None, None];
                self.statement = matches!(token, Token::BlockStart).then(String::new);
                return Ok(());
            }
            Token::BlockEnd => self.end_of_statement()?,
            _ => {}
        }
        if let (Some(statement), Token::Ident(word)) = (&mut self.statement, &token)
            && statement.is_empty()
        {
            (*word).clone_into(statement);
            return self.begin(word);
        }
        self.within(&token)?;
        self.before.rotate_left(1);
        self.before[2] = Some(kind(&token));
        Ok(())
    }

    fn begin(&mut self, word: &str) -> Result<(), String> {
        if !STATEMENTS.contains(&word) {
            return Err(format!("`{word}` is not available in mails"));
        }
        match word {
            "for" => self.loops += 1,
            "endfor" => self.loops = self.loops.saturating_sub(1),
            "endset" => self.kept = self.kept.saturating_sub(1),
            "include" if self.loops + self.kept > 0 => {
                return Err("`include` is not available inside of `for` and `set`".to_owned());
            }
            "include" => {
                self.includes += 1;
                if self.includes > MOST_INCLUDES {
                    return Err(format!("more than {MOST_INCLUDES} files are included"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A `set` without a `=` keeps what comes up to its end.
    fn end_of_statement(&mut self) -> Result<(), String> {
        match self.statement.take().as_deref() {
            Some("set") if !self.assigns => self.kept += 1,
            Some("for") if self.before[2] == Some(Kind::Word("recursive".to_owned())) => {
                return Err("`recursive` is not available in mails".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all other tokens make nothing longer")]
    fn within(&mut self, token: &Token<'_>) -> Result<(), String> {
        let carries = matches!(self.statement.as_deref(), Some("set" | "with"));
        let not_available = |what: &str| Err(format!("{what} is not available in mails"));
        match token {
            Token::Mul | Token::Pow => not_available("`*`"),
            Token::Assign => {
                self.assigns = true;
                Ok(())
            }
            Token::Tilde | Token::Plus | Token::BracketOpen | Token::BraceOpen if carries => {
                Err("`set` and `with` cannot join texts; join them where they are printed".to_owned())
            }
            Token::Tilde | Token::Plus | Token::BracketOpen | Token::BraceOpen => {
                self.joins += 1;
                if self.joins <= MOST_JOINS {
                    Ok(())
                } else {
                    Err(format!("more than {MOST_JOINS} texts or lists are joined in one place"))
                }
            }
            Token::Str(text) if text.len() > LONGEST_CONSTANT => not_available("so long a constant"),
            Token::String(text) if text.len() > LONGEST_CONSTANT => not_available("so long a constant"),
            Token::Ident("none" | "None" | "null") if !self.compares() => {
                Err("`none` can be asked for, and not used".to_owned())
            }
            Token::ParenOpen => match &self.before {
                [object, before, Some(Kind::Word(word))] => {
                    let is_printed = self.statement.is_none();
                    let is_method = *before == Some(Kind::Dot);
                    let is_block = is_method && *object == Some(Kind::Word("self".to_owned()));
                    let is_filter = *before == Some(Kind::Pipe) || self.compares_by(before);
                    let is_free = FUNCTIONS.contains(&word.as_str()) || WORDS.contains(&word.as_str());
                    let is_allowed = match is_method {
                        true => is_block && is_printed,
                        false => is_filter || is_free || word == "super" && is_printed,
                    };
                    if is_allowed { Ok(()) } else { not_available(&format!("`{word}()`")) }
                }
                [_, _, Some(Kind::Closes)] => not_available("a call of what is computed"),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Whether the next value is compared with the one before.
    fn compares(&self) -> bool {
        self.before[2] == Some(Kind::Compares) || self.compares_by(&self.before[2])
    }

    /// `is` and `is not` before a test.
    fn compares_by(&self, before: &Option<Kind>) -> bool {
        matches!(before, Some(Kind::Word(word)) if word == "is" || word == "not")
    }
}

fn kind(token: &Token<'_>) -> Kind {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others say nothing about what comes next")]
    match token {
        Token::Ident(word) => Kind::Word((*word).to_owned()),
        Token::Pipe => Kind::Pipe,
        Token::Dot => Kind::Dot,
        Token::Eq | Token::Ne => Kind::Compares,
        Token::ParenClose | Token::BracketClose | Token::BraceClose => Kind::Closes,
        _ => Kind::Other,
    }
}
