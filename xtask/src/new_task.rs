//! Makes a task: its folder from a template, and its entries in the files that cannot be derived from the catalogue.

mod trial;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use catalogue::construct_id;
use clap::Args;

use crate::checkout::{Checkout, files_below};
use crate::dependencies::install_node;
use crate::functions::cargo;
use crate::process::run_logged;
use crate::terminal::{GOOD, Step, say};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Its name in kebab case: its folder, package, queue and the word its effects begin with
    #[arg(required_unless_present = "trial")]
    name: Option<String>,
    /// What it does for a payment, in one line without a full stop
    #[arg(long, default_value = "Handles every payment over a link of ours")]
    purpose: String,
    /// Makes one in a copy of the checkout and runs it there, as CI does
    #[arg(long = "try", conflicts_with = "name")]
    trial: bool,
}

pub(crate) fn run(checkout: &Checkout, arguments: &Arguments) -> Result<()> {
    let Some(name) = &arguments.name else { return trial(checkout) };
    let names = Names::new(name, &arguments.purpose)?;
    let folder = checkout.root().join("functions").join(&names.kebab);
    ensure!(!folder.exists(), "there is functions/{} already", names.kebab);
    // Everything is found before anything is written.
    let edited = edited(checkout.root(), &names)?;
    write_folder(checkout, &folder, &names)?;
    for (path, text) in &edited {
        fs::write(checkout.root().join(path), text).with_context(|| format!("cannot write {path}"))?;
        say(format_args!("edited {path}"));
    }
    say(format_args!("wrote  functions/{}", names.kebab));

    let log = checkout.log("new-task")?;
    let step = Step::start("sources", "formatting, and what is generated of the catalogue");
    run_logged(cargo(checkout).args(["fmt", "--all"]), &log, &step, "")?;
    // By a program that has the new catalogue in it.
    let write = ["run", "--quiet", "--package", "xtask", "--", "catalogue"];
    run_logged(cargo(checkout).args(write), &log, &step, "")?;
    step.done("formatted, and cdk/lib/catalogue.json written");
    let step = Step::start("templates", "the reviewed parts of the templates");
    install_node(checkout, &checkout.cdk(), &step)?;
    let mut update = std::process::Command::new("npm");
    update.args(["run", "--silent", "test:update"]).current_dir(checkout.cdk());
    run_logged(&mut update, &log, &step, "")?;
    step.done("written: read their diff");
    let step = Step::start("budget", "building the functions and counting their calls");
    let guard = ["run", "--quiet", "--package", "bench", "--", "--guard", "--write"];
    run_logged(cargo(checkout).args(guard), &log, &step, "")?;
    step.done("written: read the diff of verification/bench/budget.toml");
    say(format_args!(
        "\n{GOOD}functions/{} is a task.{GOOD:#} It claims its effect for every payment and does nothing else. Next:\n\
         - write what it does in `act` of src/task.rs, and its README\n\
         - say in cdk/lib/stacks/pipeline.ts what customers miss without it, and what more it may call\n\
         - add a deliberate bug to verification/mutants/mutants.toml for each promise it makes\n\
         - cargo xtask test",
        names.kebab
    ));
    Ok(())
}

/// Makes a task in a copy of the checkout and runs it there.
pub(crate) fn trial(checkout: &Checkout) -> Result<()> {
    trial::run(checkout)
}

/// A task's name in the forms that the languages want.
struct Names {
    kebab: String,
    snake: String,
    pascal: String,
    camel: String,
    purpose: String,
}

