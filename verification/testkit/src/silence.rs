//! An AWS that takes every request and never answers, and the time that a caller waits for it.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_types::SdkConfig;

use crate::aws::{Endpoint, Reply};

/// How often a call is looked at before it is given up as endless. Most looks wait for a thread of this machine to
/// read a request.
const LOOKS: u32 = 1_000_000;

/// No function lives as long.
const FOR_EVER: Duration = Duration::from_secs(900);

/// An endpoint that reads every request and stays silent. Timeouts and pauses of the clients that use
/// [`SilentAws::sdk_config`] pass when nothing else is left to wait for, and take no time.
#[derive(Debug)]
pub struct SilentAws {
    endpoint: Endpoint,
    time: ManualTime,
}

/// How a call waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// Until it ended, in controlled time.
    pub elapsed: Duration,
    /// How many requests had been sent by then.
    pub requests: usize,
}

impl SilentAws {
    /// Listens on a free port.
    pub fn start() -> Self {
        Self {
            endpoint: Endpoint::start(std::iter::repeat_n(Reply::Silence, 20)),
            time: ManualTime::default(),
        }
    }

    /// The configuration every function has, pointed here, in controlled time.
    pub fn sdk_config(&self) -> SdkConfig {
        let sleep = SharedAsyncSleep::new(self.time.clone());
        self.endpoint.sdk_config().into_builder().sleep_impl(sleep).build()
    }

    /// Runs one call of an SDK client to its end.
    ///
    /// `connect` is how long the client is said to wait for a connection. Every attempt makes a connection, so the
    /// timers of this length count the attempts, and time passes only while the request of each has
    /// been read here: never while a request is on its way.
    ///
    /// # Panics
    ///
    /// When the call would never end: the client has no such timeouts.
    pub async fn wait<T>(&self, connect: Duration, call: impl Future<Output = T>) -> (T, Waited) {
        let mut call = pin!(call);
        let mut looks = 0;
        loop {
            if let Poll::Ready(outcome) = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await
            {
                let waited = Waited { elapsed: self.time.now(), requests: self.endpoint.count() };
                return (outcome, waited);
            }
            // Lets the runtime poll the sockets.
            tokio::task::yield_now().await;
            if self.endpoint.count() == self.time.started(connect) {
                self.time.pass();
            }
            looks += 1;
            assert!(
                looks < LOOKS && self.time.now() < FOR_EVER,
                "nothing would ever end this call: {self:?}"
            );
        }
    }
}

/// Time that stands still until a test advances it.
#[derive(Clone, Default)]
struct ManualTime(Arc<Mutex<Timers>>);

#[derive(Default)]
struct Timers {
    now: Duration,
    /// How many were started, by how long they last.
    started: BTreeMap<Duration, usize>,
    next_id: usize,
    /// The pending timers: when each ends, and its waker.
    waiting: BTreeMap<usize, (Duration, Option<Waker>)>,
}

impl ManualTime {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    fn started(&self, duration: Duration) -> usize {
        self.0.lock().unwrap().started.get(&duration).copied().unwrap_or(0)
    }

    /// Goes on to the end of the timer that ends first.
    fn pass(&self) {
        let mut timers = self.0.lock().unwrap();
        let Some(end) = timers.waiting.values().map(|(end, _)| *end).min() else {
            return;
        };
        timers.now = timers.now.max(end);
        let ended = timers.waiting.values_mut().filter(|(at, _)| *at <= end);
        ended.filter_map(|(_, waker)| waker.take()).for_each(Waker::wake);
    }
}

impl fmt::Debug for ManualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timers = self.0.lock().unwrap();
        let ends = timers.waiting.values().map(|(end, _)| end).collect::<Vec<_>>();
        f.debug_struct("ManualTime")
            .field("now", &timers.now)
            .field("started", &timers.started)
            .field("timers_end_at", &ends)
            .finish()
    }
}

impl AsyncSleep for ManualTime {
    fn sleep(&self, duration: Duration) -> Sleep {
        let mut timers = self.0.lock().unwrap();
        let id = timers.next_id;
        let end = timers.now + duration;
        timers.next_id += 1;
        *timers.started.entry(duration).or_default() += 1;
        timers.waiting.insert(id, (end, None));
        Sleep::new(Timer { time: self.clone(), id })
    }
}

/// One wait. A dropped one is removed.
struct Timer {
    time: ManualTime,
    id: usize,
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timers = self.time.0.lock().unwrap();
        let now = timers.now;
        match timers.waiting.get_mut(&self.id) {
            Some((end, waker)) if *end > now => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => {
                timers.waiting.remove(&self.id);
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.time.0.lock().unwrap().waiting.remove(&self.id);
    }
}
