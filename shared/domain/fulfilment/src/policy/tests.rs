use super::*;

const FILE: &str = include_str!("../../../../../policy.toml");

#[test]
fn the_file_is_right() {
    // Here with the line of a mistake, which what is compiled in has lost.
    for policy in [Policy::parse(FILE), Policy::compiled_in()] {
        if let Err(mistake) = policy {
            panic!("{mistake}");
        }
    }
}

fn check(from: &str, to: &str, expected: &str) {
    assert!(FILE.contains(from), "{from}");
    let mistake = Policy::parse(&FILE.replacen(from, to, 1)).unwrap_err().to_string();
    assert!(mistake.contains(expected), "{mistake}");
}

#[test]
fn a_mistake_is_named_where_it_is() {
    check(
        "retention_days = 3653",
        "retention_days = 0",
        "[contribution] `retention_days` must be at least 1",
    );
    check("retention_days = 3653", "retention = 3653", "unknown field `retention`");
    check("[download]", "[downloads]", "unknown field `downloads`");
    check("site = \"https://", "site = \"http://", "[organisation] `site` must be an address like");
    check("fetches = 20", "fetches = 0", "[files] `days` and `fetches` must be at least 1");
    for days in ["36500", "3653", "3624"] {
        let days = format!("days = {days}\n");
        check("days = 365\n", &days, "[files] `days` must be at least 30 less than [download]");
    }
    assert!(Policy::parse(&FILE.replacen("days = 365\n", "days = 3623\n", 1)).is_ok());
    check(
        "thank_you = \"contribution\"",
        "thank_you = \"Thank You\"",
        "lower-case letters, digits and hyphens",
    );
    check("en = \"Contribution\"", "uk = \"Contribution\"", "[contribution] `shown_as` lacks `en`");
    check(
        "notify = [\"hello@example.org\"]",
        "notify = [\"hello@example.net\"]",
        "[marketers] `notify` has \"hello@",
    );
    check("domains = [\"example.org\"]", "domain = [\"example.org\"]", "unknown field `domain`");
    check("contact = \"hello@example.org\"", "contact = \"our site\"", "`contact` must be an email address");
}

#[test]
fn who_the_organisation_is_by_law_is_checked_before_customers_read_it() {
    let with = |line: &str| Policy::parse(&FILE.replacen("\nsite = ", &format!("\n{line}\nsite = "), 1));
    for (line, expected) in [
        ("legal_name = \"\"", "`legal_name` must be one line"),
        ("legal_name = \"Example\\nProject\"", "`legal_name` must be one line"),
        ("tax_id = \" \"", "`tax_id` must be one line"),
        ("address = \"\"", "`address` must have one to eight lines"),
        ("address = \"1\\n2\\n3\\n4\\n5\\n6\\n7\\n8\\n9\"", "`address` must have one to eight lines"),
        ("manage_subscription = \"billing.stripe.com\"", "`manage_subscription` must be an address"),
        ("manage_subscription = \"http://billing.stripe.com/p\"", "`manage_subscription` must be an address"),
        (
            "manage_subscription = \"https://billing.stripe.com/p\\\"x\"",
            "`manage_subscription` must be an address",
        ),
    ] {
        let mistake = with(line).unwrap_err().to_string();
        assert!(mistake.contains("[organisation] ") && mistake.contains(expected), "{line}: {mistake}");
    }
    let address = "address = \"\"\"\nExample Project e. V.\n\n  Musterstraße 1\n10115 Berlin\n\"\"\"";
    let policy = with(address).unwrap();
    let lines: Vec<_> = policy.organisation.address_lines().collect();
    assert_eq!(lines, ["Example Project e. V.", "Musterstraße 1", "10115 Berlin"]);
    assert!(with("manage_subscription = \"https://billing.stripe.com/p/login/test_1\"").is_ok());
}

#[test]
fn renewals_are_thanked_for_only_where_the_kind_says_so() {
    let others: Vec<_> = FILE.lines().filter(|line| !line.starts_with("thank_renewals")).collect();
    let others = others.join("\n");
    let parse = |in_membership: &str| {
        Policy::parse(&others.replacen("\n[membership]", &format!("\n[membership]\n{in_membership}"), 1))
    };
    for (line, expected) in [("", false), ("thank_renewals = false", false), ("thank_renewals = true", true)]
    {
        let policy = parse(line).unwrap();
        assert_eq!(policy.thanks_renewals(), expected, "{line}");
        assert_eq!(policy.kind(FulfilmentKind::Membership).thank_renewals, expected, "{line}");
        assert!(!policy.kind(FulfilmentKind::Contribution).thank_renewals, "{line}");
    }
}

#[test]
fn a_mistake_about_renewals_is_named_where_it_is() {
    check(
        "thank_you = \"membership\"",
        "thank_you = \"membership\"\nthank_renewal = true",
        "unknown field `thank_renewal`",
    );
    for value in ["\"yes\"", "1", "[true]"] {
        let to = format!("thank_you = \"contribution\"\nthank_renewals = {value}");
        check("thank_you = \"contribution\"", &to, "expected a boolean");
    }
    check(
        "thank_you = \"download\"",
        "thank_you = \"download\"\nthank_renewals = true",
        "[download] `thank_renewals` cannot be true",
    );
    check(
        "[membership]",
        "[organisation.thanks]\nthank_renewals = true\n\n[membership]",
        "unknown field `thanks`",
    );
    check(
        "\n[contribution]",
        "\n[subscription]\nthank_renewals = true\n\n[contribution]",
        "unknown field `subscription`",
    );
}

