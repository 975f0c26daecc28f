use std::fmt::Write as _;

use fulfilment::{Arity, Attribution, Concern};

use super::*;
use crate::commands::publish::product::files::LARGEST_IMAGE;
use crate::commands::publish::tests::Folder;

const CARD: &str = "id = \"card\"\nname = \"A card\"\nfulfilment = \"membership\"\nprice = { amount = 1250, currency = \"gbp\" }\n";

fn policy() -> Policy {
    let mut policy = Policy::compiled_in().unwrap();
    policy.attribution.campaigns = vec!["autumn-2026".to_owned(), "guide-launch".to_owned()];
    policy
}

/// A product file beside a file of four bytes, an empty one, and two images.
fn check(text: &str) -> Checked {
    let large = [b"\xff\xd8\xff".to_vec(), vec![0; LARGEST_IMAGE]].concat();
    let folder = Folder::with(&[
        ("a.pdf", b"1234"),
        ("empty.pdf", b""),
        ("small.gif", b"GIF89a"),
        ("large.jpg", &large),
    ]);
    let mut checked = Product::read(text, &folder, &policy());
    for problem in &mut checked.problems {
        problem.text = problem.text.replace(&format!("{}/", folder.display()), "");
    }
    checked
}

fn parse(text: &str) -> Product {
    let Checked { product, problems } = check(text);
    product.unwrap_or_else(|| panic!("{text}\n{problems:?}"))
}

/// `5: error: …`, for each problem.
fn said(text: &str) -> String {
    let Checked { product, problems } = check(text);
    assert_eq!(product.is_none(), problems.iter().any(|problem| !problem.is_warning), "{text}\n{problems:?}");
    problems.iter().fold(String::new(), |mut said, Problem { line, is_warning, text }| {
        let kind = if *is_warning { "warning" } else { "error" };
        writeln!(said, "{line}: {kind}: {text}").unwrap();
        said
    })
}

fn refuses(text: &str, expected: &str) {
    let said = said(text);
    assert!(said.contains(expected) && check(text).product.is_none(), "{text}\n{said}");
}

#[test]
fn the_kind_may_be_under_either_spelling_and_is_published_under_ours() {
    let product = parse(&CARD.replace("fulfilment", "fulfillment"));
    assert_eq!(product.metadata["fulfilment"], "membership");
    assert!(!product.metadata.contains_key("fulfillment"));
    refuses(
        &format!("fulfillment = \"membership\"\n{CARD}"),
        "1: error: `fulfilment` is there in both spellings",
    );
}

