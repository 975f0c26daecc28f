use super::*;
use crate::wording::BUILT_IN;

const HTML: &str = "{% extends \"layout/en.html\" %}\n{% block heading %}Trees{% endblock %}\n{% block message %}\n<p>Your {{ amount }} has arrived. <a href=\"https://example.org/trees\">See the trees</a>.</p>\n{% endblock %}\n";
const TEXT: &str =
    "{% extends \"layout/en.txt\" %}\n{% block message %}\nYour {{ amount }} has arrived.\n{% endblock %}\n";
const SUBJECT: &str = "Your {{ amount }} for the trees\n";

fn policy() -> Policy {
    Policy::compiled_in().unwrap()
}

/// A good template, with some of its files changed or added.
fn files(changes: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    let good: [(&str, &str); 3] = [("en.subject.txt", SUBJECT), ("en.html", HTML), ("en.txt", TEXT)];
    let mut files: Vec<(String, Vec<u8>)> =
        good.iter().map(|(name, text)| (format!("trees/{name}"), text.as_bytes().to_vec())).collect();
    for (name, bytes) in changes {
        let path = if name.contains('/') { (*name).to_owned() } else { format!("trees/{name}") };
        files.retain(|(known, _)| *known != path);
        files.push((path, bytes.to_vec()));
    }
    files
}

fn check(changes: &[(&str, &[u8])]) -> TemplateReport {
    check_template("trees", &files(changes), &policy())
}

/// As a report prints it.
fn shown(report: &TemplateReport) -> String {
    let line = |finding: &Finding| {
        let place = if finding.line == 0 { String::new() } else { format!(":{}", finding.line) };
        let sign = if finding.severity == Severity::Mistake { "✗" } else { "!" };
        format!("{sign} {}{place} {} {}\n", finding.path, finding.problem, finding.fix)
    };
    report.findings.iter().map(line).collect()
}

#[test]
fn a_good_template_has_no_findings() {
    let report = check(&[]);
    assert_eq!(shown(&report), "");
    assert_eq!((report.locales.as_slice(), report.is_usable()), (&["en".to_owned()][..], true));
}

#[test]
fn what_ships_has_no_findings() {
    let folders = BUILT_IN.dirs().filter(|dir| dir.path() != std::path::Path::new("layout"));
    let mut templates = 0;
    for dir in folders {
        let template = dir.path().to_str().unwrap();
        let of_folder = BUILT_IN.dirs().flat_map(|dir| dir.files());
        let files: Vec<_> = of_folder
            .map(|file| (file.path().to_str().unwrap().to_owned(), file.contents().to_vec()))
            .collect();
        let report = check_template(template, &files, &policy());
        assert_eq!(shown(&report), "", "{template}");
        assert!(report.is_usable(), "{template}: {:?}", report.locales);
        templates += 1;
    }
    assert_eq!(templates, 6);
}

