//! Mails with an invented payment in them, for the marketers who write the wording.

use fulfilment::{Currency, FulfilmentKind, Money, Policy, TemplateName};

use crate::invented::{InventedPayment, kind_named};
use crate::mail::{MailContext, render};
use crate::own_files::{OwnFiles, text_of};

/// What to show.
#[derive(Debug, Clone)]
pub struct PreviewRequest {
    /// `contribution`, `payment-pending`, or a template of one's own.
    pub template: String,
    /// The customer's language, as Stripe writes it: `de`, `fr-CA`.
    pub locale: String,
    /// The kind of product: `contribution`, `download` or `membership`. By itself the one the template is named after.
    pub kind: Option<String>,
    /// Whether a subscription is paid again.
    pub renewal: bool,
    /// The currency of the invented payment: `eur`.
    pub currency: String,
    /// Its amount in Stripe's minor units.
    pub minor: i64,
    /// The customer's name as typed, be it as strange as it may.
    pub name: Option<String>,
    /// Own template files as in the templates bucket: `gala/en.html` and its bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A mail as the customer would get it.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The subject.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The plain text part.
    pub text: String,
    /// The template that was used. Not the one asked for if that has a mistake.
    pub template: String,
    /// The locale of the words. English if the one asked for has none.
    pub locale: String,
    /// What should have been used but could not be, in sentences; also for a customer without a name, for a payment of
    /// nothing, and for a renewal.
    pub mistakes: Vec<String>,
}

/// A request that cannot be shown, or a mail that cannot be written. The sentence is for the marketer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PreviewError(String);

fn error(problem: impl ToString) -> PreviewError {
    PreviewError(problem.to_string())
}

