//! A template filled in for every language and every kind of customer, as the mail function would.

use fulfilment::{Currency, FulfilmentKind, Money, Policy, TemplateName};

use super::Finding;
use super::files::OwnTemplate;
use super::sentences::sentence;
use super::source::check_subject_length;
use crate::invented::{InventedPayment, kind_named};
use crate::mail::{MailContext, RenderError, render, value_names};
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
    let payment = InventedPayment::new();
    let mut findings: Vec<Finding> = Vec::new();
    for locale in &own.locales {
        let tag = locale.to_string();
        for case in cases(template) {
            let context = case.context(&payment, &name, &tag, policy);
            let Ok(mail) = render(Some(&wordings), &context) else { continue };
            for broken in mail.passed_over.iter().filter_map(broken_of) {
                let is_known =
                    known.iter().any(|finding| finding.path == broken.path && explains(finding, broken));
                let is_reported =
                    findings.iter().any(|finding| finding.path == broken.path && finding.line == broken.line);
                if is_known || is_reported {
                    continue;
                }
                // Most templates are for one kind of link, and which is not known here.
                let only_downloads = case.kind == FulfilmentKind::Download && template != "download";
                let when = if only_downloads { "on a link for a download" } else { case.when };
                let (problem, fix) = sentence(broken, when);
                let new = if only_downloads { Finding::warning } else { Finding::mistake };
                findings.push(new(&broken.path, broken.line, problem, fix));
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
    is_free: bool,
    renewal: bool,
    /// In a sentence: what goes out instead, and for whom.
    when: &'static str,
}

/// The customers of a template: of one kind where it is the kind's own, else of all.
fn cases(template: &str) -> Vec<Case> {
    // Downloads last: what is wrong for every kind is not reported as theirs.
    let all = || vec![FulfilmentKind::Contribution, FulfilmentKind::Membership, FulfilmentKind::Download];
    let kinds = kind_named(template).map_or_else(all, |kind| vec![kind]);
    let mut cases = Vec::new();
    for kind in kinds {
        let case = |named, is_free, renewal, when| Case { kind, named, is_free, renewal, when };
        cases.push(case(true, false, false, "for every customer"));
        cases.push(case(false, false, false, "for a customer without a name"));
        cases.push(case(true, true, false, "where nothing was due"));
        cases.push(case(true, false, true, "for a renewal"));
        cases.push(case(false, true, true, "for a free renewal"));
    }
    cases
}

impl Case {
    fn context<'a>(
        &self,
        payment: &'a InventedPayment,
        template: &'a TemplateName,
        tag: &'a str,
        policy: &'a Policy,
    ) -> MailContext<'a> {
        let context = payment.context(template, self.kind, tag, policy);
        MailContext {
            renewal: self.renewal,
            customer_name: context.customer_name.filter(|_| self.named),
            amount: if self.is_free { Money::new(0, Currency::EUR) } else { context.amount },
            ..context
        }
    }
}

/// The names of all that a template can put in.
pub(super) fn known_values() -> Vec<String> {
    let Ok(policy) = Policy::compiled_in() else { return Vec::new() };
    let Ok(template) = TemplateName::try_from("membership".to_owned()) else { return Vec::new() };
    let payment = InventedPayment::new();
    value_names(&payment.context(&template, FulfilmentKind::Membership, "en", &policy))
}