/// Every mistake alone, and what is said of it.
#[test]
fn every_mistake_is_named_with_its_line_and_what_to_do() {
    let html = |from: &str, to: &str| {
        assert!(HTML.contains(from), "{from}");
        HTML.replace(from, to)
    };
    let text = |from: &str, to: &str| TEXT.replace(from, to);
    let long_subject = "x".repeat(200);
    let no_frame = "<p>Thanks for {{ amount }}</p>";
    let cases: Vec<(&str, &str, String)> = vec![
        ("a block that the frame lacks", "en.html", html("block message", "block body")),
        ("a block nearly right", "en.html", html("block message", "block mesage")),
        ("an attribute left open", "en.html", html("org/trees\">", "org/trees>")),
        ("an element left open", "en.html", html("{{ amount }} has", "<strong>{{ amount }} has")),
        ("an end without a begin", "en.html", html("</p>", "</b></p>")),
        ("a bracket left out", "en.html", html("<p>Your", "<p Your")),
        ("another language's frame", "de.html", html("x", "x")),
        (
            "text outside of blocks",
            "en.html",
            html("{% block heading %}", "Dear friend,\n{% block heading %}"),
        ),
        ("no frame", "en.html", no_frame.to_owned()),
        ("the other part's frame", "en.txt", text("layout/en.txt", "layout/en.html")),
        ("a remote picture", "en.html", html("<p>Your", "<img src=\"https://example.org/a.png\"><p>Your")),
        ("a script", "en.html", html("<p>Your", "<script>x()</script><p>Your")),
        (
            "a form",
            "en.html",
            html("<p>Your", "<form action=\"https://x.org\"><input name=\"a\"></form><p>Your"),
        ),
        ("a handler", "en.html", html("<p>Your", "<p onclick=\"x()\">Your")),
        ("a link that is not encrypted", "en.html", html("https://example", "http://example")),
        ("a shortener", "en.html", html("https://example.org/trees", "https://bit.ly/3xyz")),
        ("a link without a site", "en.html", html("https://example.org/trees", "www.example.org")),
        ("a link to nowhere", "en.html", html("https://example.org/trees", "#")),
        ("a mail to nobody", "en.html", html("https://example.org/trees", "mailto:hello.example.org")),
        ("another tool's tag", "en.html", html("has arrived", "has arrived *|UNSUB|*")),
        ("a second tool's tag", "en.txt", text("has arrived", "has arrived %%unsubscribe%%")),
        ("a third tool's tag", "en.txt", text("has arrived", "[[first_name]] has arrived")),
        ("a long subject", "en.subject.txt", long_subject),
        ("an element in the subject", "en.subject.txt", "Your <b>{{ amount }}</b>".to_owned()),
        ("an entity in the subject", "en.subject.txt", "Trees &amp; leaves".to_owned()),
        ("an element in plain text", "en.txt", text("has arrived", "has <b>arrived</b>")),
        ("an entity in plain text", "en.txt", text("has arrived", "has arrived &nbsp;today")),
        (
            "a word processor's quotes in an element",
            "en.html",
            html("\"https://example.org/trees\"", "“https://example.org/trees”"),
        ),
        ("a word processor's quotes in a tag", "en.html", html("\"layout/en.html\"", "“layout/en.html”")),
        ("a misspelt value", "en.html", html("{{ amount }}", "{{ ammount }}")),
        ("a value in capitals", "en.txt", text("{{ amount }}", "{{ Amount }}")),
        ("a part alone", "en.txt", text("{{ amount }}", "{{ name }}")),
        ("a value of another tool", "en.txt", text("{{ amount }}", "{{ first_name }}")),
        ("a name without asking", "en.txt", text("Your", "Dear {{ customer.name }}, your")),
        (
            "a misspelt end",
            "en.html",
            html("{% endblock %}\n{% block message", "{% endblok %}\n{% block message"),
        ),
        ("a block left open", "en.txt", text("{% endblock %}\n", "")),
        ("a question left open", "en.txt", text("Your", "{% if renewal %}Your")),
        ("an end too many", "en.txt", text("Your", "{% endif %}Your")),
        ("a value left open", "en.txt", text("{{ amount }} has", "{{ amount has")),
        ("a note left open", "en.html", html("<p>Your", "{# later <p>Your")),
        ("a comment left open", "en.html", html("<p>Your", "<!-- later <p>Your")),
        ("what mails may not do", "en.html", html("<p>Your", "{{ amount | replace(\"a\", \"b\") }}<p>Your")),
        ("a frame that is not there", "en.html", html("layout/en.html", "layout/english.html")),
        ("an empty file", "en.txt", "\n".to_owned()),
        ("a name in capitals", "de.HTML", HTML.to_owned()),
        ("a name in words", "english.html", HTML.to_owned()),
        ("one file of three", "fr.subject.txt", "Merci pour {{ amount }}".to_owned()),
    ];
    let golden: String = cases
        .iter()
        .map(|(name, file, text)| {
            let report = check(&[(file, text.as_bytes())]);
            assert!(!report.findings.is_empty(), "{name}: nothing was found");
            format!("{name}\n{}\n", shown(&report))
        })
        .collect();
    insta::assert_snapshot!("sentences", golden);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let utf16: Vec<u8> = "Thanks".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let large = vec![b'a'; 100 * 1024 + 1];
    for (file, bytes, expected) in [
        ("en.txt", &b"Gr\xfc\xdfe"[..], "Save it as Plain text, UTF-8"),
        ("en.html", &[&[0xff, 0xfe][..], &utf16].concat(), "Save it as Plain text, UTF-8"),
        ("en.html", &large, "larger than 100 KB"),
    ] {
        let report = check(&[(file, bytes)]);
        assert!(shown(&report).contains(expected), "{}", shown(&report));
        assert!(!report.is_usable());
    }
    // What any editor writes is fine.
    let windows = format!("\u{feff}{}", TEXT.replace('\n', "\r\n"));
    assert_eq!(shown(&check(&[("en.txt", windows.as_bytes())])), "");
    assert_eq!(
        shown(&check(&[("notes.txt", b"Ask Ada"), ("hero.png", b"\x89PNG"), ("owner.txt", b"ada@x.org")])),
        ""
    );
}

