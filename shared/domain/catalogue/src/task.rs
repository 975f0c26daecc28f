use effect_key::{Effect, Guarantee};
use serde::{Serialize, Serializer};

use crate::{Function, Task, Trigger, functions};

impl Task {
    /// The task of a name; `None` for a name that is no task's.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// The task that an effect belongs to; `None` for the ledger's own rows (`lookup`, `contract`) and for names of
    /// another version.
    pub fn of_effect(effect: &Effect) -> Option<Self> {
        Self::ALL.into_iter().find(|task| {
            let rest = effect.as_str().strip_prefix(task.effects());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
        })
    }

    /// An effect of this task, with the task's guarantee: its word alone, or with a name behind it.
    pub fn effect(self, name: Option<&str>) -> Effect {
        let full = match name {
            Some(name) => format!("{}#{name}", self.effects()),
            None => self.effects().to_owned(),
        };
        match self.guarantee() {
            Guarantee::AtMostOnce => Effect::at_most_once(full),
            Guarantee::AtLeastOnce => Effect::at_least_once(full),
        }
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl From<Task> for Function {
    fn from(task: Task) -> Self {
        task.function()
    }
}

impl Function {
    /// The function of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        functions().find(|function| function.name == name)
    }

    /// The task, if it is one.
    pub const fn task(self) -> Option<Task> {
        match self.trigger {
            Trigger::Events(task) => Some(task),
            Trigger::Webhook | Trigger::Page | Trigger::Schedule | Trigger::Upload => None,
        }
    }
}