/// The mistakes that marketers make, and what they read: the golden file beside this one. No sentence speaks of types.
#[test]
fn every_mistake_is_explained_in_plain_words() {
    let download = CARD.replace("membership", "download");
    let line = |number: usize, wrong: &str| {
        let mut lines: Vec<_> = CARD.lines().collect();
        lines[number - 1] = wrong;
        lines.join("\n") + "\n"
    };
    let price = |price: &str| line(4, &format!("price = {{ {price} }}"));
    let more = |more: &str| format!("{CARD}{more}\n");
    let broken = [
        // Quotes and other signs of word processors.
        line(2, "name = “A card”"),
        line(2, "name = A card"),
        line(2, "name = \"A card"),
        line(2, "name = \"A \"best\" card\""),
        line(2, "name: \"A card\""),
        line(2, "name ="),
        line(2, "name = 7"),
        line(2, "name = [\"A card\"]"),
        line(2, "name = \"A card\"\nname = \"Another\""),
        line(1, "id = \"Our best card!\""),
        line(1, ""),
        line(3, "fulfilment = \"donation\""),
        line(3, "fulfilment = \"downlod\""),
        line(3, "fulfilment = \"shoes\""),
        line(3, ""),
        more("thank_you = \"../x\""),
        // Amounts.
        price("amount = 12.50, currency = \"gbp\""),
        price("amount = \"12.50\", currency = \"gbp\""),
        price("amount = \"12,5\", currency = \"eur\""),
        price("amount = \"1250\", currency = \"gbp\""),
        price("amount = 12.50, currency = \"jpy\""),
        price("amount = \"much\", currency = \"gbp\""),
        line(4, "[price]\namount = 12,50\ncurrency = \"gbp\""),
        line(4, "[price]\namount = £12.50\ncurrency = \"gbp\""),
        line(4, "price = 1250"),
        line(4, ""),
        price("amount = 1250"),
        price("currency = \"gbp\""),
        price("amount = 1250, currency = \"£\""),
        price("amount = 1250, currency = \"gpb\""),
        price("amount = 5, currency = \"gbp\""),
        price("amount = 1250, curency = \"gbp\""),
        // Prices that customers choose, and subscriptions.
        price("amount = 1250, customer_chooses = true, currency = \"gbp\""),
        price("customer_chooses = \"yes\", currency = \"gbp\""),
        price("customer_chooses = { preset = 15.00 }, currency = \"gbp\""),
        price("customer_chooses = { minimum = 5 }, currency = \"gbp\""),
        price("customer_chooses = { minimum = 900, maximum = 500 }, currency = \"gbp\""),
        price("customer_chooses = { suggested = 900 }, currency = \"gbp\""),
        price("customer_chooses = true, every = \"month\", currency = \"gbp\""),
        price("amount = 1250, every = \"fortnight\", currency = \"gbp\""),
        price("amount = 1250, every = 3, currency = \"gbp\""),
        price("amount = 1250, every = \"48 months\", currency = \"gbp\""),
        price("amount = 1250, trial_days = 14, currency = \"gbp\""),
        price("amount = 1250, every = \"month\", trial_days = \"two weeks\", currency = \"gbp\""),
        format!("{}[checkout]\npromotion_codes = true\n", price("customer_chooses = true, currency = \"gbp\"")),
        download.replace("currency", "every = \"month\", currency") + "[[files]]\npath = \"a.pdf\"\n",
        // Files.
        download.clone(),
        format!("{download}[files]\npath = \"a.pdf\"\n"),
        format!("{download}[files]\npath = \"a.pdf\"\n\n[files]\npath = \"small.gif\"\n"),
        format!("{download}files = \"a.pdf\"\n"),
        format!("{download}[[files]]\npath = \"b.pdf\"\n\n[[files]]\npath = \"empty.pdf\"\n"),
        format!("{download}[[files]]\npath = \"a.pdf\"\nkey = \"../guide.mp3\"\n"),
        format!("{download}[[files]\npath = \"a.pdf\"\n"),
        format!("{download}[[files]]\npath = \"C:\\Users\\ada\\a.pdf\"\n"),
        // What analysts read.
        more("[link]\ncampain = \"autumn-2026\""),
        more("[link]\ncampaign = 2026"),
        more("[link]\nsource = [\"a\", \"b\"]"),
        more("[link]\nlabels = [\"a, b\"]"),
        more("[link]\nlabels = [\"a\", 7]"),
        more("[link]\nsource = \"ada@example.org\""),
        more("[link]\ncampaign = \"Autumn-2026, spring\""),
        // Fields in the wrong place.
        more("[link]\npromotion_codes = true"),
        more("[link]\ndescription = \"Forty walks\""),
        more("campaign = \"autumn-2026\""),
        more("colour = \"red\""),
        // The payment page.
        more("[checkout]\npromotion_codes = \"true\""),
        more("[checkout]\npromotion_codes = yes"),
        more("[checkout]\nautomatic_tax = 1"),
        more(&format!("[checkout]\nmarketing = {{ question = \"{}\" }}", "é".repeat(101))),
        more(&format!("[checkout]\nmarketing = \"May we write to you about {}?\"", "walks ".repeat(6))),
        more("[checkout]\nmarketing = { question = \"May we write to you about our work?\", yes = \"No problem\" }"),
        more("[checkout]\nmarketing = { language = \"pl\" }"),
        more("[checkout]\nmarketing = { questoin = \"May we?\" }"),
        more("[checkout]\nmarketing = 7"),
        // Several at once.
        "id = \"A\"\nname = “B”\nfulfilment = \"gift\"\n[price]\namount = 1.5\ncurrency = \"gbp\"\n[link]\nsorce = \"x\"\n"
            .to_owned(),
    ];
    assert!(broken.len() >= 25);
    let mut golden = String::new();
    for text in &broken {
        let said = said(text);
        assert_ne!(said, "", "{text}");
        for word in
            ["i64", "sequence", "map", "string", "TOML", "invalid", "variant", "float", "boolean", "array"]
        {
            assert!(!said.contains(word), "{word}: {said}");
        }
        // Only what differs from the sound file, so that the mistake is seen.
        let shown =
            text.lines().filter(|line| !CARD.lines().chain(download.lines()).any(|sound| sound == *line));
        let shown: Vec<_> =
            shown.map(|line| format!("    {}\n", line.chars().take(100).collect::<String>())).collect();
        writeln!(golden, "{}{said}", shown.concat()).unwrap();
    }
    insta::assert_snapshot!(golden);
}

