//! The wire between a function instance and AWS: every HTTP call waits here until the world answers it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use aws_in_memory::Request;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;

/// Which function instance, in the order they were started.
pub(crate) type InstanceId = u32;

/// Which call, in the order they were made.
pub(crate) type CallId = u64;

type Reply = Result<HttpResponse, ConnectorError>;

/// The calls that wait for their answers. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wires(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    next_id: CallId,
    open: BTreeMap<CallId, Call>,
}

/// A call that was made. Its maker waits until it is answered, or gives up.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) instance: InstanceId,
    pub(crate) request: Request,
    slot: Arc<Mutex<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    reply: Option<Reply>,
    waker: Option<Waker>,
}

impl Call {
    /// Answers the call, if anybody still waits for it.
    pub(crate) fn answer(self, reply: Reply) {
        let mut slot = lock(&self.slot);
        slot.reply = Some(reply);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

impl Wires {
    /// The HTTP client of an instance: its calls come here.
    pub(crate) fn client(&self, instance: InstanceId) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Connector { wires: self.clone(), instance });
        http_client_fn(move |_, _| connector.clone())
    }

    /// The unanswered calls, oldest first, and whose they are.
    pub(crate) fn open(&self) -> Vec<(CallId, InstanceId)> {
        lock(&self.0).open.iter().map(|(id, call)| (*id, call.instance)).collect()
    }

    /// Takes a call off the wire, to be answered or not.
    pub(crate) fn take(&self, id: CallId) -> Option<Call> {
        lock(&self.0).open.remove(&id)
    }
}

#[derive(Debug)]
struct Connector {
    wires: Wires,
    instance: InstanceId,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let slot = Arc::<Mutex<Slot>>::default();
        let call = Call { instance: self.instance, request: Request::of(&request), slot: Arc::clone(&slot) };
        let mut calls = lock(&self.wires.0);
        let id = calls.next_id;
        calls.next_id += 1;
        calls.open.insert(id, call);
        HttpConnectorFuture::new(Waiting { wires: self.wires.clone(), id, slot })
    }
}

/// Waits for the answer. Dropped earlier, the call was never made unless it has left the wire.
struct Waiting {
    wires: Wires,
    id: CallId,
    slot: Arc<Mutex<Slot>>,
}

impl Future for Waiting {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let mut slot = lock(&self.slot);
        if let Some(reply) = slot.reply.take() {
            return Poll::Ready(reply);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.wires.0).open.remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
