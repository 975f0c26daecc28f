//! A customer's name, made fit for a mail in our own name.
//!
//! Names come from a public form: anybody can have a mail sent to any address with a text of their choice in it. So a
//! name is never a link, a telephone number or an advertisement. Domains are not recognised but broken: whatever list
//! of shapes a filter knows, mail programs know one more. Every dot that something follows gets a space after it, and a
//! dot before a space is part of no address. What mail programs link without a dot (schemes, `@`, numbers) has no place
//! in a name, and such a customer is greeted without it.

use crate::displayed::{displayed, is_joiner};

/// Longer names are cut.
const LONGEST: usize = 80;

/// More digits than these are a telephone number, an amount or an address. `Louis 14` and `Elizabeth 2nd` have fewer.
const MOST_DIGITS: usize = 3;

/// More emoji than these are a picture and no name.
const MOST_EMOJI: usize = 3;

/// Accents on one letter. Vietnamese has two; a tower of them covers the lines around it.
const MOST_ACCENTS: usize = 3;

/// A person's name in one short line, or `None` when the text is not one.
pub(crate) fn customer_name(text: &str) -> Option<String> {
    let name = without_towers(&displayed(text)?);
    if !is_name(&name) {
        return None;
    }
    // Cutting may leave a part of a flag, which is invisible again.
    displayed(&shortened(with_broken_dots(&name)))
}

/// Whether a line may be a name. Judged by what a mail program would make of it, so full-width letters count as plain.
fn is_name(line: &str) -> bool {
    let plain: String = line.chars().map(plain).collect::<String>().to_lowercase();
    let forbidden = ["@", "\\", "://", "www.", "::"];
    plain.chars().any(char::is_alphabetic)
        && !forbidden.iter().any(|part| plain.contains(part))
        && !has_scheme(&plain)
        && !has_percent_code(&plain)
        && plain.chars().filter(|c| c.is_numeric()).count() <= MOST_DIGITS
        && !names_money(&plain)
        && emoji(&plain) <= MOST_EMOJI
}

/// What a character is to a reader: full-width forms, and everything that looks or counts as a dot.
fn plain(c: char) -> char {
    match c {
        // Dots by IDNA (RFC 3490, section 3.1), and those that compatibility forms turn into one.
        '\u{3002}' | '\u{FF0E}' | '\u{FF61}' | '\u{2024}' | '\u{FE52}' => '.',
        '\u{FE55}' | '\u{A789}' | '\u{2236}' => ':',
        '\u{FE6B}' => '@',
        '\u{FE6A}' | '\u{66A}' => '%',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        _ => c,
    }
}

/// `tel:`, `mailto:` and their like; also any colon that something follows at once, a smile excepted.
fn has_scheme(line: &str) -> bool {
    const KNOWN: [&str; 12] = [
        "http",
        "https",
        "ftp",
        "mailto",
        "tel",
        "sms",
        "callto",
        "sip",
        "skype",
        "whatsapp",
        "javascript",
        "bitcoin",
    ];
    line.match_indices(':').any(|(at, _)| {
        let before = &line[..at];
        let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let follows = line[at + 1..].chars().next().is_some_and(|c| !c.is_whitespace() && !"()-".contains(c));
        KNOWN.contains(&word) || follows
    })
}

/// `%2E`: some programs decode before they link.
fn has_percent_code(line: &str) -> bool {
    let hex = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
    line.match_indices('%').any(|(at, _)| {
        let mut rest = line[at + 1..].chars();
        hex(rest.next()) && hex(rest.next())
    })
}

/// A currency sign beside a digit, two of the signs, or a digit and the code of a common currency.
fn names_money(line: &str) -> bool {
    const CODES: [&str; 12] =
        ["usd", "eur", "gbp", "chf", "jpy", "cny", "cad", "aud", "inr", "btc", "eth", "usdt"];
    let signs = line.chars().filter(|c| is_currency_sign(*c)).count();
    let digits = line.chars().any(char::is_numeric);
    let codes = line.split(|c: char| !c.is_alphabetic()).any(|word| CODES.contains(&word));
    signs > 1 || digits && (signs > 0 || codes)
}

fn is_currency_sign(c: char) -> bool {
    matches!(c, '$' | '\u{A2}'..='\u{A5}' | '\u{58F}' | '\u{60B}' | '\u{9F2}' | '\u{9F3}' | '\u{E3F}'
        | '\u{20A0}'..='\u{20CF}' | '\u{FDFC}' | '\u{FE69}')
}

/// Pictures; what joiners, skin tones and tags make of several is one, and so is a flag.
fn emoji(line: &str) -> usize {
    let mut count = 0;
    let mut half_a_flag = false;
    let mut joined = false;
    for c in line.chars() {
        match c {
            '\u{1F1E6}'..='\u{1F1FF}' => {
                count += usize::from(!half_a_flag);
                half_a_flag = !half_a_flag;
            }
            '\u{1F3FB}'..='\u{1F3FF}' => {}
            '\u{2190}'..='\u{21FF}'
            | '\u{2300}'..='\u{23FF}'
            | '\u{25A0}'..='\u{27BF}'
            | '\u{2900}'..='\u{297F}'
            | '\u{2B00}'..='\u{2BFF}'
            | '\u{1F000}'..='\u{1FAFF}' => count += usize::from(!joined),
            _ => {}
        }
        joined = c == '\u{200D}';
    }
    count
}

/// At most a few accents on a letter.
fn without_towers(line: &str) -> String {
    let mut height = 0;
    let mut kept = line.to_owned();
    kept.retain(|c| {
        let is_accent = matches!(c, '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{1AB0}'..='\u{1AFF}'
            | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}');
        height = if is_accent { height + 1 } else { 0 };
        height <= MOST_ACCENTS
    });
    kept
}

/// The line with a space after each dot, unless the name or a pause ends there: `Dr. med.`, `J.-P.`, `St.,`.
fn with_broken_dots(line: &str) -> String {
    let mut broken = String::with_capacity(line.len());
    let mut after_dot = false;
    for c in line.chars() {
        let is_dot = plain(c) == '.';
        if after_dot && !is_dot && !c.is_whitespace() && !",;-)'’\"”…!?".contains(c) {
            broken.push(' ');
        }
        broken.push(c);
        after_dot = is_dot;
    }
    broken
}

fn shortened(line: String) -> String {
    let Some((limit, _)) = line.char_indices().nth(LONGEST) else {
        return line;
    };
    let kept = &line[..limit];
    // Between words if one ends in the second half, and never after a joiner that lost its partner.
    let at_word = kept.rfind(' ').filter(|space| *space >= limit / 2);
    let kept = &kept[..at_word.unwrap_or(limit)];
    let kept = kept.trim_end_matches(|c| matches!(c, ' ' | ',' | ';' | '-') || is_joiner(c));
    format!("{kept}…")
}

#[cfg(test)]
pub(crate) mod tests;
