use std::sync::LazyLock;

use customer_locale::{LANGUAGES, LocaleRequest};
use download_claims::{BoughtFile, OfferedFile, SoldItem};
use fulfilment::{AmountParts, FulfilmentKind, Money, Policy, TemplateName};
use include_dir::Dir;

use super::*;
use crate::customer_name::tests::linkable;
use crate::own_files::{OwnFiles, text_of};

mod sale;

const TEMPLATES: [&str; 6] =
    ["contribution", "download", "files-ready", "membership", "payment-pending", "payment-failed"];

/// The languages that ship.
fn locales() -> impl Iterator<Item = &'static str> {
    LANGUAGES.iter().map(|language| language.tag())
}

fn policy() -> Policy {
    Policy::compiled_in().unwrap()
}

fn money(minor: i64, code: &str) -> Money {
    Money::new(minor, code.parse().unwrap())
}

/// Ada gave £12.50, and nothing more is known about her language.
fn ada(policy: &Policy) -> MailContext<'_> {
    MailContext {
        occasion: Occasion::ThankYou { template: None },
        kind: FulfilmentKind::Contribution,
        renewal: false,
        download: None,
        policy,
        locale: spoken("auto"),
        customer_name: Some("Ada Lovelace"),
        amount: money(1250, "gbp"),
        sale: Sale::default(),
        paid_on: 1_795_262_400,
        reference: "pi_3QTestReference000000001",
    }
}

fn spoken(tag: &str) -> LocaleRequest<'_> {
    LocaleRequest { session: Some(tag), country: None }
}

/// A payment of the kind that gets this template.
fn of_template<'a>(template: &str, ada: MailContext<'a>) -> MailContext<'a> {
    let kind = FulfilmentKind::ALL.into_iter().find(|kind| kind.as_str() == template);
    let occasion = match template {
        "payment-pending" => Occasion::PaymentPending,
        "payment-failed" => Occasion::PaymentFailed,
        "files-ready" => Occasion::FilesReady,
        _ => ada.occasion,
    };
    let (kind, download) = match template {
        "download" => (kind, Some(&*SOME_GUIDES)),
        "files-ready" => (Some(FulfilmentKind::Download), Some(&*ALL_GUIDES)),
        _ => (kind, None),
    };
    MailContext { occasion, kind: kind.unwrap_or(ada.kind), download, ..ada }
}

/// Two guides, of which one is not there yet.
static SOME_GUIDES: LazyLock<Download> = LazyLock::new(|| guides(None));

static ALL_GUIDES: LazyLock<Download> = LazyLock::new(|| guides(Some(9_800_000)));

fn guides(audio: Option<i64>) -> Download {
    let file = |key: &str, size| OfferedFile {
        file: BoughtFile { key: key.to_owned(), quantity: 2, product: Some("Guide & map".to_owned()) },
        size,
    };
    Download {
        files: vec![file("guide.pdf", Some(1_200_000)), file("audio/guide.mp3", audio)],
        link: "https://example.org/d/v1.aaaa.bbbb.cccc".to_owned(),
    }
}

/// Every built-in mail, one for each template and locale.
fn every_mail(context: MailContext<'_>) -> Vec<RenderedMail> {
    let pairs = TEMPLATES.iter().flat_map(|template| locales().map(move |locale| (template, locale)));
    pairs
        .map(|(template, locale)| {
            let context = MailContext { locale: spoken(locale), ..of_template(template, context) };
            let mail = built_in(&context);
            assert_eq!((&*mail.template, &*mail.locale), (*template, locale));
            assert_eq!(mail.passed_over, []);
            mail
        })
        .collect()
}

/// The mail as it comes out when a marketer's own files go before the built-in ones.
fn with_files(files: &[(&str, &str)], context: &MailContext<'_>) -> RenderedMail {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text_of(text.as_bytes().to_vec())));
    render(Some(&OwnFiles(files.collect()).over_built_in()), context).unwrap()
}

/// The mail as it comes out without any files of a marketer's.
fn built_in(context: &MailContext<'_>) -> RenderedMail {
    render(None, context).unwrap()
}

fn named(name: &str) -> TemplateName {
    TemplateName::try_from(name.to_owned()).unwrap()
}

