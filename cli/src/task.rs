use catalogue::Task;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Reads the name of a task, as an argument.
pub(crate) fn task_parser() -> impl TypedValueParser<Value = Task> {
    PossibleValuesParser::new(Task::ALL.map(Task::name))
        .try_map(|name| Task::from_name(&name).ok_or("no task has this name"))
}
