use anyhow::Result;
use clap::Args;
use effect_ledger::{OperatorAction, Subject};
use serde::Serialize;
use stripe_events::shown_id;

use crate::commands::reconcile::{Since, since};
use crate::deployment::Deployment;
use crate::page::{Cell, DIM, Page, Report, Time, Verdict, count};

/// Lists what operators did with this program, oldest first: who, why, to what, before and after.
///
/// Deeds of versions that kept no index of them are in `explain` of their payment only.
#[derive(Debug, Args)]
#[command(after_help = "Example: afterlink --stage live log --since 7d --by ada")]
pub(crate) struct Arguments {
    /// From when: 90m, 24h, 7d, a day (2026-11-18) or a time (2026-11-18T11:00:00Z)
    #[arg(long, default_value = "7d", value_parser = since)]
    since: Since,
    /// Only those of whom has this in their name
    #[arg(long, value_name = "PART")]
    by: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Log {
    from: Time,
    deeds: Vec<Deed>,
}

#[derive(Serialize)]
struct Deed {
    at: Time,
    by: String,
    verb: String,
    /// None where the message of a dead-letter queue names no payment.
    payment_id: Option<String>,
    effect: Option<String>,
    before: String,
    after: String,
    because: Option<String>,
}

pub(crate) async fn find_out(deployment: &Deployment, arguments: &Arguments, now: i64) -> Result<Log> {
    let from = Time::of_seconds(arguments.since.at(now));
    let deeds = deployment.ledger()?.deeds(from.0).await?;
    let by = |(_, action): &(Subject, OperatorAction)| {
        arguments.by.as_deref().is_none_or(|part| action.by.to_lowercase().contains(&part.to_lowercase()))
    };
    Ok(Log { from, deeds: deeds.into_iter().filter(by).map(Deed::of).collect() })
}

impl Deed {
    fn of((subject, action): (Subject, OperatorAction)) -> Self {
        let has_payment = subject.as_str().contains('_');
        Self {
            at: Time(action.at),
            by: action.by,
            verb: action.verb.to_string(),
            payment_id: has_payment.then(|| shown_id(subject.as_str()).to_string()),
            effect: action.about.map(|effect| effect.to_string()),
            before: action.before,
            after: action.after,
            because: action.because,
        }
    }
}

/// The name at the end of an ARN: with single sign-on, whom a person signs in as.
fn short(by: &str) -> &str {
    by.rsplit('/').next().unwrap_or(by)
}

impl Report for Log {
    fn print(&self, page: &mut Page) {
        if self.deeds.is_empty() {
            page.line(format_args!("Nothing was done by operators since {}.", self.from));
            return;
        }
        let rows: Vec<_> = self
            .deeds
            .iter()
            .map(|deed| {
                let what = [Some(deed.verb.as_str()), deed.effect.as_deref()];
                let what: Vec<_> = what.into_iter().flatten().collect();
                vec![
                    Cell::styled(DIM, deed.at),
                    Cell::new(short(&deed.by)),
                    Cell::new(what.join(" ")),
                    Cell::new(deed.payment_id.as_deref().unwrap_or("no payment")),
                    Cell::new(format!("{} → {}", deed.before, deed.after)),
                    Cell::new(deed.because.as_deref().unwrap_or_default()),
                ]
            })
            .collect();
        page.table(&["when", "who", "what", "payment", "before → after", "because"], &rows);
        page.line(format_args!("\n{} since {}.", count(self.deeds.len(), "deed"), self.from));
    }

    fn verdict(&self) -> Verdict {
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use effect_ledger::Verb;
    use fulfilment::effects;

    use super::*;
    use crate::page::plain;

    #[test]
    fn lists_deeds_with_who_why_and_what() {
        let action = OperatorAction {
            verb: Verb::Close,
            at: 1_795_000_000_000,
            by: "arn:aws:sts::1:assumed-role/Operator/ada".to_owned(),
            because: Some("wrote by hand".to_owned()),
            about: Some(effects::email("thank-you")),
            before: "parked (no_recipient)".to_owned(),
            after: "skipped (closed_by_operator)".to_owned(),
        };
        let alone = OperatorAction { verb: Verb::Discard, about: None, ..action.clone() };
        let deeds = [(Subject::new("pi_1"), action), (Subject::new("operator"), alone)];
        let log = Log { from: Time(1_794_960_000_000), deeds: deeds.into_iter().map(Deed::of).collect() };
        insta::assert_snapshot!(plain(&log, 0), @r#"
          when                  who  what                   payment     before → after                                        because
          2026-11-18T11:06:40Z  ada  close email#thank-you  pi_1        parked (no_recipient) → skipped (closed_by_operator)  wrote by hand
          2026-11-18T11:06:40Z  ada  discard                no payment  parked (no_recipient) → skipped (closed_by_operator)  wrote by hand

        2 deeds since 2026-11-18T00:00:00Z.
        "#);
        insta::assert_snapshot!(plain(&Log { from: Time(0), deeds: Vec::new() }, 0), @"Nothing was done by operators since 1970-01-01T00:00:00Z.");
    }
}