impl Names {
    fn new(kebab: &str, purpose: &str) -> Result<Self> {
        let words: Vec<&str> = kebab.split('-').collect();
        let is_word = |word: &&str| {
            word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        };
        // AWS takes 64 characters for a function's name, of which ours has the stage in it.
        // https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
        if words.len() < 2 || !words.iter().all(is_word) || kebab.len() > 40 {
            bail!(
                "\"{kebab}\" is no name for a task: two words or more in small letters with hyphens between them, at \
                 most 40 characters, such as order-notes"
            );
        }
        ensure!(
            words.last() != Some(&"task"),
            "leave `-task` out of the name: everything in the catalogue is one"
        );
        let purpose = purpose.trim().trim_end_matches('.');
        if purpose.is_empty() || purpose.contains(['\n', '"', '|']) {
            bail!("the purpose must be one line without quotes: it becomes a row of a table");
        }
        let pascal = construct_id(kebab);
        Ok(Self {
            kebab: kebab.to_owned(),
            snake: words.join("_"),
            camel: words[0].to_owned() + &pascal[words[0].len()..],
            pascal,
            purpose: purpose.to_owned(),
        })
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{{name}}", &self.kebab)
            .replace("{{snake}}", &self.snake)
            .replace("{{pascal}}", &self.pascal)
            .replace("{{camel}}", &self.camel)
            .replace("{{purpose}}", &self.purpose)
    }
}

