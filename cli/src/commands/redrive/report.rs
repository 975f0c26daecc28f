use std::collections::BTreeMap;

use super::{Problem, Redriven};
use crate::page::{Cell, DIM, Page, Report, Verdict, count};
use crate::queues::NO_REASON;
use crate::reason;

/// What an empty look at a dead-letter queue means: there may be messages with other reasons, or in others' hands.
pub(crate) fn print_nothing(
    page: &mut Page,
    task: &str,
    other_reasons: &BTreeMap<String, usize>,
    in_other_hands: u64,
) {
    let others: Vec<_> =
        other_reasons.iter().map(|(reason, messages)| format!("{reason} ({messages})")).collect();
    page.line(match (others.is_empty(), in_other_hands) {
        (true, 0) => format!("The dead-letter queue of {task} is empty."),
        (true, _) => format!("No message could be read from the dead-letter queue of {task}."),
        (false, _) => format!(
            "No such message is in the dead-letter queue of {task}. It has others: {}.",
            others.join(", ")
        ),
    });
    print_in_other_hands(page, in_other_hands);
}

/// Messages that another look hides.
pub(crate) fn print_in_other_hands(page: &mut Page, messages: u64) {
    if messages > 0 {
        let (noun, are) = if messages == 1 { ("message", "is") } else { ("messages", "are") };
        page.line(format_args!(
            "{messages} {noun} {are} in other hands just now: an operator looks at them, or was interrupted. Look again in \
             two minutes."
        ));
    }
}

impl Report for Redriven {
    fn print(&self, page: &mut Page) {
        let task = self.task;
        if self.messages == 0 && self.problems.is_empty() && !self.interrupted {
            print_nothing(page, task, &self.other_reasons, self.in_other_hands);
            return;
        }
        let rows: Vec<_> = self
            .reasons
            .iter()
            .map(|(name, reason)| {
                let oldest = reason.oldest.map_or_else(String::new, |at| page.ago(at));
                let example = reason.example.as_deref().or_else(|| reason::what(name)).unwrap_or_default();
                vec![
                    Cell::new(name),
                    Cell::new(reason.messages),
                    Cell::new(oldest),
                    Cell::styled(DIM, example),
                ]
            })
            .collect();
        if !rows.is_empty() {
            page.table(&["reason", "messages", "oldest", "one cause"], &rows);
        }
        if !self.list.is_empty() {
            let rows: Vec<_> = self
                .list
                .iter()
                .map(|listed| {
                    vec![
                        Cell::new(listed.payment_id.as_deref().unwrap_or("no payment")),
                        Cell::new(listed.event_id.as_deref().unwrap_or("unreadable")),
                        Cell::new(&listed.reason),
                        Cell::styled(DIM, listed.cause.as_deref().unwrap_or_default()),
                    ]
                })
                .collect();
            page.line("");
            page.table(&["payment", "event", "reason", "cause"], &rows);
        }
        for Problem { payment_id, problem, message_id } in &self.problems {
            let whose = payment_id.as_ref().unwrap_or(message_id);
            page.line(format_args!(
                "The event of {whose} cannot be made anew, and stays in the DLQ: {problem}"
            ));
        }
        let messages = count(self.messages, "message");
        page.line(match (self.acted, self.interrupted) {
            (true, false) => format!("\n{messages} sent back to {task}."),
            (true, true) => {
                format!("\nInterrupted: {messages} sent back to {task}; the dead-letter queue was not read to its end.")
            }
            (false, false) => {
                format!("\nA dry run: {messages} would go back to {task}. With --yes and --because they do.")
            }
            (false, true) => format!("\nInterrupted after {messages}: nothing was changed."),
        });
        if self.came_back > 0 {
            page.line(format_args!(
                "{} more asking for the same stay in the DLQ: they came back, or were there twice. `afterlink explain <payment>` \
                 says whether the cause is fixed; then run this again.",
                self.came_back
            ));
        }
        if self.settled > 0 {
            page.line(format_args!(
                "{} of them for effects that are done, left out or unknown: the ledger drops those.",
                self.settled
            ));
        }
        if self.reasons.contains_key(NO_REASON) {
            page.line(format_args!(
                "Those without a reason were never answered for: docs/runbooks/function-errors.md. `afterlink doctor` says whether {task} runs."
            ));
        }
        print_in_other_hands(page, self.in_other_hands);
    }

    fn verdict(&self) -> Verdict {
        let waits = !self.acted && (self.messages > 0 || !self.other_reasons.is_empty());
        Verdict::needs_you_if(
            waits
                || self.came_back > 0
                || self.interrupted
                || self.in_other_hands > 0
                || !self.problems.is_empty(),
        )
    }
}
