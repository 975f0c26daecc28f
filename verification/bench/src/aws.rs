//! The AWS that the functions call: the one in memory, behind loopback, counting.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use aws::{Clock as _, SystemClock};
use aws_in_memory::{Cloud, KeyAttribute, QueueDefinition, Redrive, Request, Service, TableDefinition};
use loopback::Reply;
use rustls::{ServerConnection, StreamOwned};
use testkit::stripe_api::{self, StripeApi};

use crate::tls::Tls;
use crate::{names, purchase, template};

/// A call that was made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `DynamoDb UpdateItem`
    pub(crate) kind: String,
    /// Its body.
    pub(crate) request: Vec<u8>,
    /// What it was answered with.
    pub(crate) response: Vec<u8>,
}

/// An account in memory, answering HTTP.
#[derive(Debug)]
pub(crate) struct Aws {
    pub(crate) cloud: Cloud,
    /// Stripe's API, in clear.
    pub(crate) stripe: StripeApi,
    calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
}

/// How long a service takes to reply.
pub(crate) type ReplyDelay = fn(Service) -> Duration;

impl Aws {
    /// An account as `cdk/` deploys it, and the ordinary function's table.
    pub(crate) fn start(tls: &Tls, delay: ReplyDelay) -> Result<Self> {
        let cloud = Cloud::with_tables();
        for (url, dlq_url) in [(names::QUEUE_URL, Some(names::DLQ_URL)), (names::DLQ_URL, None)] {
            let redrive =
                dlq_url.map(|dlq_url| Redrive { dlq_url: dlq_url.to_owned(), max_receive_count: 200 });
            let url = url.to_owned();
            cloud.create_queue(QueueDefinition { url, visibility_ms: 180_000, redrive });
        }
        cloud.create_table(TableDefinition::new(names::EVENTS_TABLE, KeyAttribute::text("event_id")));
        cloud.create_bus(names::FULFILMENT_BUS);
        cloud.create_bus(names::ACQUISITION_BUS);
        cloud.create_bucket(names::TEMPLATES_BUCKET);
        cloud.create_bucket(names::FILES_BUCKET);
        cloud.put_secret(names::SIGNING_SECRET, names::SIGNING_SECRET_TEXT);
        cloud.put_secret(names::TOKEN_KEYS_SECRET, names::TOKEN_KEYS_SECRET_TEXT);
        cloud.put_secret(names::STRIPE_KEY_SECRET, stripe_api::KEY);
        let stripe = StripeApi::start(|| SystemClock.now_ms() / 1000);
        purchase::prepare(&cloud, &stripe)?;
        template::prepare(&cloud);

        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let server = Arc::clone(&tls.server);
        let answer = {
            let cloud = cloud.clone();
            let calls = Arc::clone(&calls);
            move |request| answer(&cloud, &calls, delay, &request)
        };
        Ok(Self {
            plain: loopback::serve(answer.clone())?,
            tls: loopback::serve_over(
                0,
                move |connection| {
                    let server = ServerConnection::new(Arc::clone(&server)).map_err(std::io::Error::other)?;
                    Ok(StreamOwned::new(server, connection))
                },
                answer,
            )?,
            cloud,
            stripe,
            calls,
        })
    }

    /// The calls since this was last asked.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *lock(&self.calls))
    }
}

fn answer(cloud: &Cloud, calls: &Mutex<Vec<Call>>, delay: ReplyDelay, request: &loopback::Request) -> Reply {
    let received = Instant::now();
    let header = |name: &str| request.header(name);
    let request = Request::read(&request.method, &request.path, header, request.body.clone());
    let service = request.service;
    let kind = format!("{:?} {}", request.service, request.operation());
    let response = cloud.answer(SystemClock.now_ms(), &request);
    lock(calls).push(Call { kind, request: request.body, response: response.body.clone() });
    // What we took ourselves is part of the delay.
    if let Some(left) = delay(service).checked_sub(received.elapsed()) {
        thread::sleep(left);
    }
    let headers = response.headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Reply { status: response.status, headers, body: response.body }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
