//! What was bought, what it is made of, how it goes on, and the way to the files.

use download_claims::{Period, PeriodUnit, Recurring};

use super::*;

fn item(name: &str, quantity: i64, amount: i64) -> SoldItem {
    SoldItem { name: name.to_owned(), quantity, amount: Some(amount), recurring: None }
}

fn recurring(unit: PeriodUnit, count: u32, amount: Option<i64>) -> SoldItem {
    let recurring = Some(Recurring { period: Period { unit, count }, amount });
    SoldItem { recurring, ..item("Friend", 1, 500) }
}

/// Both parts have all of these, and none of those.
fn check(context: &MailContext<'_>, says: &[&str], says_not: &[&str]) {
    let mail = built_in(context);
    assert_eq!(mail.passed_over, []);
    for part in [&mail.html, &mail.text] {
        for text in says {
            assert!(part.contains(text), "{text} is not in {part}");
        }
        for text in says_not {
            assert!(!part.contains(text), "{text} is in {part}");
        }
    }
}

#[test]
fn the_links_name_wins_then_the_lines_then_those_of_the_files_then_the_policys_word() {
    let policy = policy();
    let ada = of_template("download", ada(&policy));
    let lines = [item("The map", 1, 250), item("The guide", 2, 1000)];
    let unnamed = Download { files: vec![], ..SOME_GUIDES.clone() };
    let subject = |sale: Sale<'_>, download: &Download| {
        built_in(&MailContext { sale, download: Some(download), ..ada }).subject
    };
    let named = Sale { shown_as: Some(" The field\u{202e} guide\r\n"), items: &lines, ..Sale::default() };
    assert_eq!(subject(named, &SOME_GUIDES), "Your download: The field guide");
    let of_lines = Sale { items: &lines, ..Sale::default() };
    assert_eq!(subject(of_lines, &SOME_GUIDES), "Your download: The map, The guide");
    assert_eq!(subject(Sale::default(), &SOME_GUIDES), "Your download: Guide & map");
    assert_eq!(subject(Sale::default(), &unnamed), "Your order from Example Project");
    let many: Vec<_> = (10..40).map(|number| item(&format!("Chapter {number}"), 1, 100)).collect();
    let subject = subject(Sale { items: &many, ..Sale::default() }, &SOME_GUIDES);
    assert!(subject.starts_with("Your download: Chapter 10, Chapter 11, ") && subject.ends_with(", …"));
    assert!(subject.chars().count() < 125, "{subject}");
}

#[test]
fn several_lines_are_listed_with_their_amounts_and_one_line_is_named() {
    let policy = policy();
    let one = [item("The <b>guide", 3, 1250)];
    let two = [item("The guide", 2, 1000), item("The map", 1, 250)];
    let ada = ada(&policy);
    let with = |items, converted| MailContext { sale: Sale { items, converted, ..Sale::default() }, ..ada };
    let mail = built_in(&with(&one, false));
    assert!(mail.text.contains("For: The <b>guide (×\u{a0}3)\n"), "{}", mail.text);
    assert!(mail.html.contains("The &lt;b&gt;guide (&times;&nbsp;3)"), "{}", mail.html);
    let mail = built_in(&with(&two, false));
    assert!(mail.text.contains("- The guide (×\u{a0}2) · £10.00\n- The map · £2.50\n"), "{}", mail.text);
    check(&with(&two, false), &["The guide", "The map", "£10.00", "£2.50"], &[]);
    // The customer saw another currency: what a line cost in ours would puzzle them.
    check(&with(&two, true), &["The guide", "The map"], &["£10.00", "£2.50"]);
}

