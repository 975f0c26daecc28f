//! A template filled in for every language and every kind of customer, as the mail function would.

use customer_locale::LocaleRequest;
use download_claims::{BoughtFile, OfferedFile};
use fulfilment::{Currency, FulfilmentKind, Money, Policy, TemplateName};

use super::Finding;
use super::files::OwnTemplate;
use super::sentences::sentence;
use super::source::check_subject_length;
use crate::mail::{Download, MailContext, Occasion, RenderError, render, value_names};
use crate::own_files::OwnFiles;
use crate::wording::BrokenTemplate;

/// Bytes of a part; Gmail cuts off what is longer.
const LONGEST_SHOWN: usize = 100 * 1024;

/// Fills in every language, for every customer. What the text itself shows to be wrong is not reported twice.
pub(super) fn check_rendering(
    template: &str,
    own: &OwnTemplate,
    policy: &Policy,
    known: &[Finding],
) -> Vec<Finding> {
    let wordings = OwnFiles(own.all.clone()).over_built_in();
    let Ok(name) = TemplateName::try_from(template.to_owned()) else { return Vec::new() };
    let mut findings: Vec<Finding> = Vec::new();
    for locale in &own.locales {
        let tag = locale.to_string();
        for case in cases(template) {
            let download = download();
            let context = case.context(&name, &tag, policy, &download);
            let Ok(mail) = render(Some(&wordings), &context) else { continue };
            for broken in mail.passed_over.iter().filter_map(broken_of) {
                let is_known =
                    known.iter().any(|finding| finding.path == broken.path && explains(finding, broken));
                let is_reported =
                    findings.iter().any(|finding| finding.path == broken.path && finding.line == broken.line);
                if is_known || is_reported {
                    continue;
                }
                let (problem, fix) = sentence(broken, case.when);
                findings.push(Finding::mistake(&broken.path, broken.line, problem, fix));
            }
            if mail.template != template {
                continue;
            }
            let path = subject_path(own, template, &tag);
            findings.extend(check_subject_length(&path, &mail.subject));
            if mail.html.len() > LONGEST_SHOWN {
                findings.push(Finding::warning(
                    &format!("{template}/{tag}.html"),
                    0,
                    "The mail is longer than 100 KB, and Gmail cuts off the rest.".to_owned(),
                    "Shorten it.",
                ));
            }
        }
    }
    findings
}

/// Whether the text's own finding is the reason of an engine's error: the engine may notice it some lines on.
fn explains(finding: &Finding, broken: &BrokenTemplate) -> bool {
    finding.severity == super::Severity::Mistake
        && (finding.line == broken.line || broken.problem.starts_with("syntax error") || broken.line == 0)
}

fn broken_of(error: &RenderError) -> Option<&BrokenTemplate> {
    match error {
        RenderError::Broken(broken) => Some(broken),
        RenderError::NoSuchTemplate(_) | RenderError::PaidOn(_) => None,
    }
}

fn subject_path(own: &OwnTemplate, template: &str, tag: &str) -> String {
    let markdown = format!("{template}/{tag}.md");
    let three = format!("{template}/{tag}.subject.txt");
    if own.all.contains_key(&three) { three } else { markdown }
}

/// A kind of customer.
struct Case {
    kind: FulfilmentKind,
    named: bool,
    minor: i64,
    renewal: bool,
    /// In a sentence: what goes out instead, and for whom.
    when: &'static str,
}

/// The customers of a template: of one kind where it is the kind's own, else of all.
fn cases(template: &str) -> Vec<Case> {
    let own_kind = FulfilmentKind::ALL.into_iter().find(|kind| kind.as_str() == template);
    let kinds = own_kind.map_or_else(|| FulfilmentKind::ALL.to_vec(), |kind| vec![kind]);
    let mut cases = Vec::new();
    for kind in kinds {
        let case = |named, minor, renewal, when| Case { kind, named, minor, renewal, when };
        cases.push(case(true, 1250, false, "for every customer"));
        cases.push(case(false, 1250, false, "for a customer without a name"));
        cases.push(case(true, 0, false, "where nothing was due"));
        cases.push(case(true, 1250, true, "for a renewal"));
        cases.push(case(false, 0, true, "for a free renewal"));
    }
    cases
}

impl Case {
    fn context<'a>(
        &self,
        template: &'a TemplateName,
        tag: &'a str,
        policy: &'a Policy,
        download: &'a Download,
    ) -> MailContext<'a> {
        let occasion = match template.as_str() {
            "payment-pending" => Occasion::PaymentPending,
            "payment-failed" => Occasion::PaymentFailed,
            "files-ready" => Occasion::FilesReady,
            _ => Occasion::ThankYou { template: Some(template) },
        };
        let has_files = self.kind == FulfilmentKind::Download || occasion == Occasion::FilesReady;
        MailContext {
            occasion,
            kind: self.kind,
            renewal: self.renewal,
            download: has_files.then_some(download),
            policy,
            locale: LocaleRequest { session: Some(tag), country: None },
            customer_name: self.named.then_some("Ada Lovelace"),
            amount: Money::new(self.minor, Currency::EUR),
            paid_on: 1_795_262_400, // 21 November 2026
            reference: "pi_3QPreviewOfAMail000001",
        }
    }
}

/// The names of all that a template can put in.
pub(super) fn known_values() -> Vec<String> {
    let Ok(policy) = Policy::compiled_in() else { return Vec::new() };
    let Ok(template) = TemplateName::try_from("download".to_owned()) else { return Vec::new() };
    let case = Case { kind: FulfilmentKind::Download, named: true, minor: 1250, renewal: false, when: "" };
    value_names(&case.context(&template, "en", &policy, &download()))
}

fn download() -> Download {
    let file = OfferedFile {
        file: BoughtFile { key: "guide.pdf".to_owned(), quantity: 1, product: None },
        size: Some(1_200_000),
    };
    Download { files: vec![file], link: "https://example.org/d/v1.preview".to_owned() }
}
