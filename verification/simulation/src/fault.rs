//! What can go wrong with a call to AWS, and who decides what does.

use std::fmt;

use crate::wire::InstanceId;

/// What becomes of one HTTP call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It fails before it has an effect: the connection is reset.
    Fail,
    /// It takes effect, and the reply is lost: the connection is reset.
    LoseReply,
    /// The service is busy and says so.
    Throttle,
    /// It has no effect and is never answered: the caller's own timeout ends it.
    Hang,
    /// It is never answered, and takes effect a minute later, when the caller has long given up.
    Late,
    /// It meets another transaction, or is an entry that the bus does not take; anything else is throttled.
    Refuse,
    /// The process dies before the call leaves it.
    CrashBefore,
    /// The call takes effect, and the process dies before it has the answer.
    CrashAfter,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 8] = [
        Self::Fail,
        Self::LoseReply,
        Self::Throttle,
        Self::Hang,
        Self::Late,
        Self::Refuse,
        Self::CrashBefore,
        Self::CrashAfter,
    ];

    /// A short name, for a case that can be written down.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::LoseReply => "lose-reply",
            Self::Throttle => "throttle",
            Self::Hang => "hang",
            Self::Late => "late",
            Self::Refuse => "refuse",
            Self::CrashBefore => "crash-before",
            Self::CrashAfter => "crash-after",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "fails",
            Self::LoseReply => "takes effect, reply lost",
            Self::Throttle => "throttled",
            Self::Hang => "hangs",
            Self::Late => "hangs, takes effect a minute later",
            Self::Refuse => "refused",
            Self::CrashBefore => "process dies before it",
            Self::CrashAfter => "takes effect, process dies",
        })
    }
}

/// Which call of which instance goes wrong, and how often in a row (the SDK tries again).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    /// The instance, in the order they were started.
    pub instance: InstanceId,
    /// Its index among the calls, from 0.
    pub call: u32,
    /// What becomes of it.
    pub fault: Fault,
    /// For how many calls on end.
    pub times: u32,
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, call, fault, times } = self;
        write!(f, "instance {instance}, call {call}: {fault}")?;
        if *times > 1 { write!(f, " ({times} times)") } else { Ok(()) }
    }
}

/// Something that can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A call of this instance is answered.
    Answer(InstanceId),
    /// A function is handed a batch.
    Invoke,
}

/// Decides everything that AWS and chance decide.
pub trait Director {
    /// Which of these happens next: an index.
    fn choose(&mut self, steps: &[Step]) -> usize;

    /// What becomes of an instance's `call`-th call; `None` when it is answered as it should be.
    fn fault(&mut self, instance: InstanceId, call: u32, now_ms: i64) -> Option<Fault>;

    /// How many messages a batch may have.
    fn batch_size(&mut self, largest: usize) -> usize;

    /// How wrong the clock of a new instance is, in milliseconds.
    fn skew_ms(&mut self) -> i64;

    /// How long a call takes, in milliseconds.
    fn latency_ms(&mut self) -> i64;
}

/// Carries out a given list of faults, in a given order of two instances, and nothing else.
#[derive(Debug, Clone)]
pub struct Scripted {
    /// What goes wrong.
    pub injections: Vec<Injection>,
    /// Who goes first at each step, as long as it lasts: bit by bit, 0 for the first instance that can.
    pub order: u64,
    /// How wrong the clocks of the instances are, in turn.
    pub skews_ms: [i64; 2],
    steps: u32,
    started: usize,
}

impl Scripted {
    /// Nothing goes wrong but this.
    pub const fn new(injections: Vec<Injection>, order: u64) -> Self {
        Self { injections, order, skews_ms: [0, 0], steps: 0, started: 0 }
    }
}

impl Director for Scripted {
    fn choose(&mut self, steps: &[Step]) -> usize {
        // Every instance that can start does, so that they overlap.
        if let Some(invoke) = steps.iter().position(|step| *step == Step::Invoke) {
            return invoke;
        }
        let bit = self.order.checked_shr(self.steps).unwrap_or_default() & 1;
        self.steps += 1;
        if bit == 1 { steps.len() - 1 } else { 0 }
    }

    fn fault(&mut self, instance: InstanceId, call: u32, _now_ms: i64) -> Option<Fault> {
        let hit = self.injections.iter().find(|injection| {
            injection.instance == instance
                && (injection.call..injection.call + injection.times).contains(&call)
        });
        hit.map(|injection| injection.fault)
    }

    fn batch_size(&mut self, _largest: usize) -> usize {
        1
    }

    fn skew_ms(&mut self) -> i64 {
        let skew = self.skews_ms[self.started % 2];
        self.started += 1;
        skew
    }

    fn latency_ms(&mut self) -> i64 {
        5
    }
}