#[test]
fn a_file_that_is_no_text_is_named_before_anything_is_read_of_it() {
    for bytes in [
        b"\xff\xfei\0d\0".to_vec(),
        b"PK\x03\x04\0".to_vec(),
        b"{\\rtf1 id".to_vec(),
        b"name = \"\xfcber\"".to_vec(),
    ] {
        assert_eq!(text_of(bytes), None);
    }
    assert_eq!(text_of("\u{feff}id = \"ü\"".into()).as_deref(), Some("id = \"ü\""));
    let windows = format!("\u{feff}{}", CARD.replace('\n', "\r\n"));
    let text = text_of(windows.into_bytes()).unwrap();
    assert_eq!(parse(&text).id, "card");
}

#[test]
fn forgives_what_can_mean_one_thing_only() {
    let text = "id = \"“card”\"\nname = \"„A card“\"\nfulfilment = \" “Membership” \"\nthank_you = \"Autumn Appeal\"\n\
                [price]\namount = 12_50\ncurrency = \"GBP\"\n[link]\ncampaign = \"“autumn-2026”, “guide-launch”\"\n\
                labels = \"guide, pdf\"\nsource = \"“newsletter”\"\nab_test = [\"headline:short\", \"colour:red\"]\n";
    let product = parse(text);
    assert_eq!((product.id.as_str(), product.name.as_str()), ("card", "A card"));
    assert_eq!(product.metadata["fulfilment"], "membership");
    assert_eq!(product.metadata["thank_you"], "autumn-appeal");
    let metadata = product.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let read = Attribution::read(&metadata, None);
    assert_eq!(read.campaign_codes, ["autumn-2026", "guide-launch"]);
    assert_eq!(read.labels, ["guide", "pdf"]);
    assert_eq!((read.source.as_deref(), read.ab_tests.len()), (Some("newsletter"), 2));
    assert_eq!(said(text), "", "all of these are known campaigns");
}

#[test]
fn amounts_are_those_that_stripe_takes() {
    for (price, expected) in [
        ("amount = 0, currency = \"gbp\"", "0.00 GBP is too little: Stripe takes 0.30"),
        ("amount = -5, currency = \"usd\"", "too little"),
        ("amount = 0, currency = \"inr\"", "too little"),
        ("amount = 1250, currency = \"isk\"", "multiples of 100"),
        ("amount = 1255, currency = \"kwd\"", "multiples of 10 only"),
        ("amount = 49, currency = \"jpy\"", "49 JPY is too little: Stripe takes 50 at least"),
        ("amount = 49, currency = \"jpy\"", "1250 is ¥1250"),
        ("amount = 29, currency = \"gbp\"", "1250 is £12.50"),
        ("amount = 5, currency = \"omr\"", "1250 is 1.250 OMR"),
        ("amount = 0, currency = \"bhd\"", "Stripe takes 0.010 at least"),
        ("amount = 50, currency = \"ugx\"", "125000 is 1250 UGX"),
        ("amount = 100000000, currency = \"usd\"", "Stripe takes 999999.99 at most"),
        ("amount = 100000000, currency = \"krw\"", "Stripe takes 99999999 at most"),
        ("amount = 100000000, currency = \"kwd\"", "Stripe takes 99999.990 at most"),
        ("amount = 1000000000000, currency = \"idr\"", "Stripe takes 9999999999.99 at most"),
        ("customer_chooses = { preset = 29 }, currency = \"gbp\"", "0.29 GBP is too little"),
        ("customer_chooses = { minimum = 49 }, currency = \"jpy\"", "49 JPY is too little"),
        ("customer_chooses = { maximum = 100000000 }, currency = \"usd\"", "Stripe takes 999999.99 at most"),
        ("customer_chooses = { maximum = 1255 }, currency = \"kwd\"", "multiples of 10 only"),
    ] {
        let wrong = CARD.replace("amount = 1250, currency = \"gbp\"", price);
        refuses(&wrong, expected);
        refuses(&wrong, "4: error: ");
    }
}