/// Golden files: the text parts to read, the HTML parts to open in a browser.
#[test]
fn a_renewed_membership_goes_on_in_every_language_and_part() {
    let policy = policy();
    for (locale, first, renewed) in [
        ("en", "is confirmed", "continues"),
        ("de", "ist bestätigt", "läuft weiter"),
        ("fr", "est confirmée", "se poursuit"),
        ("es", "está confirmada", "continúa"),
        ("it", "è confermata", "prosegue"),
        ("nl", "is bevestigd", "loopt door"),
    ] {
        for minor in [500, 0] {
            let context = MailContext {
                kind: FulfilmentKind::Membership,
                locale: spoken(locale),
                amount: money(minor, "gbp"),
                ..ada(&policy)
            };
            for (renewal, says, says_not) in [(false, first, renewed), (true, renewed, first)] {
                let mail = built_in(&MailContext { renewal, ..context });
                for part in [mail.subject, mail.html, mail.text] {
                    assert!(part.contains(says) && !part.contains(says_not), "{locale} {minor}: {part}");
                }
            }
        }
    }
}

#[test]
fn every_mail_reads_as_it_was_approved() {
    let policy = policy();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for mail in every_mail(ada(&policy)) {
            let name = format!("{}-{}", mail.template, mail.locale);
            let text = format!("Subject: {}\n\n{}", mail.subject, mail.text);
            insta::assert_snapshot!(format!("{name}.txt"), text);
            insta::assert_binary_snapshot!(&format!("{name}.html"), mail.html.into_bytes());
        }
    });
}

