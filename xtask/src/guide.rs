//! The command lines of the documentation, so that tests can hold them to what the programs take.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A command line of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The page, for people.
    pub page: String,
    /// Its words, the program's name among them. What the shell or the reader fills in is `value`.
    pub words: Vec<String>,
}

/// All command lines of the documentation that begin with these words.
///
/// # Errors
///
/// When a page cannot be read.
pub fn commands(root: &Path, program: &str) -> Result<Vec<Written>> {
    let mut found = Vec::new();
    for page in pages(root)? {
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        let name = page.strip_prefix(root).unwrap_or(&page).display().to_string();
        found.extend(
            commands_in(&text, program).into_iter().map(|words| Written { page: name.clone(), words }),
        );
    }
    Ok(found)
}

/// The pages with command lines.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut pages: Vec<_> = ["docs/DEPLOY.md", "docs/OPERATIONS.md"].map(|page| root.join(page)).into();
    for entry in fs::read_dir(root.join("docs/runbooks"))? {
        pages.push(entry?.path());
    }
    pages.sort();
    Ok(pages)
}

/// The command lines of one page: in its blocks of shell, and alone between backticks.
fn commands_in(page: &str, program: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut in_shell = false;
    let mut line = String::new();
    for text in page.lines() {
        if let Some(language) = text.trim_start().strip_prefix("```") {
            in_shell = language == "sh";
            continue;
        }
        if in_shell {
            match text.strip_suffix('\\') {
                Some(begun) => line.push_str(begun),
                None => {
                    line.push_str(text);
                    found.extend(commands_of_line(&line, program));
                    line.clear();
                }
            }
        } else {
            let code = text.split('`').skip(1).step_by(2);
            found.extend(code.filter(|code| starts_with(code, program)).map(words));
        }
    }
    found
}

fn starts_with(text: &str, program: &str) -> bool {
    text.strip_prefix(program).is_some_and(|rest| rest.starts_with(' '))
}

/// The commands of a line of shell, wherever one may begin.
fn commands_of_line(line: &str, program: &str) -> Vec<Vec<String>> {
    let begins = |at: usize| {
        let before = line.get(..at).unwrap_or_default().trim_end();
        before.is_empty() || ["$(", "&&", "|", ";", "do"].iter().any(|end| before.ends_with(end))
    };
    line.match_indices(program)
        .filter(|(at, _)| begins(*at))
        .filter_map(|(at, _)| line.get(at..))
        .filter(|rest| starts_with(rest, program))
        .map(words)
        .collect()
}

/// The words of a command, up to where the shell ends it.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut begun = false;
    let mut quote = None;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if quote != Some('\'')
            && let Some((filled, after)) = filled_in(rest)
        {
            word.push_str(filled);
            begun = true;
            rest = after;
            continue;
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '"' | '\'') => (quote, begun) = (Some(letter), true),
            (None, ';' | '|' | '&' | ')' | '<' | '>') => break,
            (None, '#') if !begun => break,
            (None, letter) if letter.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, letter) => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// What the shell or the reader fills in here, and what comes after it: `$NAME`, `$(a command)`, `<what it is>`.
fn filled_in(text: &str) -> Option<(&'static str, &str)> {
    if let Some(command) = text.strip_prefix("$(") {
        // A number, which is text as well.
        return command.split_once(')').map(|(_, after)| ("1", after));
    }
    if let Some(name) = text.strip_prefix('$') {
        let after = name.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_');
        return (after.len() < name.len()).then_some(("value", after));
    }
    let (name, after) = text.strip_prefix('<')?.split_once('>')?;
    name.starts_with(char::is_alphabetic).then_some(("value", after))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use clap::Parser as _;

    use super::*;
    use crate::{Checkout, Cli};

    #[test]
    fn finds_commands_in_blocks_and_between_backticks() {
        let page = "Type `aws a b` or `aws`, not `paws c`.\n```sh\nX=$(aws d --e \"f g\") # aws no\nread Y && aws h \\\n                      --i '$Y'; unset Y\n```\n```toml\naws = 1\n```\n";
        let expected = [vec!["aws", "a", "b"], vec!["aws", "d", "--e", "f g"], vec!["aws", "h", "--i", "$Y"]];
        assert_eq!(commands_in(page, "aws"), expected);
    }

    #[test]
    fn what_is_filled_in_later_is_a_value() {
        assert_eq!(words("aws a email#thanks < /dev/null"), ["aws", "a", "email#thanks"]);
        let line = "aws a $B \"c/$D_E\" '$F' <the domain> --t $(date -d '1 hour ago')000 > file";
        let expected = ["aws", "a", "value", "c/value", "$F", "value", "--t", "1000"];
        assert_eq!(words(line), expected);
    }

    #[test]
    fn every_xtask_command_of_the_documentation_is_one() {
        let checkout = Checkout::find().unwrap();
        let written = commands(checkout.root(), "cargo xtask").unwrap();
        assert!(written.len() >= 2, "{written:?}");
        let mut mistakes = String::new();
        for Written { page, words } in written {
            if let Err(error) = Cli::try_parse_from(words.iter().skip(1)) {
                writeln!(mistakes, "{page}: {}: {error}", words.join(" ")).unwrap();
            }
        }
        assert_eq!(mistakes, "");
    }
}