#[test]
fn a_price_says_what_is_asked_and_how_often() {
    for (price, words) in [
        ("amount = 1250", "12.50 GBP"),
        ("amount = 1250, every = \"month\"", "12.50 GBP every month"),
        ("amount = 1250, every = \"monthly\", trial_days = 14", "12.50 GBP every month"),
        ("amount = 1250, every = \"every 3 months\"", "12.50 GBP every 3 months"),
        ("amount = 1250, every = \"quarterly\"", "12.50 GBP every 3 months"),
        ("amount = 1250, every = \"36 months\"", "12.50 GBP every 36 months"),
        ("amount = 1250, every = \"Year\"", "12.50 GBP every year"),
        ("customer_chooses = true", "that the customer chooses (GBP)"),
        (
            "customer_chooses = { preset = 1500, minimum = 500, maximum = 100000 }",
            "that the customer chooses (at least 5.00 GBP, at most 1000.00 GBP, suggested 15.00 GBP)",
        ),
    ] {
        assert_eq!(parse(&CARD.replace("amount = 1250", price)).price.words(), words);
    }
}

#[test]
fn refuses_files_that_cannot_be_sold() {
    let download = CARD.replace("membership", "download");
    let with = |files: &str| format!("{download}{files}");
    let file = |path: &str, key: &str| format!("[[files]]\npath = \"{path}\"\nkey = \"{key}\"\n");
    refuses(&with(&file(".", "a.pdf")), "not a file");
    for key in ["../a.pdf", "/a.pdf", "a//a.pdf", "a/./a.pdf", "a\\\\a.pdf", "a.pdf/"] {
        refuses(&with(&file("a.pdf", key)), "leads out of the bucket's folder: write it as card/a.pdf");
    }
    for key in ["a,b.pdf", "files/a.pdf"] {
        refuses(&with(&file("a.pdf", key)), "cannot be named on a link");
    }
    refuses(
        &with(&(file("a.pdf", "a.pdf") + &file("small.gif", "a.pdf"))),
        "9: error: two files have the key a.pdf",
    );
    refuses(
        &with(&file("a.pdf", &format!("{}.pdf", "a".repeat(500)))),
        "longer than Stripe's 500 characters; give",
    );
    refuses(&format!("{CARD}{}", file("a.pdf", "a.pdf")), "a membership hands out no files");
}

#[test]
fn refuses_images_that_stripe_would() {
    for (image, expected) in [
        ("nothing.png", "nothing.png cannot be read: there is no such file"),
        ("a.pdf", "no PNG, JPEG or GIF"),
        ("large.jpg", "larger than 512 KiB"),
        ("http://example.org/a.png", "give an `https://` address"),
        ("https://example.org/a b.png", "has a space in it"),
    ] {
        refuses(&format!("image = \"{image}\"\n{CARD}"), expected);
    }
    let image = |image: &str| parse(&format!("image = \"{image}\"\n{CARD}")).image.unwrap();
    assert!(matches!(image("small.gif"), Image::File { content_type: "image/gif", .. }));
    assert_eq!(image("https://example.org/a.png"), Image::Address("https://example.org/a.png".to_owned()));
}

#[test]
fn a_file_goes_into_a_folder_of_its_product() {
    let text = format!("{}[[files]]\npath = \"a.pdf\"\n", CARD.replace("membership", "download"));
    let product = parse(&text);
    assert_eq!((product.files[0].key.as_str(), product.files[0].size), ("card/a.pdf", 4));
    // The SHA-256 of "1234".
    assert!(hex::encode(product.files[0].sha256.0).starts_with("03ac674216f3e15c761ee1a5e255f067"));
    assert_eq!(product.metadata["files"], "card/a.pdf");
    let inline = text.replace("[[files]]\npath = \"a.pdf\"", "files = [{ path = \"a.pdf\" }]");
    assert_eq!(parse(&inline).metadata, product.metadata);
}

