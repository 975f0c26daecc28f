use super::*;
use crate::commands::publish::tests::Folder;

const CARD: &str = "id = \"card\"\nname = \"A card\"\nfulfilment = \"membership\"\nprice = { amount = 1250, currency = \"gbp\" }\n";

/// A product file beside a file of four bytes, an empty one, and two images.
fn parse(text: &str) -> Result<Product> {
    let large = [b"\xff\xd8\xff".to_vec(), vec![0; LARGEST_IMAGE]].concat();
    let folder = Folder::with(&[
        ("a.pdf", b"1234"),
        ("empty.pdf", b""),
        ("small.gif", b"GIF89a"),
        ("large.jpg", &large),
    ]);
    Product::parse(text, &folder)
}

fn refuses(text: &str, expected: &str) {
    let said = parse(text).map_or_else(|error| format!("{error:#}"), |product| format!("{product:?}"));
    assert!(said.contains(expected), "{text}\n{said}");
}

#[test]
fn the_kind_may_be_under_either_spelling_and_is_published_under_ours() {
    let product = Product::parse(&CARD.replace("fulfilment", "fulfillment"), Path::new("")).unwrap();
    assert_eq!(product.metadata["fulfilment"], "membership");
    assert!(!product.metadata.contains_key("fulfillment"));
    let both = format!("fulfillment = \"membership\"\n{CARD}");
    assert!(Product::parse(&both, Path::new("")).unwrap_err().to_string().contains("duplicate field"));
}

#[test]
fn names_the_line_that_is_wrong() {
    refuses(&format!("{CARD}colour = \"red\"\n"), "line 5, column 1");
    refuses(&format!("{CARD}colour = \"red\"\n"), "unknown field `colour`");
    refuses(&format!("{CARD}[checkout]\nfree = true\n"), "line 6, column 1");
    for (line, wrong, expected) in [
        (1, "id = \"A card\"", "lower-case letters, digits and hyphens"),
        (1, "id = \"../card\"", "lower-case letters, digits and hyphens"),
        (2, "name = \" \"", "it is empty"),
        (2, "name = \"a\\nb\"", "one line"),
        (3, "fulfilment = \"donation\"", "unknown variant `donation`"),
        (3, "fulfilment = \"membership\"\nthank_you = \"../x\"", "must be lower-case letters"),
        (4, "price = { amount = 0, currency = \"gbp\" }", "0.00 GBP is too little: Stripe takes 0.30"),
        (4, "price = { amount = -5, currency = \"usd\" }", "too little"),
        (4, "price = { amount = 29, currency = \"gbp\" }", "too little"),
        (4, "price = { amount = 0, currency = \"inr\" }", "too little"),
        (4, "price = { amount = 12.50, currency = \"gbp\" }", "expected i64"),
        (4, "price = { amount = 1250, currency = \"pounds\" }", "three letters"),
        (4, "price = { amount = 1250, currency = \"gpb\" }", "GPB is no currency that Stripe takes"),
        (4, "price = { amount = 1250, currency = \"isk\" }", "multiples of 100"),
        (4, "price = { amount = 1255, currency = \"kwd\" }", "multiples of 10 only"),
        (4, "price = { amount = 49, currency = \"jpy\" }", "49 JPY is too little: Stripe takes 50 at least"),
        (4, "price = { amount = 49, currency = \"jpy\" }", "1250 is ¥1250"),
        (4, "price = { amount = 29, currency = \"gbp\" }", "1250 is £12.50"),
        (4, "price = { amount = 5, currency = \"omr\" }", "1250 is 1.250 OMR"),
        (4, "price = { amount = 0, currency = \"bhd\" }", "Stripe takes 0.010 at least"),
        (4, "price = { amount = 50, currency = \"ugx\" }", "125000 is 1250 UGX"),
        (4, "price = { amount = 100000000, currency = \"usd\" }", "Stripe takes 999999.99 at most"),
        (4, "price = { amount = 100000000, currency = \"krw\" }", "Stripe takes 99999999 at most"),
        (4, "price = { amount = 100000000, currency = \"kwd\" }", "Stripe takes 99999.990 at most"),
        (4, "price = { amount = 1000000000000, currency = \"idr\" }", "Stripe takes 9999999999.99 at most"),
        (4, "price = { amount = 1250 }", "missing field `currency`"),
    ] {
        let mut lines: Vec<_> = CARD.lines().collect();
        lines[line - 1] = wrong;
        refuses(&lines.join("\n"), expected);
        if !wrong.contains('\n') {
            refuses(&lines.join("\n"), &format!("line {line}, column "));
        }
    }
}