/// What a public form lets through, and what the customer is called then.
#[test]
fn strange_names_are_greeted_as_it_was_approved() {
    let one_word = "Wolfeschlegelsteinhausenbergerdorff".repeat(9);
    let words = "Ada Augusta King, Countess of Lovelace, ".repeat(8);
    let names = [
        ("HTML", "<img src=x onerror=\"alert(1)\">"),
        ("HTML that closes ours", "</p></td><h1 style='font-size:99px'>Ada &amp; Co</h1>"),
        ("template code", "{{ reference }}{% include 'x' %}"),
        ("lines", "Ada\r\nSubject: You have won\r\n\r\nDear winner"),
        ("lines with an address", "Ada\r\nBcc: eve@example.org"),
        ("a link", "Claim your prize at https://example.org/prize"),
        ("right to left override", "Ada \u{202e}ecalevoL"),
        ("Arabic", "محمد علي"),
        ("Japanese", "毛利 蘭"),
        ("emoji", "👩‍🚀 Ada 👨‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
        ("apostrophes", "Seán \"Jack\" O’Neill & Sons"),
        ("300 characters", &words[..300]),
        ("300 characters, one word", &one_word[..300]),
        ("white space", " \t Ada \u{a0}\u{2028} Lovelace \n"),
        ("nothing to be seen", "\u{200b}\u{202e}\r\n"),
        ("empty", ""),
    ];
    let policy = policy();
    let mut greetings = String::new();
    for (what, name) in names {
        greetings += &format!("{what}\n");
        for locale in locales() {
            let context = MailContext { customer_name: Some(name), locale: spoken(locale), ..ada(&policy) };
            let mail = built_in(&context);
            // The greeting opens the text, and is in the HTML where the same mail without a name has its own.
            let text = mail.text.lines().next().unwrap();
            let nameless = built_in(&MailContext { customer_name: None, ..context });
            let html = mail.html.lines();
            let plain = nameless.html.lines();
            assert_eq!(html.clone().count(), plain.clone().count(), "{what}");
            let changed: Vec<_> = html.zip(plain).filter(|(with, without)| with != without).collect();
            assert!(changed.len() <= 1, "{what}: {changed:?}");
            let html = changed.first().map_or("as if there were no name", |(html, _)| html);
            greetings += &format!("  {locale}  {text}\n      {html}\n");
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("strange-names", greetings));
}

#[test]
fn every_part_says_what_where_when_and_which() {
    let policy = policy();
    for mail in every_mail(ada(&policy)) {
        for part in [&mail.html, &mail.text] {
            for fact in ["pi_3QTestReference000000001", "Example Project", "hello@example.org", "2026"] {
                assert!(part.contains(fact), "{fact} in {mail:?}");
            }
            assert!(
                ["£12.50", "12,50\u{a0}£", "£\u{a0}12,50", "12,50\u{a0}GBP"]
                    .iter()
                    .any(|amount| part.contains(amount)),
                "{mail:?} {part}"
            );
        }
        assert!(!mail.subject.contains("Ada"), "{mail:?}");
    }
}

#[test]
fn html_fetches_nothing_and_runs_nothing() {
    let policy = policy();
    for mail in every_mail(ada(&policy)) {
        // Only a link, which does nothing until it is clicked.
        let html = mail.html.replace("https:&#x2f;&#x2f;example.org&#x2f;d&#x2f;", "");
        for loads in ["http:", "https:", "//", "<img", "<link", "<script", "url(", "@import"] {
            assert!(!html.contains(loads), "{loads} in {mail:?}");
        }
        assert!(mail.html.contains(&format!("<html lang=\"{}\"", mail.locale)));
    }
}

#[test]
fn shows_the_amount_the_way_the_language_does() {
    let policy = policy();
    let check = |tag: &str, amount: Money, expected: &str| {
        let mail = built_in(&MailContext { locale: spoken(tag), amount, ..ada(&policy) });
        assert!(mail.text.contains(expected), "{expected} in {}", mail.text);
        assert!(mail.html.contains(expected), "{expected}");
    };
    check("en", money(1250, "gbp"), "£12.50");
    check("en-US", money(500, "jpy"), "¥500");
    check("en", money(1500, "kwd"), "KWD\u{a0}1.500");
    check("de", money(123_450, "eur"), "1.234,50\u{a0}€");
    check("de", money(50_000, "isk"), "500\u{a0}ISK");
    check("fr", money(123_450, "eur"), "1\u{202f}234,50\u{a0}€");
    check("en-US", money(1250, "usd"), "November 21, 2026");
    check("de", money(1250, "eur"), "21. November 2026");
}

#[test]
fn words_and_numbers_are_of_one_language() {
    let policy = policy();
    let mail = built_in(&MailContext {
        locale: LocaleRequest { session: Some("pt-BR"), country: Some("BR") },
        amount: money(123_450, "eur"),
        ..ada(&policy)
    });
    assert_eq!(mail.locale, "en");
    assert!(mail.text.contains("€1,234.50"), "{}", mail.text);
    assert!(mail.text.contains("21 November 2026"), "{}", mail.text);
    assert!(mail.text.contains("For: Contribution"), "{}", mail.text);
}

#[test]
fn greets_a_customer_without_a_name() {
    let policy = policy();
    for name in [None, Some(""), Some(" \r\n "), Some("\u{200b}"), Some("see https://example.org")] {
        for mail in every_mail(MailContext { customer_name: name, ..ada(&policy) }) {
            let greeting = mail.text.lines().next().unwrap();
            let greetings = ["Hello,", "Guten Tag,", "Bonjour,", "Hola:", "Buongiorno,", "Goedendag,"];
            assert!(greetings.contains(&greeting), "{greeting}");
            assert!(mail.html.contains(&format!(">{greeting}</p>")));
        }
    }
}

#[test]
fn escapes_what_the_customer_typed() {
    let policy = policy();
    let name = "<b>Bob</b> & \"Co\" <!-- {{ reference }} {% include 'x' %}";
    for mail in greeted_mails(MailContext { customer_name: Some(name), ..ada(&policy) }) {
        assert!(!mail.html.contains("<b>"));
        assert!(mail.html.contains("&lt;b&gt;Bob&lt;&#x2f;b&gt; &amp; &quot;Co&quot; &lt;!--"));
        assert!(mail.html.contains("{{ reference }}"));
        // Plain text has nothing to escape.
        assert!(mail.text.contains("<b>Bob</b> & \"Co\""));
    }
}

/// The mails that greet by name: those to customers who have paid.
fn greeted_mails(context: MailContext<'_>) -> impl Iterator<Item = RenderedMail> {
    every_mail(context).into_iter().filter(|mail| !mail.template.starts_with("payment-"))
}

#[test]
fn only_customers_who_have_paid_are_greeted_by_name() {
    let policy = policy();
    for mail in every_mail(ada(&policy)) {
        let greeted = mail.text.contains("Ada Lovelace") && mail.html.contains("Ada Lovelace");
        assert_eq!(greeted, !mail.template.starts_with("payment-"), "{mail:?}");
    }
    for mail in every_mail(MailContext { amount: money(0, "gbp"), ..ada(&policy) }) {
        assert!(!mail.text.contains("Ada") && !mail.html.contains("Ada"), "{mail:?}");
    }
}

/// A mail has the same links with and without the name, whatever the name is and whatever template shows it.
#[test]
fn no_name_adds_a_link_to_any_part_of_a_mail() {
    const OWN: &[(&str, &str)] = &[
        ("gala/en.subject.txt", "Dear {{ (customer.name or 'friend') | upper }}"),
        ("gala/en.html", "<p>{% if customer.name %}{{ customer.name | title }}{% endif %}!</p>"),
        ("gala/en.txt", "{% if customer.name %}Dear {{ customer.name }},{% endif %} hello"),
    ];
    let policy = policy();
    let gala = named("gala");
    let count = |context: &MailContext<'_>| {
        let mails = [with_files(OWN, context), built_in(context)];
        let parts = mails.iter().flat_map(|mail| [&mail.subject, &mail.html, &mail.text]);
        parts.map(|part| linkable(part).len()).collect::<Vec<_>>()
    };
    let lures = [
        "EVIL.COM",
        "t.co/x",
        "see evil.com?r",
        "https://EVIL.COM/r",
        "evil。com",
        "tel:123",
        "a@b.c",
        "call 0900 1234",
        "Dr.med. Ada",
    ];
    for template in TEMPLATES {
        let context = of_template(template, ada(&policy));
        let context = match context.occasion {
            Occasion::ThankYou { .. } => {
                MailContext { occasion: Occasion::ThankYou { template: Some(&gala) }, ..context }
            }
            Occasion::PaymentPending | Occasion::PaymentFailed | Occasion::FilesReady => context,
        };
        let nameless = count(&MailContext { customer_name: None, ..context });
        for lure in lures {
            assert_eq!(count(&MailContext { customer_name: Some(lure), ..context }), nameless, "{lure}");
        }
    }
}

#[test]
fn no_name_breaks_a_line_or_the_layout() {
    let policy = policy();
    let long = "Ada\r\nBcc: everyone@example.org\u{202e}".repeat(10);
    for name in [long.as_str(), "Ada\r\nLovelace", "Ada\u{202e}ecalevoL", "👩‍🚀 Ada"] {
        for mail in every_mail(MailContext { customer_name: Some(name), ..ada(&policy) }) {
            assert!(!mail.subject.contains(char::is_control), "{mail:?}");
            for part in [&mail.html, &mail.text] {
                assert!(!part.contains(['\r', '\u{202e}']));
                assert!(!part.contains("everyone"));
            }
            assert!(mail.text.lines().next().unwrap().chars().count() < 100);
        }
    }
}

#[test]
fn does_not_speak_of_a_payment_when_nothing_was_due() {
    let policy = policy();
    for mail in every_mail(MailContext { amount: money(0, "gbp"), ..ada(&policy) }) {
        if mail.template.starts_with("payment-") {
            continue;
        }
        for arrived in ["arrived", "eingegangen", "angekommen", "parvenu", "recibido", "arrivat", "ontvangen"]
        {
            assert!(!mail.text.contains(arrived), "{}", mail.text);
            assert!(!mail.html.contains(arrived), "{}", mail.html);
        }
    }
}

#[test]
fn refuses_a_time_that_is_none() {
    let policy = policy();
    let paid_on = 1_795_262_400_000; // Milliseconds.
    let error = render(None, &MailContext { paid_on, ..ada(&policy) }).unwrap_err();
    assert_eq!(error, RenderError::PaidOn(paid_on));
}

#[test]
fn a_marketers_file_wins_over_the_built_in_one() {
    let policy = policy();
    let mail = with_files(&[("contribution/en.subject.txt", "  {{ amount }},\n thank you\n")], &ada(&policy));
    assert_eq!(mail.subject, "£12.50, thank you");
    assert_eq!(mail.text, built_in(&ada(&policy)).text);
    assert_eq!(mail.passed_over, []);
}

#[test]
fn a_marketers_locale_wins_when_it_is_complete() {
    const PORTUGUESE: &[(&str, &str)] = &[
        ("contribution/pt.subject.txt", "Obrigado"),
        ("contribution/pt.html", "<p>{{ amount }}, {{ paid_on }}</p>"),
        ("contribution/pt.txt", "{{ amount }}, {{ paid_on }}"),
    ];
    let policy = policy();
    let context = MailContext { locale: spoken("pt"), ..ada(&policy) };
    let mail = with_files(PORTUGUESE, &context);
    assert_eq!((&*mail.locale, &*mail.text), ("pt", "£\u{a0}12,50, 21 de novembro de 2026 (UTC)"));
    let mail = with_files(&PORTUGUESE[..2], &context);
    assert_eq!(mail.locale, "en");
    assert_eq!(
        mail.passed_over[0].to_string(),
        "template file contribution/pt.txt: it is missing, although there is contribution/pt.subject.txt"
    );
}

#[test]
fn the_links_template_wins_when_there_is_one() {
    let policy = policy();
    let gala = named("gala");
    let context = MailContext { occasion: Occasion::ThankYou { template: Some(&gala) }, ..ada(&policy) };
    let mail = with_files(
        &[
            ("gala/en.subject.txt", "The gala"),
            ("gala/en.html", "<p>{{ customer.name }}</p>"),
            ("gala/en.txt", "{{ customer.name }}"),
        ],
        &context,
    );
    assert_eq!((&*mail.template, &*mail.html), ("gala", "<p>Ada Lovelace</p>"));

    let mail = built_in(&context);
    assert_eq!(mail.template, "contribution");
    assert_eq!(mail.passed_over, [RenderError::NoSuchTemplate("gala".into())]);
}

fn check_passed_over(files: &[(&str, &str)], expected: &str) {
    let policy = policy();
    let context = MailContext { customer_name: None, ..ada(&policy) };
    let mail = with_files(files, &context);
    assert_eq!(mail.html, built_in(&context).html);
    let said: Vec<String> = mail.passed_over.iter().map(ToString::to_string).collect();
    assert_eq!(said, [expected]);
}

#[test]
fn no_mail_is_lost_to_a_broken_file() {
    check_passed_over(
        &[("contribution/en.html", "<p>\n{{ amount | }}")],
        "template file contribution/en.html, line 2: syntax error: unexpected end of variable block, expected identifier",
    );
    check_passed_over(
        &[("contribution/en.html", "{{ amuont }}")],
        "template file contribution/en.html, line 1: undefined value",
    );
    check_passed_over(
        &[("contribution/en.html", "Dear {{ customer.name }}")],
        "template file contribution/en.html, line 1: undefined value",
    );
    check_passed_over(
        &[("contribution/en.txt", "{{ amount | shout }}")],
        "template file contribution/en.txt, line 1: unknown filter: filter shout is unknown",
    );
    check_passed_over(
        &[("contribution/en.txt", " \n")],
        "template file contribution/en.txt: it comes out empty",
    );
    check_passed_over(
        &[(
            "layout/en.html",
            "{% extends 'layout/base.html' %}\n{% block closing %}{{ nobody }}{% endblock %}",
        )],
        "template file layout/en.html, line 2: undefined value",
    );
    check_passed_over(
        &[("contribution/en.txt", "{% include 'gala/en.txt' %}")],
        "template file contribution/en.txt, line 1: template not found: tried to include non-existing template 'gala/en.txt'",
    );
}

/// Used in any way but asked for and replaced, a missing name is a mistake, named with its line.
#[test]
fn a_missing_name_is_never_printed_however_it_is_used() {
    for used in [
        "{{ customer.name }}",
        "{{ customer.name | title }}",
        "{{ customer.name|upper|trim }}",
        "{{ 'Dear ' ~ customer.name }}",
        "{{ customer.name + '!' }}",
        "{% set who = customer.name %}{{ who }}",
        "{% set who = customer.name | capitalize %}{{ who }}",
        "{{ [customer.name] | join(', ') }}",
        "{{ customer.name | escape }}",
        "{{ customer.name | first }}",
        "{{ customer.name | length }}",
        "{% for letter in customer.name %}{{ letter }}{% endfor %}",
        "{{ customer.name if amount else 'x' }}",
        "{{ files_url ~ '' }}",
        "{{ none | upper }}",
        "{{ 'a' ~ none }}",
        "{{ [customer.name] }}",
        "{{ customer.nmae | lower }}",
    ] {
        for file in ["en.subject.txt", "en.html", "en.txt"] {
            let policy = policy();
            let context = MailContext { customer_name: None, ..ada(&policy) };
            let path = format!("contribution/{file}");
            let mail = with_files(&[(&path, &format!("Hello\n{used}"))], &context);
            assert_eq!(mail.html, built_in(&context).html, "{used}");
            assert_eq!(mail.subject, built_in(&context).subject, "{used}");
            let said: Vec<String> = mail.passed_over.iter().map(ToString::to_string).collect();
            assert!(said.len() == 1 && said[0].contains(&format!("{path}, line 2: ")), "{used}: {said:?}");
        }
    }
}

#[test]
fn a_missing_name_can_be_asked_for_and_replaced() {
    let policy = policy();
    let context = MailContext { customer_name: None, ..ada(&policy) };
    for asked in [
        "{{ customer.name or 'friend' }}",
        "{{ customer.name | default('friend') }}",
        "{{ customer.name | default('friend') | lower }}",
        "{{ customer.name|d('friend', true) }}",
        "{% if customer.name %}{{ customer.name }}{% else %}friend{% endif %}",
        "{{ customer.name if customer.name else 'friend' }}",
        "{{ 'friend' if customer.name is none }}",
        "{{ 'friend' if customer.name is not defined }}",
        "{% set who = customer.name | default('friend') %}{{ who }}",
        "{{ 'frie' ~ 'nd' if not customer.name }}",
    ] {
        let mail = with_files(&[("contribution/en.txt", asked)], &context);
        assert_eq!((&*mail.text, &*mail.passed_over), ("friend", &[][..]), "{asked}");
    }
}

/// None of these may come as far as the engine, or go further in it than a mail does.
#[test]
fn no_template_uses_up_memory_or_time() {
    let doubling = format!("{{% set a = 'xxxxxxxxxxxxxxxx' %}}{}", "{% set a = a ~ a %}".repeat(30));
    let kept = format!(
        "{{% set a %}}xxxxxxxxxxxxxxxx{{% endset %}}{}",
        "{% set a %}{{ a }}{{ a }}{% endset %}".repeat(30)
    );
    let by_list = format!("{{% set a = 'x' %}}{}", "{% set a = [a, a] | join %}".repeat(30));
    let joined = format!("{{{{ {} }}}}", ["range(200) | join('xxxxxxxxxxxxxxxx')"; 20].join(" ~ "));
    let nested = "{{ range(200) | join(range(200) | join('xxxxxxxxxxxxxxxx')) }}";
    let with = format!("{}{{{{ a }}}}{}", "{% with a = a ~ a %}".repeat(25), "{% endwith %}".repeat(25));
    let looped = format!("{{% for _ in range(200) %}}{}{{% endfor %}}", "very long ".repeat(2000));
    for bomb in [
        "{% set ns = namespace(s='xx') %}{% for i in range(25) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}hello",
        doubling.as_str(),
        by_list.as_str(),
        joined.as_str(),
        nested,
        with.as_str(),
        looped.as_str(),
        "{{ 'a\nb' | indent(2000000000) }}",
        "{{ '%2000000000s' | format('a') }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 'x' ** 9 }}",
        "{{ amount | replace('1', 'xxxxxxxxxxxxxxxxxxxxxxxxx') }}",
        "{{ [1] | batch(2000000000, 'x') }}",
        "{{ range(2000000000) | length }}",
        kept.as_str(),
        "{% set a %}{% include 'layout/files.txt' %}{% endset %}",
        "{% include 'layout/files.txt' %}{% include 'layout/files.txt' %}{% include 'layout/files.txt' %}\
         {% include 'layout/files.txt' %}{% include 'layout/files.txt' %}",
        "{% filter upper %}{{ amount }}{% endfilter %}",
        "{% for f in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% block a %}x{% endblock %}{% set x = self.a() %}{{ x }}",
        "{% block a %}x{% endblock %}{{ self.a() | length }}{{ amount.a() }}",
        "{% block a %}{{ self.a() }}{% endblock %}",
        "{{ (self.a)() }}",
        "{{ debug() }}",
        "{% for _ in range(9) %}{% include 'layout/files.txt' %}{% endfor %}",
    ] {
        let policy = policy();
        let mail = with_files(&[("contribution/en.txt", bomb)], &ada(&policy));
        assert_eq!(mail.text, built_in(&ada(&policy)).text, "{bomb}");
        let said: Vec<String> = mail.passed_over.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].starts_with("template file contribution/en.txt"), "{said:?}");
    }
}