#[test]
fn a_mistake_about_consents_is_named_where_it_is() {
    check("consents = [", "consent = [", "unknown field `consent`");
    check("name = \"supporter_newsletter\"", "name = \"News letter\"", "a consent's name must be");
    check(
        "question = \"2025-01\"",
        "question = \"\"",
        "[contribution] consent `supporter_newsletter`: `question` is empty",
    );
    check(
        "name = \"supporter_newsletter\", question = \"2025-01\" },\n  { name = \"similar_products\"",
        "name = \"similar_products\", question = \"2025-01\" },\n  { name = \"similar_products\"",
        "[membership] consent `similar_products`: is there twice",
    );
    let soft_opt_in = "countries = [\"GB\"], notice = \"2025-01\", since = 2025-01-01";
    for (to, expected) in [
        ("countries = [\"GB\"], since = 2025-01-01", "missing field `notice`"),
        ("countries = [\"GB\"], notice = \"1\"", "missing field `since`"),
        ("countries = [\"GB\"], notice = \" \", since = 2025-01-01", "`notice` is empty"),
        ("countries = [\"GB\"], notice = \"1\", since = \"May\"", "expected"),
        ("countries = [\"GB\"], notice = \"1\", since = 2025-13-01", "invalid"),
        ("countries = [], notice = \"1\", since = 2025-01-01", "`soft_opt_in` lists no country"),
        ("countries = [\"UK\"], notice = \"1\", since = 2025-01-01", "is \"GB\", not \"UK\""),
        ("countries = [\"gb\"], notice = \"1\", since = 2025-01-01", "\"gb\" must be two capital letters"),
        ("countries = [\"Wales\"], notice = \"1\", since = 2025-01-01", "must be two capital letters"),
    ] {
        check(soft_opt_in, to, expected);
    }
    check("en = [\"yes\"]", "en = [\" Non\"]", "\" Non\" is listed as a yes and as a no");
    check("fields = [\"marketing\"]", "fields = []", "[marketing] `fields` must list at least one word");
    check(
        "\"no\", \"not\"",
        "\"\", \"not\"",
        "[marketing] `no` must list at least one word, and no empty ones",
    );
    check("[marketing.yes]", "[marketing.yess]", "unknown field `yess`");
    check("en = [\"yes\"]", "en = \"yes\"", "lists of words, by language");
    check(
        "other_fields = []",
        "other_fields = [\"Marketing\"]",
        "\"Marketing\" is listed in `fields` and in `other_fields`",
    );
    check(
        "de = \"Wir schreiben",
        "de = \"Liebe Leute\"\npt = \"Wir schreiben",
        "[marketing] notice \"2025-01\" in \"de\" must be the words as the payment page shows them",
    );
}

#[test]
fn a_language_of_one_product_is_asked_of_all_and_of_the_answers() {
    let esperanto = "shown_as = { en = \"Contribution\", eo = \"Donaco\",";
    check("shown_as = { en = \"Contribution\",", esperanto, "[download] `shown_as` lacks `eo`");
    let everywhere = FILE.replace("shown_as = {", "shown_as = { eo = \"Donaco\",");
    let parse = |text: &str| Policy::parse(text).map(|_| ()).map_err(|mistake| mistake.to_string());
    let mistake = parse(&everywhere).unwrap_err();
    assert!(mistake.contains("[marketing] `yes` has no words in `eo`"), "{mistake}");
    let yes = everywhere.replace("[marketing.yes]", "[marketing.yes]\neo = [\"jes\"]");
    let mistake = parse(&yes).unwrap_err();
    assert!(mistake.contains("[marketing] `no` has no words in `eo`"), "{mistake}");
    let whole = yes.replace("[marketing.no]", "[marketing.no]\neo = [\"no\", \"neniam\"]");
    assert_eq!(parse(&whole), Ok(()));
}

/// As version 0.2.0 shipped it.
#[test]
fn answers_without_their_languages_can_be_read() {
    let start = FILE.find("[marketing.yes]").unwrap();
    let end = start + FILE[start..].find("# The words with which").unwrap();
    let before = FILE[start..end].to_owned();
    let lists = "yes = [\"yes\", \"ja\", \"oui\"]\nno = [\"no\", \"nein\", \"non\"]\n\n";
    Policy::parse(&FILE.replace(&before, lists)).unwrap();
}

#[test]
fn the_file_as_delivered_has_the_words_of_its_notices() {
    assert_eq!(Policy::compiled_in().unwrap().warnings(), Vec::<String>::new());
}

#[test]
fn a_policy_of_before_the_words_can_be_read_and_says_what_is_missing() {
    let notices = FILE.find("[marketing.notices").unwrap();
    let after = FILE[notices..].find("\n# How customers fetch").unwrap();
    let old = format!("{}{}", &FILE[..notices], &FILE[notices + after..]);
    let warnings = Policy::parse(&old).unwrap().warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("[download] consent `similar_products`: the words of notice \"2025-01\""));
}

#[test]
fn a_day_begins_at_midnight_utc() {
    let since = |date: &str| unix_seconds(date.parse::<toml::value::Datetime>().unwrap().date.unwrap());
    assert_eq!(since("1970-01-01"), 0);
    assert_eq!(since("2000-02-29"), 951_782_400);
    assert_eq!(since("2024-12-31"), 1_735_603_200);
    assert_eq!(since("2026-11-21"), 1_795_219_200);
    assert_eq!(since("2028-03-01"), 1_835_481_600);
}

#[test]
fn names_products_in_the_customers_language() {
    let policy = Policy::compiled_in().unwrap();
    let contribution = policy.kind(FulfilmentKind::Contribution);
    assert_eq!(contribution.shown_as("de"), "Spende");
    assert_eq!(contribution.shown_as("pt"), "Contribution");
}