#[test]
fn refuses_files_that_cannot_be_sold() {
    let download = CARD.replace("membership", "download");
    let with = |files: &str| format!("{download}{files}");
    let file = |path: &str, key: &str| format!("[[files]]\npath = \"{path}\"\nkey = \"{key}\"\n");
    refuses(&download, "at least one table [[files]]");
    refuses(&with(&file("nothing.pdf", "a.pdf")), "nothing.pdf cannot be read");
    refuses(&with(&file("empty.pdf", "a.pdf")), "empty.pdf is empty");
    refuses(&with(&file(".", "a.pdf")), "not a file");
    for key in ["../a.pdf", "/a.pdf", "a//b.pdf", "a/./b.pdf", "a\\\\b.pdf", "a/"] {
        refuses(&with(&file("a.pdf", key)), "leads out of the bucket's folder");
    }
    refuses(&with(&file("nothing.pdf", "a.pdf")), "line 6: ");
    for key in ["a,b.pdf", "files/a.pdf"] {
        refuses(&with(&file("a.pdf", key)), "cannot be named on a link");
    }
    refuses(&with(&(file("a.pdf", "a.pdf") + &file("small.gif", "a.pdf"))), "two files have the key a.pdf");
    refuses(
        &with(&file("a.pdf", &format!("{}.pdf", "a".repeat(500)))),
        "longer than Stripe's 500 characters; give",
    );
    refuses(&format!("{CARD}{}", file("a.pdf", "a.pdf")), "a membership hands out no files");
    let two = with(&(file("nothing.pdf", "a.pdf") + &file("empty.pdf", "b.pdf")));
    refuses(&two, "nothing.pdf cannot be read");
    refuses(&two, "empty.pdf is empty");
}

#[test]
fn refuses_images_that_stripe_would() {
    for (image, expected) in [
        ("nothing.png", "nothing.png cannot be read"),
        ("a.pdf", "no PNG, JPEG or GIF"),
        ("large.jpg", "larger than 512 KiB"),
        ("http://example.org/a.png", "give an `https://` address"),
    ] {
        refuses(&format!("image = \"{image}\"\n{CARD}"), expected);
    }
    let image = |image: &str| parse(&format!("image = \"{image}\"\n{CARD}")).unwrap().image.unwrap();
    assert!(matches!(image("small.gif"), Image::File { content_type: "image/gif", .. }));
    assert_eq!(image("https://example.org/a.png"), Image::Address("https://example.org/a.png".to_owned()));
}

#[test]
fn a_file_goes_into_a_folder_of_its_product() {
    let text = format!("{}[[files]]\npath = \"a.pdf\"\n", CARD.replace("membership", "download"));
    let product = parse(&text).unwrap();
    assert_eq!((product.files[0].key.as_str(), product.files[0].size), ("card/a.pdf", 4));
    // The SHA-256 of "1234".
    assert!(hex::encode(product.files[0].sha256.0).starts_with("03ac674216f3e15c761ee1a5e255f067"));
    assert_eq!(product.metadata["files"], "card/a.pdf");
}

#[test]
fn every_key_of_attribution_can_be_set_and_no_other() {
    for key in MetadataKey::ALL {
        let text = format!("{CARD}[link]\n{} = \"autumn\"\n", key.name());
        match key.concern() {
            Concern::Attribution => assert_eq!(parse(&text).unwrap().metadata[key.name()], "autumn"),
            Concern::Product | Concern::Page => refuses(&text, "line 6: [link] has no field"),
        }
        let list = text.replace("\"autumn\"", "[\"autumn\", \"winter\"]");
        match (key.concern(), key.arity()) {
            (Concern::Attribution, Arity::Several) => {
                assert_eq!(parse(&list).unwrap().metadata[key.name()], "autumn,winter");
            }
            (Concern::Attribution, Arity::One) => refuses(&list, "takes one text, and no list"),
            (Concern::Product | Concern::Page, Arity::One | Arity::Several) => {}
        }
    }
    refuses(
        &format!("{CARD}[link]\ncampain = \"a\"\n"),
        "[link] has no field `campain`: it takes `campaign`,",
    );
    refuses(&format!("{CARD}[link]\nsource = 7\n"), "line 6: `source` must be text in quotes");
    refuses(&format!("{CARD}[link]\nsource = \" \"\n"), "line 6: `source`: it is empty");
}

#[test]
fn values_of_a_list_have_no_commas() {
    refuses(&format!("{CARD}[link]\nlabels = [\"a, b\"]\n"), "one of `labels` has a comma in it");
}

#[test]
fn refuses_texts_that_are_too_long_for_stripe_with_their_line() {
    let question = |text: &str| format!("{CARD}[checkout]\nmarketing = {{ {text} }}\n");
    let long = |characters: usize| "é".repeat(characters);
    let check = |text: &str, line: usize, over: &str| {
        refuses(text, over);
        refuses(text, &format!("line {line}"));
    };
    assert!(parse(&question(&format!("question = \"{}\"", long(100)))).is_ok());
    for wrong in [
        format!("question = \"{}\"", long(101)),
        format!("question = \"May we?\", yes = \"{}\"", long(101)),
        format!("question = \"May we?\", no = \"{}\"", long(101)),
    ] {
        check(&question(&wrong), 6, "it has 101 characters, longer than Stripe's 100 characters: take 1 out");
    }
    for (line, text, over) in [
        (2, CARD.replace("A card", &long(251)), "longer than Stripe's 250 characters"),
        (5, format!("{CARD}description = \"{}\"\n", long(40_001)), "longer than Stripe's 40000 characters"),
        (
            5,
            format!("{CARD}image = \"https://example.org/{}\"\n", long(2_048)),
            "longer than Stripe's 2048 characters",
        ),
        (5, format!("{CARD}image = \"https://example.org/a b.png\"\n"), "has a space in it"),
        (5, format!("{CARD}image = \"a.pdf\"\n"), "no PNG, JPEG or GIF"),
        (6, format!("{CARD}[link]\ncampaign = \"{}\"\n", long(501)), "longer than Stripe's 500 characters"),
        (
            6,
            format!("{CARD}[link]\nlabels = [\"{}\", \"{}\"]\n", long(300), long(300)),
            "601 characters together",
        ),
    ] {
        check(&text, line, over);
    }
}