/// Writes the folder of a new task from the template in `xtask/new-task`, with the task's names in the place of
/// `{{name}}` and the like. Its files end in `.in`, so that cargo does not take the template for a package.
fn write_folder(checkout: &Checkout, folder: &Path, names: &Names) -> Result<()> {
    let template = checkout.xtask().join("new-task");
    for file in files_below(&template)? {
        let path = folder.join(file.strip_prefix(&template)?.with_extension(""));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        fs::write(&path, names.fill(&text)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// An entry in a file that lists tasks and is not derived from the catalogue.
struct Entry {
    file: &'static str,
    /// The text that the entry goes before; there once.
    before: &'static str,
    text: &'static str,
}

const ENTRIES: [Entry; 12] = [
    Entry {
        file: "shared/domain/catalogue/src/functions.rs",
        before: "}\n\n/// The functions that are no tasks.",
        text: "    /// `{{name}}`
    {{pascal}} {
        name: \"{{name}}\", effects: \"{{name}}\", guarantee: AtLeastOnce, personal_data: true,
        reacts_to: [SESSION_COMPLETED, SESSION_SUCCEEDED],
        purpose: \"{{purpose}}\",
    }
",
    },
    Entry {
        file: "shared/domain/fulfilment/src/effects.rs",
        before: "/// One question to Stripe.",
        text: "/// What `{{name}}` does once a payment has succeeded.
pub fn {{snake}}() -> Effect {
    Task::{{pascal}}.effect(None)
}

",
    },
    Entry {
        file: "shared/domain/fulfilment/src/expected_effects.rs",
        before: "            effects.push(effects::acquisition());",
        text: "            effects.push(effects::{{snake}}());\n",
    },
    Entry {
        file: "cdk/lib/event-patterns.ts",
        before: "/** Events of any of these kinds, from any source",
        text: "/** What `{{name}}` reacts to: a session of ours that is paid, or whose money came later. */
export function {{camel}}(stage: Stage): EventPattern {
  return pattern(stage, [SESSION_PAID]);
}

",
    },
    Entry { file: "cdk/lib/stacks/pipeline.ts", before: "moneyMoved, paymentHistory", text: "{{camel}}, " },
    Entry {
        file: "cdk/lib/stacks/pipeline.ts",
        before: "    ];\n    const reconcile = this.reconcile(props);",
        text: "      this.{{camel}}(props),\n",
    },
    Entry {
        file: "cdk/lib/stacks/pipeline.ts",
        before: "  private reconcile({ stage, data, code }: PipelineProps)",
        text: "  private {{camel}}({ stage, data, code }: PipelineProps): QueueTask {
    const name = '{{name}}';
    return new QueueTask(this, '{{pascal}}', {
      stage,
      name,
      code: code(name),
      impact: 'What {{name}} does for a payment is not done, or not in time.',
      bus: this.fulfilmentBus,
      pattern: {{camel}}(stage),
      maxConcurrency: TABLE_CONCURRENCY,
      environment: { EFFECTS_TABLE: data.effects.tableName },
      may: {
        // Queried for the former key of a subscription's payment.
        ledger: [allow(['dynamodb:UpdateItem', 'dynamodb:Query'], [data.effects.tableArn])],
      },
    });
  }

",
    },
    Entry {
        file: "cdk/test/grants.test.ts",
        before: "  downloads: {\n    'its log group'",
        text: "  '{{name}}': { ...QUEUE_TASK, Effects: ['dynamodb:Query', 'dynamodb:UpdateItem'] },\n",
    },
    Entry {
        file: "cdk/test/grants.test.ts",
        before: "      check('acquisition-events', [",
        text: "      check('{{name}}', [...queued, 'EFFECTS_TABLE']);\n",
    },
    Entry {
        file: "verification/simulation/Cargo.toml",
        before: "serde_json.workspace = true\nsoft-opt-ins",
        text: "{{name}} = { path = \"../../functions/{{name}}\" }\n",
    },
    Entry {
        file: "verification/simulation/src/function.rs",
        before: "    })\n}\n\n/// Timeouts and retries",
        text: "        Task::{{pascal}} => started!({{snake}},),\n",
    },
    Entry {
        file: "docs/ARCHITECTURE.md",
        before: "| `stripe-webhook` | Verifies",
        text: "| `{{name}}` | {{purpose}} | `checkout.session.completed`, `.async_payment_succeeded` | `{{name}}`, at least once |\n",
    },
];

/// The files with the new entries in them, by path.
fn edited(root: &Path, names: &Names) -> Result<Vec<(&'static str, String)>> {
    let mut edited: Vec<(&'static str, String)> = Vec::new();
    for Entry { file, before, text } in ENTRIES {
        if !edited.iter().any(|(path, _)| *path == file) {
            let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
            edited.push((file, text));
        }
        let (_, current) = edited.iter_mut().find(|(path, _)| *path == file).context("read above")?;
        ensure!(
            current.matches(before).count() == 1,
            "{file} does not have this text exactly once, which a new task's entry goes before: {before}"
        );
        *current = current.replace(before, &(names.fill(text) + before));
    }
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_a_name_that_aws_rust_and_typescript_take() {
        let names = Names::new("order-notes2", " Notes orders. ").unwrap();
        assert_eq!(
            (&*names.snake, &*names.pascal, &*names.camel, &*names.purpose),
            ("order_notes2", "OrderNotes2", "orderNotes2", "Notes orders")
        );
        for wrong in [
            "notes",
            "Order-notes",
            "order_notes",
            "order-",
            "-notes",
            "order--notes",
            "2-notes",
            "notes-task",
            &"a-".repeat(30),
        ] {
            assert!(Names::new(wrong, "x").is_err(), "{wrong}");
        }
        for wrong in ["", "a | b", "a\nb", "\"a\""] {
            assert!(Names::new("order-notes", wrong).is_err(), "{wrong}");
        }
    }

    /// That the result builds, deploys and runs, CI tries in a copy.
    #[test]
    fn every_entry_has_its_place_and_at_most_ten_files_are_edited() {
        let checkout = Checkout::find().unwrap();
        let names = Names::new("order-notes", "Notes orders").unwrap();
        let edited = edited(checkout.root(), &names).unwrap();
        assert!(edited.len() <= 10, "{:?}", edited.iter().map(|(path, _)| path).collect::<Vec<_>>());
        for (path, text) in edited {
            assert!(text.contains(&names.kebab) || text.contains(&names.snake), "{path}");
            assert_eq!(names.fill(&text), text, "{path}");
        }
        let folder = std::env::temp_dir().join(format!("afterlink-new-task-{}", std::process::id()));
        write_folder(&checkout, &folder, &names).unwrap();
        let task = fs::read_to_string(folder.join("src/task.rs")).unwrap();
        assert!(task.contains("struct OrderNotes<L, C>") && !task.contains("{{"), "{task}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
