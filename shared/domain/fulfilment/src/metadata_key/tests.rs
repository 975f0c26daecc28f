use super::*;

/// The rows of the handbook's table of keys.
#[test]
fn the_handbook_lists_every_key_and_no_other() {
    let handbook = include_str!("../../../../../docs/PAYMENT-LINKS.md");
    let (_, table) = handbook.split_once("| key | what you put in |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| `"));
    let listed: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let ours: Vec<_> = MetadataKey::ALL.iter().map(|key| key.name()).collect();
    assert_eq!(listed, ours);
}

#[test]
fn a_key_that_is_nearly_ours_is_noticed_and_another_business_s_is_not() {
    for (typed, meant) in [
        ("campain", Some("campaign")),
        ("Campagin", Some("campaign")),
        ("sorce", Some("source")),
        ("component-type", Some("component_type")),
        ("component_typ", Some("component_type")),
        ("thankyou", Some("thank_you")),
        ("thank-you", Some("thank_you")),
        ("ab-test", Some("ab_test")),
        ("soft_optin", Some("soft_opt_in")),
        ("label", Some("labels")),
        ("campaign", None),
        ("CAMPAIGN ", None),
        ("source", None),
        ("order_id", None),
        ("course", None),
        ("title", None),
        ("size", None),
        ("file", None),
        ("shown-as", Some("shown_as")),
        ("items", Some("item")),
        ("time", None),
        ("team", None),
        ("published_as", None),
        ("", None),
    ] {
        assert_eq!(MetadataKey::meant_by(typed).map(MetadataKey::name), meant, "{typed}");
    }
}
