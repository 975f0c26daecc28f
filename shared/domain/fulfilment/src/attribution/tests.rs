use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Concern;
use crate::typed::is_invisible;

fn reference_of(json: &Value) -> String {
    format!("{}{}", Attribution::PREFIX, BASE64_URL_SAFE_NO_PAD.encode(json.to_string()))
}

fn read(metadata: &[(&str, &str)], reference: Option<&str>) -> Attribution {
    let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let reference = reference.map(|reference| Personal::new(reference.to_owned()));
    Attribution::read(&metadata, reference.as_ref())
}

fn test(name: &str, variant: &str) -> AbTest {
    AbTest { name: name.to_owned(), variant: variant.to_owned() }
}

fn parameters(pairs: &[(&str, &str)]) -> Vec<QueryParameter> {
    let parameter = |(name, value): &(&str, &str)| QueryParameter {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    pairs.iter().map(parameter).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const LINK: [(&str, &str); 7] = [
    ("fulfilment", "contribution"),
    ("campaign", " autumn_2026 "),
    ("source", "newsletter"),
    ("component", "footer-button"),
    ("component_type", "BUTTON"),
    ("labels", "reader, ,weekly,reader"),
    ("ab_test", "colour:green"),
];

#[test]
fn reads_what_a_marketer_types() {
    let link = read(&LINK, None);
    assert_eq!(link.campaign_codes, ["autumn_2026"]);
    assert_eq!(link.source.as_deref(), Some("newsletter"));
    assert_eq!(link.component_id.as_deref(), Some("footer-button"));
    assert_eq!(link.component_type.as_deref(), Some("BUTTON"));
    assert_eq!(link.labels, ["reader", "weekly"]);
    assert_eq!(link.ab_tests, [AbTest { name: "colour".into(), variant: "green".into() }]);
    assert_eq!(read(&[("campaign", " , "), ("source", " ")], None), Attribution::default());
    assert_eq!(read(&[("ab_test", "colour")], None).ab_tests[0].variant, "");
}

#[test]
fn the_visit_wins_field_by_field() {
    let reference = reference_of(&json!({
        "c": "spring", "i": "header", "v": "pv-1", "b": 42, "a": ["colour:red", "size:xl"], "l": "evening,mobile",
        "s": "", "m": null
    }));
    let expected = Attribution {
        campaign_codes: texts(&["spring"]),
        source: Some("newsletter".to_owned()),
        component_id: Some("header".to_owned()),
        component_type: Some("BUTTON".to_owned()),
        page_view_id: Some("pv-1".to_owned()),
        browser_id: Some("42".to_owned()),
        ab_tests: vec![test("colour", "red"), test("size", "xl")],
        labels: texts(&["evening", "mobile"]),
        query_parameters: Vec::new(),
        undecoded: None,
    };
    assert_eq!(read(&LINK, Some(&reference)), expected);
}

#[test]
fn the_parameters_of_an_address_are_passed_on_cleaned_and_bounded() {
    let read = |value: Value| read(&[], Some(&reference_of(&json!({ "u": value }))));
    let utm = parameters(&[("utm_campaign", "autumn-2026"), ("utm_term", "Bücher")]);
    for value in [
        json!({ "utm_campaign": "autumn-2026", "utm_term": "Bücher" }),
        json!([["utm_campaign", "autumn-2026"], ["utm_term", "Bücher"]]),
        json!({ "utm_campaign": " “autumn-2026” ", "utm_term": "=Bücher", "utm_id": null, "utm_content": "" }),
        json!([["utm_campaign", "autumn-2026"], ["utm_term", "Bücher"], ["", "x"], ["=", "x"]]),
    ] {
        let read = read(value.clone());
        assert_eq!((read.query_parameters, read.undecoded), (utm.clone(), None), "{value}");
    }
    for address in ADDRESSES {
        let value =
            json!({ "utm_campaign": "autumn-2026", "utm_term": "Bücher", "utm_id": address, address: "x" });
        assert_eq!(read(value).query_parameters, utm, "{address}");
    }
    assert_eq!(
        read(json!({ "a": 7, "b": ["1", "2"] })).query_parameters,
        parameters(&[("a", "7"), ("b", "1"), ("b", "2")])
    );
    let many: Vec<_> = (0..300).map(|number| json!([format!("x{number}"), "é".repeat(500)])).collect();
    let many = read(many.into()).query_parameters;
    assert_eq!((many.len(), many[0].value.chars().count()), (MOST, LONGEST));
    for foreign in
        [json!("utm_campaign=a"), json!(7), json!([["a"]]), json!(["a", "b"]), json!({ "a": { "b": 1 } })]
    {
        let read = read(foreign.clone());
        assert!(read.query_parameters.is_empty() && read.undecoded.is_some(), "{foreign}");
    }
}

#[test]
fn quotes_around_a_value_split_no_campaign() {
    for typed in [
        "“autumn-2026”",
        "\"autumn-2026\"",
        "„autumn-2026“",
        "« autumn-2026 »",
        "'autumn-2026'",
        "=\"autumn-2026\"",
    ] {
        assert_eq!(read(&[("campaign", typed)], None).campaign_codes, ["autumn-2026"], "{typed}");
        let visit = reference_of(&json!({ "c": typed, "i": typed }));
        let visit = read(&[], Some(&visit));
        assert_eq!(
            (&visit.campaign_codes[..], visit.component_id.as_deref()),
            (&texts(&["autumn-2026"])[..], Some("autumn-2026"))
        );
    }
    // A list in quotes is parted at its commas, and so are its quotes.
    assert_eq!(
        read(&[("campaign", "\"autumn-2026, spring-2026\"")], None).campaign_codes,
        ["autumn-2026", "spring-2026"]
    );
    assert_eq!(
        read(&[("ab_test", "“headline:short”, “colour”:“red”")], None).ab_tests,
        [test("headline", "short"), test("colour", "red")]
    );
    assert_eq!(read(&[("source", "The \"best\"")], None).source.as_deref(), Some("The \"best\""));
    assert_eq!(read(&[("campaign", "“Autumn-2026”")], None).campaign_codes, ["Autumn-2026"], "capitals stay");
}

#[test]
fn the_example_of_the_handbook_is_right() {
    let handbook = include_str!("../../../../../docs/PAYMENT-LINKS.md");
    let (_, address) = handbook.split_once("?client_reference_id=").unwrap();
    let expected = Attribution {
        campaign_codes: texts(&["autumn-2026"]),
        component_id: Some("footer-button".to_owned()),
        ab_tests: vec![test("headline", "short")],
        query_parameters: parameters(&[("utm_campaign", "autumn-2026")]),
        ..Attribution::default()
    };
    assert_eq!(read(&[], address.lines().next()), expected);
}

#[test]
fn what_cannot_be_decoded_is_kept_and_harms_nothing() {
    for reference in [
        "user_4711",
        "al1-",
        "al1-!!!!",
        "al1-bm90IGpzb24",
        "al2-eyJjIjoiYSJ9",
        "AL1-eyJjIjoiYSJ9",
        &reference_of(&json!(["c"])),
        &reference_of(&json!({ "campaign": "spring" })),
        &reference_of(&json!({ "s": { "deep": 1 } })),
    ] {
        let kept = Attribution { undecoded: Some(Personal::new(reference.to_owned())), ..read(&LINK, None) };
        assert_eq!(read(&LINK, Some(reference)), kept, "{reference}");
    }
}

#[test]
fn what_can_be_read_of_a_broken_one_is_used() {
    let reference = reference_of(&json!({ "c": "spring", "z": 1 }));
    let read = read(&LINK, Some(&reference));
    assert_eq!(read.campaign_codes, ["spring"]);
    assert_eq!(read.undecoded.unwrap().expose(), &reference);
}

#[test]
fn a_foreign_reference_is_never_printed() {
    assert!(!format!("{:?}", read(&[], Some("ada-4711"))).contains("ada"));
}

#[test]
fn values_are_told_apart_by_commas_lines_and_tabs() {
    assert_eq!(read(&[("campaign", "spring\nautumn")], None).campaign_codes, ["spring", "autumn"]);
    assert_eq!(read(&[("labels", "a\r\nb\tc")], None).labels, ["a", "b", "c"]);
    assert_eq!(read(&[("source", "two\nwords\u{200b}")], None).source.as_deref(), Some("two words"));
    assert_eq!(read(&[("Campaign ", "spring")], None).campaign_codes, ["spring"]);
    let visit = reference_of(&json!({ "c": "spring\nautumn", "s": "two\twords", "l": ["a\nb", "c"] }));
    let visit = read(&[], Some(&visit));
    assert_eq!(
        (&visit.campaign_codes[..], &visit.labels[..]),
        (&texts(&["spring", "autumn"])[..], &texts(&["a", "b", "c"])[..])
    );
    assert_eq!(visit.source.as_deref(), Some("two words"));
}

const ADDRESSES: [&str; 9] = [
    "ada@example.org",
    "ada%40example.org",
    "ada%2540example.org",
    "Ada <ada@example.org>",
    "user=ada@example.org",
    "ada.l+x@example.org",
    "ada＠example.org",
    "ada@localhost",
    "ada_@example.org",
];

#[test]
fn an_email_address_is_never_passed_on() {
    for address in ADDRESSES {
        let keys = MetadataKey::about(Concern::Attribution);
        let link: Vec<_> = keys.map(|key| (key.name(), address)).collect();
        assert_eq!(read(&link, None), Attribution::default(), "{address}");
        assert_eq!(read(&[("campaign", &format!("spring,{address}"))], None).campaign_codes, ["spring"]);
        assert_eq!(read(&[], Some(address)), Attribution::default(), "{address} as the whole reference");
        let visit = json!({ "c": [address, "spring"], "s": address, "m": address, "i": address, "v": address,
            "b": address, "u": { "x": address }, "a": [address, format!("{address}:red"), format!("colour:{address}")], "l": address });
        let expected = Attribution { campaign_codes: texts(&["spring"]), ..Attribution::default() };
        assert_eq!(read(&[], Some(&reference_of(&visit))), expected, "{address}");
        // The text kept for another version to read must not hold it either.
        assert_eq!(read(&[], Some(&reference_of(&json!({ "e": address })))).undecoded, None, "{address}");
    }
    assert_eq!(read(&[("source", "newsletter @ noon")], None).source.as_deref(), Some("newsletter @ noon"));
}

#[test]
fn no_value_begins_as_a_formula_does() {
    for (typed, expected) in [
        ("=HYPERLINK(1)", Some("HYPERLINK(1)")),
        ("+49 30", Some("49 30")),
        ("-1", Some("1")),
        ("@SUM(A1)", Some("SUM(A1)")),
        (" =+-@x", Some("x")),
        ("\u{200b}=x", Some("x")),
        ("\u{202e}=x", Some("x")),
        ("\t=x", Some("x")),
        ("＝x", Some("x")),
        ("autumn-2026", Some("autumn-2026")),
        ("=", None),
    ] {
        assert_eq!(read(&[("source", typed)], None).source.as_deref(), expected, "{typed:?}");
        let visit = reference_of(&json!({ "i": typed }));
        let component = read(&[], Some(&visit)).component_id;
        assert_eq!(component.as_deref(), expected, "{typed:?} of a visit");
    }
    let tests = read(&[("ab_test", "=a:=b")], None).ab_tests;
    assert_eq!(tests, [test("a", "b")]);
}

#[test]
fn values_and_lists_are_bounded() {
    let long = "é".repeat(500);
    let link = read(&[("campaign", &long), ("source", &long)], None);
    assert_eq!(link.campaign_codes[0].chars().count(), 100);
    assert_eq!(link.source.unwrap().chars().count(), 100);
    let many: Vec<_> = (0..300).map(|number| format!("x{number}")).collect();
    let typed = many.join(",");
    let link = read(&[("campaign", &typed), ("labels", &typed), ("ab_test", &typed)], None);
    assert_eq!((link.campaign_codes.len(), link.labels.len(), link.ab_tests.len()), (20, 20, 20));
}

proptest! {
    #[test]
    fn any_text_is_read_or_kept(reference in "[^@＠﹫%]{0,200}") {
        let kept = Attribution { undecoded: Some(Personal::new(reference.clone())), ..read(&LINK, None) };
        prop_assert_eq!(read(&LINK, Some(&reference)), kept);
    }

    #[test]
    fn whatever_a_visit_says_holds_no_control_characters(value in any::<String>()) {
        let read = read(&[], Some(&reference_of(&json!({ "c": value, "s": value, "a": [value], "u": [[value, value]] }))));
        let tests = read.ab_tests.iter().flat_map(|test| [&test.name, &test.variant]);
        let parameters = read.query_parameters.iter().flat_map(|parameter| [&parameter.name, &parameter.value]);
        let mut texts = read.campaign_codes.iter().chain(&read.source).chain(tests).chain(parameters);
        let passes_on = |text: &String| {
            !text.chars().any(|c| c.is_control() || is_invisible(c))
                && !text.starts_with(['=', '+', '-', '@'])
                && text.chars().count() <= LONGEST
        };
        prop_assert!(texts.all(passes_on), "{:?}", value);
        prop_assert_eq!(read.undecoded, None);
    }
}