/// Writes the mail that the function would write.
///
/// # Errors
///
/// When the request makes no sense. A template with a mistake is no error: what the customer would get instead is
/// shown, and the mistake named.
pub fn preview(request: &PreviewRequest) -> Result<Preview, PreviewError> {
    let template = TemplateName::try_from(request.template.clone())
        .map_err(|_| error("a template's name is lower-case letters, digits and hyphens, at most 60"))?;
    let kind = request.kind.as_deref().unwrap_or(&request.template);
    let kind = kind_named(kind);
    let kind = match (kind, &request.kind) {
        (Some(kind), _) => kind,
        (None, None) => FulfilmentKind::Contribution,
        (None, Some(_)) => return Err(error("the kind must be contribution, download or membership")),
    };
    let currency = Currency::try_from(request.currency.to_lowercase().as_str()).map_err(error)?;
    let files = request.files.iter().map(|(path, bytes)| (path.clone(), text_of(bytes.clone()))).collect();
    let own = OwnFiles(files).over_built_in();
    let policy = Policy::compiled_in().map_err(error)?;
    let payment = InventedPayment::new();
    let context = MailContext {
        renewal: request.renewal,
        customer_name: request.name.as_deref(),
        amount: Money::new(request.minor, currency),
        ..payment.context(&template, kind, &request.locale, &policy)
    };
    let mail = render(Some(&own), &context).map_err(error)?;
    let mut mistakes: Vec<String> = mail.passed_over.iter().map(ToString::to_string).collect();
    // Customers a template is easily written without a thought of.
    let nameless = MailContext { customer_name: None, ..context };
    let free = MailContext { amount: Money::new(0, currency), ..context };
    let renewed = MailContext { renewal: !context.renewal, ..context };
    let another_time = if context.renewal { "it is the first payment" } else { "it is a renewal" };
    let customers =
        [(nameless, "the customer gave no name"), (free, "nothing was due"), (renewed, another_time)];
    for (context, when) in customers {
        for mistake in render(Some(&own), &context).map_err(error)?.passed_over {
            let said = mistake.to_string();
            if !mistakes.iter().any(|mistake| mistake.starts_with(&said)) {
                mistakes.push(format!("{said} (when {when})"));
            }
        }
    }
    Ok(Preview {
        subject: mail.subject,
        html: mail.html,
        text: mail.text,
        template: mail.template,
        locale: mail.locale,
        mistakes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(template: &str, locale: &str) -> PreviewRequest {
        PreviewRequest {
            template: template.to_owned(),
            locale: locale.to_owned(),
            kind: None,
            renewal: false,
            currency: "eur".to_owned(),
            minor: 1250,
            name: Some("Ada Lovelace".to_owned()),
            files: Vec::new(),
        }
    }

    #[test]
    fn shows_the_mail_the_function_would_send() {
        for template in ["contribution", "download", "membership", "payment-pending", "payment-failed"] {
            let shown = preview(&request(template, "de")).unwrap();
            assert_eq!((&*shown.template, &*shown.locale), (template, "de"));
            assert!(shown.html.contains("12,50\u{a0}€") && shown.text.contains("12,50\u{a0}€"));
            assert!(shown.mistakes.is_empty(), "{:?}", shown.mistakes);
        }
        let membership =
            preview(&PreviewRequest { kind: Some("membership".to_owned()), ..request("gala", "en") });
        assert!(membership.unwrap().text.contains("For: Friends of the project"));
    }

    #[test]
    fn shows_ones_own_template_before_it_is_uploaded() {
        let file = |name: &str, text: &str| (format!("gala/{name}"), text.as_bytes().to_vec());
        let subject = file("en.subject.txt", "\u{feff}The gala, {{ amount }}\r\n");
        let files = vec![subject, file("en.html", "<p>{{ amount }}</p>"), file("en.txt", "{{ amount }}")];
        let shown = preview(&PreviewRequest { files: files.clone(), ..request("gala", "en-GB") }).unwrap();
        assert_eq!((&*shown.template, &*shown.locale), ("gala", "en"));
        assert_eq!(shown.subject, "The gala, €12.50");

        let broken = vec![files[0].clone(), files[1].clone(), file("en.txt", "{{ ammount }}")];
        let shown = preview(&PreviewRequest { files: broken, ..request("gala", "en") }).unwrap();
        assert_eq!(shown.template, "contribution");
        assert_eq!(shown.mistakes, ["template file gala/en.txt, line 1: undefined value"]);

        let heedless = vec![files[0].clone(), files[1].clone(), file("en.txt", "Dear {{ customer.name }}")];
        let shown = preview(&PreviewRequest { files: heedless, ..request("gala", "en") }).unwrap();
        assert_eq!((&*shown.template, &*shown.text), ("gala", "Dear Ada Lovelace"));
        assert_eq!(
            shown.mistakes,
            ["template file gala/en.txt, line 1: undefined value (when the customer gave no name)"]
        );

        let shown = preview(&PreviewRequest { files: files[..2].to_vec(), ..request("gala", "en") }).unwrap();
        assert_eq!(
            shown.mistakes[0],
            "template file gala/en.txt: it is missing, although there is gala/en.subject.txt"
        );
    }

    const HANDBOOK: &str = include_str!("../../../../docs/WORDING.md");

    /// The examples of the handbook that have a file name, and those that have none.
    fn examples() -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
        let mut files = Vec::new();
        let mut fragments = Vec::new();
        let mut before = "";
        for (index, block) in HANDBOOK.split("```").enumerate() {
            match block.strip_prefix("jinja\n").or_else(|| block.strip_prefix("md\n")) {
                Some(example) if index % 2 == 1 => {
                    let paragraph = before.trim().rsplit("\n\n").next().unwrap_or_default();
                    let path = paragraph.strip_prefix('`').and_then(|named| named.split('`').next());
                    match path {
                        Some(path) => files.push((path.to_owned(), example.as_bytes().to_vec())),
                        None => fragments.push(example),
                    }
                }
                _ => before = block,
            }
        }
        (files, fragments)
    }

    #[test]
    fn the_handbooks_example_works_as_printed() {
        let (files, _) = examples();
        let ending = |ending: &str| -> Vec<_> {
            files.iter().filter(|(path, _)| path.ends_with(".md") == (ending == "md")).cloned().collect()
        };
        let (markdown, three) = (ending("md"), ending("three"));
        assert_eq!((markdown.len(), three.len()), (2, 3));
        let policy = Policy::compiled_in().unwrap();
        for (files, locale) in [(&markdown, "en"), (&three, "en"), (&markdown, "de")] {
            let report = crate::check::check_template("autumn-appeal", files, &policy);
            assert_eq!(report.findings, []);
            let request = PreviewRequest { files: files.clone(), ..request("autumn-appeal", locale) };
            let shown = preview(&request).unwrap();
            assert_eq!(shown.mistakes, Vec::<String>::new());
            assert_eq!((&*shown.template, &*shown.locale), ("autumn-appeal", locale));
            assert!(shown.html.contains("pi_3QPreviewOfAMail000001"));
            if locale == "en" {
                assert_eq!(shown.subject, "Your €12.50 for the autumn appeal");
                assert!(shown.html.contains("Forty new trees"));
                assert!(shown.text.contains("Hello Ada Lovelace,") && shown.text.contains("forty trees"));
            } else {
                assert!(
                    shown.text.contains("Guten Tag Ada Lovelace,") && shown.text.contains("vierzig Bäume")
                );
            }
        }
    }

    #[test]
    fn the_handbooks_variables_are_there_and_read_as_it_says() {
        let (_, fragments) = examples();
        assert_eq!(fragments.len(), 3);
        let rows = HANDBOOK.lines().filter_map(|line| {
            let (variable, rest) = line.strip_prefix("| `{{ ")?.split_once(" }}` | ")?;
            Some((format!("{{{{ {variable} }}}}"), Some(rest.split(" |").next()?)))
        });
        let fragments = fragments.into_iter().map(|fragment| (fragment.to_owned(), None));
        let mut seen = 0;
        for (template, expected) in rows.chain(fragments) {
            let files = ["subject.txt", "html", "txt"]
                .map(|ending| (format!("gala/en.{ending}"), template.clone().into_bytes()));
            let request = PreviewRequest {
                files: files.into(),
                currency: "gbp".to_owned(),
                ..request("gala", "en-GB")
            };
            let shown = preview(&request).unwrap();
            // The one that may be missing, printed without asking.
            let heedless = template == "{{ customer.name }}";
            assert_eq!(heedless, !shown.mistakes.is_empty(), "{template}: {:?}", shown.mistakes);
            assert_eq!(expected.unwrap_or(&shown.text), shown.text, "{template}");
            seen += 1;
        }
        assert_eq!(seen, 8 + 3);
    }

    #[test]
    fn says_what_makes_no_sense() {
        let check = |request: PreviewRequest, expected: &str| {
            let said = preview(&request).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        };
        check(request("../gala", "en"), "lower-case letters, digits and hyphens");
        check(PreviewRequest { currency: "euro".to_owned(), ..request("gala", "en") }, "currency");
        check(
            PreviewRequest { kind: Some("donation".to_owned()), ..request("gala", "en") },
            "contribution, download",
        );
    }
}