#[test]
fn a_folder_that_no_link_can_name_is_to_be_renamed() {
    let report =
        check_template("Autumn Appeal", &[("Autumn Appeal/en.md".to_owned(), Vec::new())], &policy());
    assert!(shown(&report).ends_with("Rename the folder: `autumn-appeal`.\n"), "{}", shown(&report));
    assert!(!report.is_usable());
}

#[test]
fn a_language_without_english_is_a_warning_and_a_layout_of_ones_own_counts() {
    let own: Vec<_> = files(&[])
        .into_iter()
        .map(|(path, bytes)| {
            (
                path.replace("/en.", "/it."),
                String::from_utf8(bytes).unwrap().replace("layout/en", "layout/it").into_bytes(),
            )
        })
        .collect();
    let layout = |ending: &str| {
        (
            format!("layout/it.{ending}"),
            format!("{{% extends \"layout/base.{ending}\" %}}{{% block extra %}}{{% endblock %}}")
                .into_bytes(),
        )
    };
    let with_layout = [own, vec![layout("html"), layout("txt")]].concat();
    let report = check_template("trees", &with_layout, &policy());
    assert_eq!(report.findings.len(), 1, "{}", shown(&report));
    assert!(shown(&report).contains("There is no English"));
    // The frame's own blocks are known, and a mistake in it is named there.
    let mut broken = with_layout.clone();
    broken[3].1 = b"{% extends \"layout/base.html\" %}{{ ammount }".to_vec();
    let report = check_template("trees", &broken, &policy());
    assert!(shown(&report).contains("layout/it.html"), "{}", shown(&report));
}

#[test]
fn folders_are_templates_and_the_layout_is_none() {
    let paths = ["trees/en.md", "trees/de.md", "layout/en.html", "readme.txt", "/x", "gala/hero.png"];
    assert_eq!(templates_in(paths).into_iter().collect::<Vec<_>>(), ["gala", "trees"]);
}

#[test]
fn a_mail_in_one_file_is_checked_on_its_own_lines() {
    const MAIL: &str = "Subject: {{ amount }} for the trees\n\n# Trees\n\nYour {{ amount }} has arrived.\n";
    let check = |text: &str| check_template("trees", &[("trees/en.md".to_owned(), text.into())], &policy());
    let good = check(MAIL);
    assert_eq!((shown(&good), good.locales.as_slice()), (String::new(), &["en".to_owned()][..]));
    for (text, line, expected) in [
        (MAIL.replace("Your {{ amount }}", "Your {{ ammount }}"), 5, "Did you mean `{{ amount }}`?"),
        (MAIL.replace("Your", "{{ customer.name }}, your"), 5, "for a customer without a name"),
        (MAIL.replace("Your", "<b>Your</b>"), 5, "`<b>` is HTML"),
        (MAIL.replace("Your", "[Your](http://bit.ly/x)"), 5, "hides where it leads"),
        (MAIL.replace("Your", "{% block x %}Your{% endblock %}"), 5, "`block` is not available in this form"),
        (MAIL.replace("# Trees", "Trees"), 3, "headline is missing"),
        (MAIL.replace("Subject:", "Betreff:"), 1, "Begin the file with `Subject: `"),
        (MAIL.replace("{{ amount }} for", "{{ amount }} &amp; for"), 1, "a subject has no HTML"),
    ] {
        let report = check(&text);
        let found = shown(&report);
        assert!(
            found.contains(&format!("trees/en.md:{line} ")) && found.contains(expected),
            "{text}\n{found}"
        );
        assert!(report.findings.iter().all(|finding| finding.path == "trees/en.md"), "{found}");
    }
}
