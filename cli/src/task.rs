use catalogue::{Function, Task, queued};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Reads the name of a function behind a queue, as an argument.
pub(crate) fn queue_parser() -> impl TypedValueParser<Value = Function> {
    PossibleValuesParser::new(queued().map(|function| function.name).collect::<Vec<_>>())
        .try_map(|name| Function::from_name(&name).ok_or("no function has this name"))
}

/// Reads the name of a task, as an argument.
pub(crate) fn task_parser() -> impl TypedValueParser<Value = Task> {
    PossibleValuesParser::new(Task::ALL.map(Task::name))
        .try_map(|name| Task::from_name(&name).ok_or("no task has this name"))
}