#[test]
fn every_key_of_attribution_can_be_set_and_no_other() {
    for key in MetadataKey::ALL {
        let text = format!("{CARD}[link]\n{} = \"guide-launch\"\n", key.name());
        match key.concern() {
            Concern::Attribution => assert_eq!(parse(&text).metadata[key.name()], "guide-launch"),
            Concern::Product | Concern::Page => refuses(&text, "6: error: [link] has no field"),
        }
        let list = text.replace("\"guide-launch\"", "[\"autumn-2026\", \"guide-launch\"]");
        match (key.concern(), key.arity()) {
            (Concern::Attribution, Arity::Several) => {
                assert_eq!(parse(&list).metadata[key.name()], "autumn-2026,guide-launch");
            }
            (Concern::Attribution, Arity::One) => refuses(&list, "takes one text, and no list"),
            (Concern::Product | Concern::Page, Arity::One | Arity::Several) => {}
        }
    }
}

/// Whatever can be set has a place that a mistake about it is sent to.
#[test]
fn every_field_has_a_home() {
    for key in MetadataKey::about(Concern::Attribution) {
        assert!(HOMES.contains(&(key.name(), "[link]")), "{}", key.name());
    }
    for field in FIELDS.iter().filter(|field| !["price", "files", "link", "checkout"].contains(field)) {
        assert!(HOMES.contains(&(field, "")), "{field}");
    }
}

#[test]
fn the_question_is_one_of_the_policys_or_is_said_to_be_new() {
    let asks = |marketing: &str| format!("{CARD}[checkout]\nmarketing = {marketing}\n");
    for (marketing, question, yes, no) in [
        ("true", "May we write to you about similar guides?", "Yes", "No"),
        ("{ language = \"de\" }", "Dürfen wir Ihnen über ähnliche Angebote schreiben?", "Ja", "Nein"),
        (
            "\"Dürfen wir Ihnen über unsere Arbeit schreiben?\"",
            "Dürfen wir Ihnen über unsere Arbeit schreiben?",
            "Ja",
            "Nein",
        ),
        (
            "{ question = \"May we write to you about our work?\", yes = \"Yes, please\" }",
            "May we write to you about our work?",
            "Yes, please",
            "No",
        ),
    ] {
        let text = asks(marketing);
        let asked = parse(&text).checkout.marketing.unwrap();
        assert_eq!((asked.question.as_str(), asked.yes.as_str(), asked.no.as_str()), (question, yes, no));
        assert!(!said(&text).contains("is new"), "{}", said(&text));
    }
    assert!(said(&asks("\"May we?\"")).contains("6: warning: the question \"May we?\" is new"));
}

#[test]
fn refuses_texts_that_are_too_long_for_stripe_with_their_line() {
    let question = |text: &str| format!("{CARD}[checkout]\nmarketing = {{ {text} }}\n");
    let long = |characters: usize| "é".repeat(characters);
    let check_over = |text: &str, line: usize, over: &str| {
        refuses(text, over);
        refuses(text, &format!("{line}: error: "));
    };
    assert!(check(&question(&format!("question = \"{}\"", long(100)))).product.is_some());
    assert!(
        said(&question(&format!("question = \"{}\"", long(51))))
            .contains("6: warning: `question` has 51 characters")
    );
    assert!(!said(&question(&format!("question = \"{}\"", long(50)))).contains("characters"));
    for wrong in [
        format!("question = \"{}\"", long(101)),
        format!("question = \"May we?\", yes = \"{}\"", long(101)),
        format!("question = \"May we?\", no = \"{}\"", long(101)),
    ] {
        check_over(
            &question(&wrong),
            6,
            "it has 101 characters, longer than Stripe's 100 characters: take 1 out",
        );
    }
    for (line, text, over) in [
        (2, CARD.replace("A card", &long(251)), "longer than Stripe's 250 characters"),
        (5, format!("{CARD}description = \"{}\"\n", long(40_001)), "longer than Stripe's 40000 characters"),
        (
            5,
            format!("{CARD}image = \"https://example.org/{}\"\n", long(2_048)),
            "longer than Stripe's 2048 characters",
        ),
        (6, format!("{CARD}[link]\ncampaign = \"{}\"\n", long(501)), "longer than Stripe's 500 characters"),
        (
            6,
            format!("{CARD}[link]\nlabels = [\"{}\", \"{}\"]\n", long(300), long(300)),
            "601 characters together",
        ),
    ] {
        check_over(&text, line, over);
    }
}