/// What ships may be copied into the bucket and changed there.
#[test]
fn the_built_in_templates_are_allowed_as_templates_of_ones_own() {
    let policy = policy();
    let files = crate::wording::BUILT_IN.dirs().flat_map(Dir::files);
    let shipped_files: Vec<_> =
        files.map(|file| (file.path().to_str().unwrap(), file.contents_utf8().unwrap())).collect();
    for template in TEMPLATES {
        for locale in locales() {
            let context = MailContext { locale: spoken(locale), ..of_template(template, ada(&policy)) };
            let own = with_files(&shipped_files, &context);
            let shipped = built_in(&context);
            assert_eq!((own.html, own.text, own.passed_over), (shipped.html, shipped.text, Vec::new()));
        }
    }
}

#[test]
fn no_loop_holds_up_a_mail() {
    let forever = "{% for _ in range(9999) %}{% for _ in range(9999) %}{{ amount }}{% endfor %}{% endfor %}";
    check_passed_over(
        &[("contribution/en.txt", forever)],
        "template file contribution/en.txt, line 1: it loops without end",
    );
    check_passed_over(
        &[("contribution/en.txt", "{% include 'contribution/en.txt' %}")],
        "template file contribution/en.txt, line 1: invalid operation",
    );
    let long = format!("{{% for _ in range(99) %}}{}{{% endfor %}}", "very ".repeat(700));
    check_passed_over(
        &[("contribution/en.txt", &long)],
        "template file contribution/en.txt: it comes out longer than any mail should be",
    );
}