#[test]
fn a_discount_and_tax_are_shown_where_there_were_any() {
    let policy = policy();
    let parts = AmountParts { discount: Some(100), tax: Some(208), ..AmountParts::default() };
    let sale = Sale { parts, ..Sale::default() };
    let with = |sale, locale| MailContext { sale, locale: spoken(locale), ..ada(&policy) };
    let nothing = Sale::default();
    let zero = AmountParts { discount: Some(0), tax: Some(0), ..AmountParts::default() };
    for (locale, discount, tax, less) in [
        ("en", "Discount", "Including tax", "-£1.00"),
        ("de", "Rabatt", "Enthaltene Steuer", "-1,00\u{a0}£"),
        ("fr", "Remise", "Dont taxes", "-1,00\u{a0}£GB"),
        ("es", "Descuento", "Impuestos incluidos", "-1,00\u{a0}£"),
        ("it", "Sconto", "Imposte incluse", "-1,00\u{a0}£"),
        ("nl", "Korting", "Inclusief belasting", "£\u{a0}-1,00"),
    ] {
        check(&with(sale, locale), &[discount, tax, less], &[]);
        for none in [nothing, Sale { parts: zero, ..nothing }, Sale { converted: true, ..sale }] {
            check(&with(none, locale), &[], &[discount, tax]);
        }
    }
    let free = AmountParts { discount: Some(1250), ..AmountParts::default() };
    let free = Sale { parts: free, ..Sale::default() };
    let free = MailContext { sale: free, amount: money(0, "gbp"), ..ada(&policy) };
    check(&free, &["-£12.50", "£0.00", "There was nothing to pay."], &["arrived"]);
}

/// A first payment of £5.00.
fn paid<'a>(policy: &'a Policy, items: &'a [SoldItem], parts: AmountParts) -> MailContext<'a> {
    let sale = Sale { items, parts, ..Sale::default() };
    MailContext { kind: FulfilmentKind::Membership, sale, amount: money(500, "gbp"), ..ada(policy) }
}

#[test]
fn a_subscription_says_what_it_costs_how_often_and_how_it_ends() {
    let mut policy = policy();
    let monthly = [recurring(PeriodUnit::Month, 1, Some(500))];
    let whole = AmountParts::default();
    for (locale, sentence) in [
        ("en", "Your payment renews every month for £5.00 until you cancel."),
        ("de", "Ihre Zahlung von 5,00\u{a0}£ wiederholt sich jeden Monat, bis Sie kündigen."),
        ("fr", "Votre paiement de 5,00\u{a0}£GB se renouvelle chaque mois, jusqu’à ce que vous l’arrêtiez."),
        ("es", "Su pago de 5,00\u{a0}£ se renueva cada mes hasta que lo cancele."),
        ("it", "Il suo pagamento di 5,00\u{a0}£ si rinnova ogni mese, finché non lo disdice."),
        ("nl", "Uw betaling van £\u{a0}5,00 wordt elke maand herhaald totdat u opzegt."),
    ] {
        let context = MailContext { locale: spoken(locale), ..paid(&policy, &monthly, whole) };
        check(&context, &[sentence, "hello@example.org"], &[]);
        check(&paid(&policy, &[], whole), &[], &["renews"]);
    }
    for (unit, count, every) in [
        (PeriodUnit::Day, 1, "every day"),
        (PeriodUnit::Day, 7, "every week"),
        (PeriodUnit::Week, 2, "every 2 weeks"),
        (PeriodUnit::Month, 3, "every three months"),
        (PeriodUnit::Month, 6, "every six months"),
        (PeriodUnit::Month, 12, "every year"),
        (PeriodUnit::Month, 18, "every 18 months"),
        (PeriodUnit::Year, 1, "every year"),
        (PeriodUnit::Year, 2, "every 2 years"),
        (PeriodUnit::Day, 10, "every 10 days"),
    ] {
        let items = [recurring(unit, count, None)];
        check(
            &paid(&policy, &items, whole),
            &[&format!("Your payment renews {every} until you cancel.")],
            &[],
        );
    }
    // A discount may be for the first payment alone, so the price of the next is not sure.
    let reduced = AmountParts { discount: Some(100), ..whole };
    check(&paid(&policy, &monthly, reduced), &["renews every month until you cancel."], &[]);
    // A payment that has not come promises nothing.
    let pending = MailContext { occasion: Occasion::PaymentPending, ..paid(&policy, &monthly, whole) };
    check(&pending, &[], &["renews"]);

    policy.organisation.manage_subscription = Some("https://billing.stripe.com/p/login/x".to_owned());
    let mail = built_in(&paid(&policy, &monthly, whole));
    assert!(mail.text.contains("To cancel: https://billing.stripe.com/p/login/x"), "{}", mail.text);
    assert!(mail.html.contains("href=\"https:&#x2f;&#x2f;billing.stripe.com&#x2f;p&#x2f;login&#x2f;x\""));
    assert!(!mail.text.contains("To cancel, write"));
}

