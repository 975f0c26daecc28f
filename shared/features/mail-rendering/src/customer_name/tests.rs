use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: Option<&str>) {
    assert_eq!(customer_name(text).as_deref(), expected, "{text:?}");
}

/// What the most eager mail program might make a link of, and a little more: a dot that a letter or a digit follows,
/// a colon inside of a word, an at sign, a number that could be dialled.
pub(crate) fn linkable(text: &str) -> Vec<String> {
    let is_dot = |c: char| ".\u{3002}\u{FF0E}\u{FF61}\u{2024}\u{FE52}".contains(c);
    let is_mark = |c: char| matches!(c, '\u{200C}' | '\u{200D}' | '\u{300}'..='\u{36F}' | '\u{FE0F}');
    let linked = |word: &str| {
        let mut after_dot = false;
        let domain = word.chars().any(|c| {
            let continues = after_dot && c.is_alphanumeric();
            after_dot = is_dot(c) || after_dot && is_mark(c);
            continues
        });
        let mut after_colon = false;
        let scheme = word.chars().any(|c| {
            let continues = after_colon && !"()-".contains(c);
            after_colon = c == ':' || c == '：';
            continues
        });
        let digits = word.chars().filter(|c| c.is_numeric()).count();
        domain || scheme || word.contains(['@', '＠']) || digits > 3
    };
    text.split_whitespace().filter(|word| linked(word)).map(str::to_owned).collect()
}

#[test]
fn keeps_names_as_they_are() {
    for name in [
        "Ada Lovelace",
        "Søren Kierkegård-Ødegaard",
        "O’Neill & Sons",
        "毛利 蘭",
        "محمد علی",
        "می‌خواهم",
        "J. R. R. Tolkien",
        "J.-P. Sartre",
        "Family 👨‍👩‍👧‍👦",
        "<b>Bob</b>",
        "Ada c/o Byron",
        "Nguyễn Thị Ánh",
        "Louis XIV.",
        "Elizabeth 2nd",
        "Ada 🇬🇧🇩🇪❤️",
        "Smith, Jr., Esq.",
    ] {
        check(name, Some(name));
    }
}

#[test]
fn breaks_what_a_mail_program_could_take_for_a_domain() {
    for (typed, shown) in [
        ("Mr.Smith", "Mr. Smith"),
        ("Dr.med. Ada Lovelace", "Dr. med. Ada Lovelace"),
        ("Prof.dr. Ada", "Prof. dr. Ada"),
        ("Dipl.-Ing.Ada", "Dipl.-Ing. Ada"),
        ("J.R.R.Tolkien", "J. R. R. Tolkien"),
        ("Pay now at EVIL.COM", "Pay now at EVIL. COM"),
        ("t.co/abc", "t. co/abc"),
        ("example.org", "example. org"),
        ("evil.com,now", "evil. com,now"),
        ("evil。com", "evil。 com"),
        ("evil．com", "evil． com"),
        ("evil｡com", "evil｡ com"),
        ("evil․com", "evil․ com"),
        ("пример.рф", "пример. рф"),
        ("evil.\u{200d}com", "evil. \u{200d}com"),
        ("evil.\u{301}com", "evil. \u{301}com"),
        ("evil.\u{200b}com", "evil. com"),
    ] {
        check(typed, Some(shown));
    }
}

#[test]
fn leaves_out_what_is_no_name() {
    for text in [
        "https://EVIL.COM/x",
        "https://185.10.10.10/pay",
        "https://evil.com?claim",
        "https://xn--e1awd7f.xn--p1ai/x",
        "https://пример.рф/x",
        "http://[2001:db8::1]/x",
        "http：／／evil．com",
        "(www.EXAMPLE.ORG)",
        "ＷＷＷ．evil.com",
        "ada@example.org",
        "ada＠example.org",
        "tel:+449098790000 call now",
        "tel: 123",
        ".tel:-",
        "Ada.tel: call",
        "sms:12",
        "javascript:alert",
        "whatsapp:x",
        "evil%2Ecom",
        "call 0900 1234",
        "call ０９００１２",
        "call ①②③④",
        "\\\\evil\\share",
        "You won 500 GBP",
        "Win £99",
        "$$$ for you",
        "🎁🎁🎁🎁 Ada",
        "🎁",
        "---",
        "123",
        "10.0.0.1 Ada",
    ] {
        check(text, None);
    }
}

#[test]
fn keeps_the_flags_that_are_made_of_tags_and_no_other_tags() {
    let england = "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
    let texas = "🏴\u{e0075}\u{e0073}\u{e0074}\u{e0078}\u{e007f}";
    for flag in [england, texas] {
        check(&format!("Ada {flag} Byron"), Some(&format!("Ada {flag} Byron")));
    }
    check("Ada 🏴\u{e0067}\u{e0062}", Some("Ada 🏴"));
    check("A\u{e0067}\u{e0062}da\u{e007f}", Some("Ada"));
    let hidden: String = "an instruction to a reader"
        .chars()
        .map(|c| char::from_u32(u32::from(c) + 0xE0000).unwrap())
        .collect();
    check(&format!("Ada 🏴{hidden}\u{e007f}"), Some("Ada 🏴"));
}

#[test]
fn shortens_long_names_and_towers_of_accents() {
    let words = "Wolfeschlegelsteinhausen ".repeat(12);
    check(&words, Some("Wolfeschlegelsteinhausen Wolfeschlegelsteinhausen Wolfeschlegelsteinhausen…"));
    let titles = "Ada King, Countess of Lovelace, ".repeat(3);
    let cut = "Ada King, Countess of Lovelace, Ada King, Countess of Lovelace, Ada King…";
    check(&titles, Some(cut));
    check(&"é".repeat(300), Some(&format!("{}…", "é".repeat(80))));
    check(&format!("A{}da", "\u{301}".repeat(40)), Some("A\u{301}\u{301}\u{301}da"));
}

fn lure() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("evil.com"),
        Just("EVIL.COM"),
        Just("https://"),
        Just("www."),
        Just("@"),
        Just("tel:"),
        Just("."),
        Just("。"),
        Just("．"),
        Just("｡"),
        Just(" "),
        Just("Ada"),
        Just("1"),
        Just("٣"),
        Just("%2e"),
        Just("/"),
        Just(":"),
        Just("\u{200d}"),
        Just("\u{200b}"),
        Just("\u{ad}"),
        Just("\u{301}"),
        Just("рф"),
        Just("-"),
        Just(","),
        Just("["),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn nothing_of_a_name_is_ever_linked(text in prop_oneof![lure(), any::<String>()]) {
        if let Some(line) = customer_name(&text) {
            prop_assert_eq!(linkable(&line), Vec::<String>::new(), "{:?}", line);
        }
    }

    #[test]
    fn any_text_becomes_one_short_line(text in prop_oneof![lure(), any::<String>()]) {
        if let Some(line) = customer_name(&text) {
            prop_assert!(line.chars().count() <= LONGEST + 1);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(line.trim(), &line);
            prop_assert_eq!(customer_name(&line), Some(line.clone()));
        }
    }
}