#[test]
fn a_file_that_is_no_text_is_named() {
    let latin1 = text_of(b"Gr\xfc\xdfe".to_vec());
    let path = |name: &str| format!("contribution/{name}");
    let own = OwnFiles([(path("en.txt"), latin1)].into()).over_built_in();
    let policy = policy();
    let mail = render(Some(&own), &ada(&policy)).unwrap();
    let said: Vec<String> = mail.passed_over.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["template file contribution/en.txt: syntax error: contribution/en.txt is not text in UTF-8"]
    );
    assert_eq!(mail.text, built_in(&ada(&policy)).text);
}

#[test]
fn no_template_can_switch_escaping_off() {
    for html in [
        "{{ amount | safe }}",
        "{% autoescape false %}{{ amount }}{% endautoescape %}",
        "{% autoescape false %}{% set x %}{{ amount }}{% endset %}{% endautoescape %}{{ x }}",
        "{% include 'contribution/raw.txt' %}",
    ] {
        let files = [("contribution/en.html", html), ("contribution/raw.txt", "{{ customer.name }}")];
        let policy = policy();
        let mail = with_files(&files, &MailContext { customer_name: Some("<b>"), ..ada(&policy) });
        assert!(!mail.html.contains("<b>"), "{html}");
    }
}

#[test]
fn errors_and_debug_output_name_no_customer() {
    let policy = policy();
    let context = ada(&policy);
    let files: &[(&str, &str)] =
        &[("contribution/en.txt", "{{ customer.name | int }}{{ customer.name + 1 }}")];
    let mail = with_files(files, &context);
    assert_eq!(mail.passed_over.len(), 1);
    let printed = format!("{context:?} {mail:?} {}", mail.passed_over[0]);
    assert!(!printed.contains("Ada"), "{printed}");
    assert!(!printed.contains("Lovelace"), "{printed}");
}