#[test]
fn every_mail_says_who_the_organisation_is_by_law_where_the_policy_says_it() {
    let mut policy = policy();
    let organisation = &mut policy.organisation;
    organisation.legal_name = Some("Example & Sons e. V.".to_owned());
    organisation.address = Some("Musterstraße 1\n10115 Berlin\n".to_owned());
    organisation.tax_id = Some("USt-IdNr. DE123456789".to_owned());
    for mail in every_mail(ada(&policy)) {
        let lines = "Musterstraße 1\n10115 Berlin\nUSt-IdNr. DE123456789";
        assert!(mail.text.contains(&format!("Example & Sons e. V.\n{lines}")), "{}", mail.text);
        let html = format!("Example &amp; Sons e. V.<br>{}", lines.replace('\n', "<br>"));
        assert!(mail.html.contains(&html), "{}", mail.html);
    }
}

#[test]
fn the_link_is_promised_for_whole_days_and_no_longer_than_it_works() {
    let mut policy = policy();
    for (days, until) in [(1, "21 November 2026"), (2, "22 November 2026"), (365, "20 November 2027")] {
        policy.files.days = days;
        check(&of_template("download", ada(&policy)), &[&format!("until {until}.")], &[]);
    }
}

/// A wording of one's own on the frame, whatever it says.
#[test]
fn whoever_bought_files_gets_them_in_every_template_on_the_frame() {
    let policy = policy();
    let gala = named("gala");
    let context = of_template("download", ada(&policy));
    let context = MailContext { occasion: Occasion::ThankYou { template: Some(&gala) }, ..context };
    let files = [
        ("gala/en.subject.txt", "The gala"),
        ("gala/en.html", "{% extends 'layout/en.html' %}{% block message %}<p>Hi</p>{% endblock %}"),
        ("gala/en.txt", "{% extends 'layout/en.txt' %}{% block message %}Hi{% endblock %}"),
    ];
    let mail = with_files(&files, &context);
    assert_eq!((&*mail.template, &*mail.passed_over), ("gala", &[][..]));
    assert!(mail.text.contains("Download your files: https://example.org/d/v1.aaaa.bbbb.cccc"));
    assert!(mail.html.contains("v1.aaaa.bbbb.cccc\" style") && mail.html.contains("guide.mp3"));
    // No files were bought: no word of any.
    let mail = with_files(&files, &MailContext { download: None, ..context });
    assert!(!mail.text.contains("files") && !mail.html.contains("Download your files"), "{}", mail.html);
}

#[test]
fn a_wording_without_the_files_is_passed_over_and_said_so() {
    let policy = policy();
    let gala = named("gala");
    let context = of_template("download", ada(&policy));
    let context = MailContext { occasion: Occasion::ThankYou { template: Some(&gala) }, ..context };
    let with = "<p>{{ files_url }}</p>";
    for (html, text, lacking) in [
        ("<p>{{ amount }}</p>", "{{ files_url }}", "html"),
        (with, "{{ amount }}", "txt"),
        (with, "{% extends 'layout/en.txt' %}{% block files %}{% endblock %}", "txt"),
    ] {
        let files = [("gala/en.subject.txt", "Gala"), ("gala/en.html", html), ("gala/en.txt", text)];
        let mail = with_files(&files, &context);
        assert_eq!(mail.template, "download", "{html} {text}");
        let said: Vec<String> = mail.passed_over.iter().map(ToString::to_string).collect();
        let expected = format!(
            "template file gala/en.{lacking}: it leaves out `files_url`, so a customer who bought files would not get them"
        );
        assert_eq!(said, [expected]);
        // Without files to fetch there is nothing to leave out.
        let nothing = Download { files: Vec::new(), ..SOME_GUIDES.clone() };
        assert_eq!(with_files(&files, &MailContext { download: Some(&nothing), ..context }).template, "gala");
    }
    let whole = [("gala/en.subject.txt", "Gala"), ("gala/en.html", with), ("gala/en.txt", "{{ files_url }}")];
    assert_eq!(with_files(&whole, &context).template, "gala");
}
