use customer_locale::LANGUAGES;
use download_claims::BoughtFile;
use fulfilment::Policy;

use super::*;

const PAGES: [Page; 12] = [
    Page::Thanks,
    Page::Welcome,
    Page::Downloads,
    Page::Pending,
    Page::Failed,
    Page::Refunded,
    Page::Disputed,
    Page::Expired,
    Page::LimitReached,
    Page::Replaced,
    Page::Unknown,
    Page::Unavailable,
];

fn renderer() -> Renderer {
    Renderer::new(&Policy::compiled_in().unwrap().organisation, "https://goods.s3.eu-west-1.amazonaws.com")
}

fn file(key: &str, product: Option<&str>, quantity: i64, size: Option<i64>) -> OfferedFile {
    OfferedFile {
        file: BoughtFile { key: key.to_owned(), quantity, product: product.map(str::to_owned) },
        size,
    }
}

fn context<'a>(language: &'a str, files: &'a [OfferedFile]) -> PageContext<'a> {
    PageContext {
        locale: LocaleRequest { session: Some(language), country: None },
        files,
        action: None,
        is_download: true,
        by_mail_only: false,
        gone: false,
        is_link: true,
        purchase: None,
        nothing_due: false,
        days: 365,
        utm: String::new(),
        reference: Some("pi_3QExample".into()),
    }
}

fn html(page: Page, context: &PageContext<'_>) -> String {
    renderer().answer(page, context).body.unwrap()
}

#[test]
fn every_page_is_there_in_every_language_and_for_everybody() {
    let files = [file("a/guide.pdf", Some("Guide"), 2, Some(1200)), file("map.png", None, 1, None)];
    for page in PAGES {
        for language in LANGUAGES.iter().map(|built_in| built_in.tag()) {
            for files in [&files[..], &[]] {
                for (is_download, nothing_due) in [(true, false), (false, false), (false, true)] {
                    let context = PageContext { is_download, nothing_due, ..context(language, files) };
                    let html = html(page, &context);
                    let shown = format!("{page:?} {language}");
                    assert!(html.contains(&format!("<html lang=\"{language}\">")), "{shown}");
                    for tag in ["<header>", "<main>", "<footer>", "<h1>", "<title>"] {
                        assert_eq!(html.matches(tag).count(), 1, "{shown} {tag}");
                    }
                    assert!(!html.contains("<h1></h1>") && !html.contains("<title> –"), "{shown}");
                    assert!(html.contains("hello@example.org") && html.contains("pi_3QExample"), "{shown}");
                    assert!(!html.contains("{{") && !html.contains("{%"), "{shown}");
                }
            }
        }
    }
}

#[test]
fn nothing_on_a_page_comes_from_elsewhere_or_runs() {
    let files = [file("guide.pdf", None, 1, Some(1))];
    for page in PAGES {
        let html = html(page, &context("en", &files)).to_lowercase();
        for foreign in ["<script", "javascript:", "src=", "@import", "url(", "<iframe", " style=", " onclick"]
        {
            assert!(!html.contains(foreign), "{page:?} {foreign}");
        }
        for (address, _) in html.match_indices("http") {
            assert!(html[address..].starts_with("https:&#x2f;&#x2f;example.org"), "{page:?}");
        }
    }
}

#[test]
fn the_policy_lets_in_the_style_of_the_page_and_nothing_else() {
    let response = renderer().answer(Page::Unknown, &context("en", &[]));
    let html = response.body.unwrap();
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = BASE64_STANDARD.encode(Sha256::digest(style));
    let policy = response.headers["content-security-policy"].to_str().unwrap();
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self' \
             https://goods.s3.eu-west-1.amazonaws.com; base-uri 'none'; frame-ancestors 'none'"
        )
    );
}

#[test]
fn no_answer_is_cached_indexed_or_framed() {
    let mut answers: Vec<_> =
        PAGES.iter().map(|page| renderer().answer(*page, &context("en", &[]))).collect();
    answers.push(renderer().redirect("https://example.org/x"));
    for answer in answers {
        let header = |name: &str| answer.headers[name].to_str().unwrap();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-robots-tag"), "noindex, nofollow");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert!(header("permissions-policy").contains("camera=()"));
    }
}

#[test]
fn what_others_typed_stays_text() {
    let files = [file("x/<img src=x onerror=1>\"&'.pdf", Some("<b>Guide</b>"), 1, Some(1))];
    let html = html(Page::Downloads, &context("en", &files));
    assert!(!html.contains("<img") && !html.contains("<b>"), "{html}");
    assert!(html.contains("&lt;b&gt;Guide"));
}

#[test]
fn each_file_has_a_button_of_its_own_and_a_missing_one_a_sentence() {
    let files = [
        file("a/guide.pdf", Some("Guide"), 3, Some(1_234_567)),
        file("map.png", None, 1, None),
        file("b.epub", Some("Guide"), 1, Some(900)),
    ];
    let html = html(Page::Downloads, &context("fr", &files));
    assert_eq!(html.matches("<button").count(), 2);
    assert!(
        html.contains(
            "<button name=\"file\" value=\"1\">Télécharger<span class=\"unseen\"> guide.pdf</span>"
        )
    );
    assert!(html.contains("value=\"3\"") && !html.contains("value=\"2\""));
    assert!(html.contains("Guide (&times;&nbsp;3) &middot; 1,2\u{a0}Mo"), "{html}");
    assert!(html.contains("Ce fichier suivra"));
    assert!(html.contains("<form method=\"post\">"), "to the page itself");
}

#[test]
fn utm_parameters_ride_on_to_the_site() {
    let context = PageContext { utm: "utm_source=a&utm_medium=b".to_owned(), ..context("en", &[]) };
    let html = html(Page::Thanks, &context);
    assert!(html.contains("href=\"https:&#x2f;&#x2f;example.org?utm_source=a&amp;utm_medium=b\""), "{html}");
}

#[test]
fn a_mail_offers_no_file_that_is_not_there() {
    let missing = [file("map.png", None, 1, None)];
    for page in [Page::Thanks, Page::Downloads] {
        for files in [&missing[..], &[]] {
            let html = html(page, &context("en", files));
            assert!(html.contains("Your files will follow"), "{page:?} {html}");
            assert!(!html.contains("right here") && !html.contains("Each button"), "{page:?} {html}");
        }
    }
}

#[test]
fn a_payment_of_another_day_sends_to_the_mail() {
    for (language, sentence) in
        [("en", "link in the email"), ("de", "Link in der E-Mail"), ("fr", "lien de l’e-mail")]
    {
        let html = html(Page::Thanks, &PageContext { by_mail_only: true, ..context(language, &[]) });
        assert!(html.contains(sentence) && !html.contains("<button"), "{html}");
    }
}

#[test]
fn thanks_in_general_say_nothing_of_a_link_and_nothing_of_a_payment() {
    for language in LANGUAGES.iter().map(|built_in| built_in.tag()) {
        let context = PageContext { reference: None, is_download: false, ..context(language, &[]) };
        let html = html(Page::Welcome, &context).to_lowercase();
        for word in ["incomplete", "unvollständig", "incomplet", "<code>", "your payment has arrived"] {
            assert!(!html.contains(word), "{language} {word}");
        }
    }
}

#[test]
fn a_page_names_what_was_paid_and_for_what_as_its_language_writes_it() {
    for (language, amount, label) in [
        ("en", "€12.50", "Amount"),
        ("de", "12,50\u{a0}€", "Betrag"),
        ("fr", "12,50\u{a0}€", "Montant"),
        ("es", "12,50\u{a0}€", "Importe"),
        ("it", "12,50\u{a0}€", "Importo"),
        ("nl", "€\u{a0}12,50", "Bedrag"),
    ] {
        let amount_paid = Money::new(1250, "eur".parse().unwrap());
        let purchase = Some(ShownPurchase { amount: amount_paid, product: "Guide & <map>".to_owned() });
        let html = html(Page::Thanks, &PageContext { purchase, ..context(language, &[]) });
        assert!(html.contains(&format!("<dt>{label}</dt><dd>{amount}</dd>")), "{html}");
        assert!(html.contains("<dd>Guide &amp; &lt;map&gt;</dd>"), "{html}");
        let nothing = self::html(Page::Thanks, &context(language, &[]));
        assert!(!nothing.contains("<dl"), "{nothing}");
    }
}

#[test]
fn every_page_says_who_the_organisation_is_by_law_where_the_policy_says_it() {
    let mut organisation = Policy::compiled_in().unwrap().organisation;
    organisation.legal_name = Some("Example & Sons".to_owned());
    organisation.address = Some("Musterstraße 1\n10115 Berlin".to_owned());
    organisation.tax_id = Some("USt-IdNr. DE123456789".to_owned());
    let renderer = Renderer::new(&organisation, "https://goods.s3.eu-west-1.amazonaws.com");
    for page in PAGES {
        let html = renderer.answer(page, &context("de", &[])).body.unwrap();
        let lines = "Example &amp; Sons<br>Musterstraße 1<br>10115 Berlin<br>USt-IdNr. DE123456789";
        assert!(html.contains(lines), "{page:?} {html}");
    }
}
