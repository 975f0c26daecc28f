import { type EventPattern, Match } from 'aws-cdk-lib/aws-events';
import type { Stage } from './stages.ts';

const PARTNER_SOURCE = Match.prefix('aws.partner/stripe.com/');

/** The three sources of events on the fulfilment bus. */
const SOURCES = Match.anyOf(PARTNER_SOURCE, 'afterlink.webhook', 'afterlink.reconcile');

/**
 * The metadata keys that mark a link as ours. Stripe copies a link's metadata to its sessions, and
 * one Stripe account often serves several businesses: only our links carry one of these keys.
 *
 * A pattern matches keys exactly, so each form that the code reads is listed. The same list is
 * `LinkContract::MARKERS` in `shared/domain/fulfilment`; a test there compares both. Other near misses
 * pass no rule: `reconcile` counts their sessions, and `afterlink doctor` fails their links.
 */
const OUR_MARKERS = [
  ...['fulfilment', 'fulfillment'].flatMap((key) => [key, `${key} `, ` ${key}`]),
  ...['Fulfilment', 'Fulfillment', 'FULFILMENT', 'FULFILLMENT'],
];

const OUR_METADATA = { $or: OUR_MARKERS.map((key) => ({ [key]: Match.exists() })) };

/**
 * Any value but one, none included. `anything-but` compares values, so a missing field needs
 * `exists: false`, and null is a value of its own.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */
function anythingBut(value: string): unknown[] {
  return [{ 'anything-but': value }, null, { exists: false }];
}

/**
 * Events of connected accounts carry the account's id; those of our own account have no such
 * field. https://docs.stripe.com/connect/webhooks
 */
const OWN_ACCOUNT = [{ exists: false }, null, ''];

const SESSION_COMPLETED = 'checkout.session.completed';
const SESSION_ASYNC_SUCCEEDED = 'checkout.session.async_payment_succeeded';
const SESSION_ASYNC_FAILED = 'checkout.session.async_payment_failed';

const REFUNDS = ['refund.created', 'refund.updated', 'refund.failed'];
/** Each of them carries the dispute's status and its balance transactions, so each can be the only one that shows a loss. */
const DISPUTES = [
  'charge.dispute.created',
  'charge.dispute.updated',
  'charge.dispute.closed',
  'charge.dispute.funds_withdrawn',
  'charge.dispute.funds_reinstated',
];

/**
 * A subscription's first payment and its renewals. An invoice carries no marker of ours: the task
 * finds out whose its subscription is.
 */
const INVOICE_PAID = 'invoice.paid';
/** Which payment intent paid which invoice. */
const INVOICE_PAYMENT_PAID = 'invoice_payment.paid';
const FRAUD_WARNINGS = ['radar.early_fraud_warning.created', 'radar.early_fraud_warning.updated'];

/** A status that this version does not know is parked by the tasks, not dropped here. */
const NOT_UNPAID = { payment_status: anythingBut('unpaid') };

/** One kind of Stripe event, as it lies inside the envelope. */
interface Kind {
  readonly type: string[];
  readonly data?: { readonly object: Readonly<Record<string, unknown>> };
}

/**
 * A session of ours that sells something: one in `setup` mode sells nothing. A mode that this
 * version does not know is parked by the tasks, not dropped here.
 */
function session(type: string[], and: Readonly<Record<string, unknown>> = {}): Kind {
  return { type, data: { object: { metadata: OUR_METADATA, mode: anythingBut('setup'), ...and } } };
}

const SESSION_OUTCOME = session([SESSION_COMPLETED, SESSION_ASYNC_SUCCEEDED, SESSION_ASYNC_FAILED]);
/** A payment of a subscription but the first, which its session reports. The task looks up whose it is. */
const RENEWAL: Kind = {
  type: [INVOICE_PAID],
  data: { object: { billing_reason: anythingBut('subscription_create') } },
};
const SESSION_PAID = session([SESSION_COMPLETED, SESSION_ASYNC_SUCCEEDED], NOT_UNPAID);

/**
 * What customers are written to about: whatever happens to a session of ours (paid, still unpaid,
 * paid later, failed later), and renewals where any are thanked for. A renewal carries no marker,
 * so those of every business on the Stripe account pass then, and none where none are thanked for.
 */
export function mailedToCustomers(stage: Stage): EventPattern {
  return pattern(stage, stage.thanksRenewals ? [SESSION_OUTCOME, RENEWAL] : [SESSION_OUTCOME]);
}

/**
 * A session of ours whose customer has finished, whatever becomes of the money, or whose money
 * came later. An answer about marketing counts from the moment it is given, also where what the
 * event says of the money makes no sense.
 */
export function sessionAnswered(stage: Stage): EventPattern {
  return pattern(stage, [session([SESSION_COMPLETED, SESSION_ASYNC_SUCCEEDED])]);
}

/**
 * Everything that the record of a payment is made of: its sessions, invoices, refunds, disputes, and warnings
 * of fraud.
 *
 * Only sessions carry our marker. The others of every business on the Stripe account pass, and it
 * is for the task to determine which are of a payment or a subscription of ours.
 */
export function paymentHistory(stage: Stage): EventPattern {
  return pattern(stage, [
    SESSION_OUTCOME,
    {
      type: [
        ...REFUNDS,
        ...DISPUTES,
        INVOICE_PAID,
        INVOICE_PAYMENT_PAID,
        ...FRAUD_WARNINGS,
      ],
    },
  ]);
}

/**
 * Money that comes, goes back, or comes again. Which events of a dispute show that money moved, the task reads
 * from the dispute: a pattern cannot look into its list of balance transactions.
 */
export function moneyMoved(stage: Stage): EventPattern {
  return pattern(stage, [SESSION_PAID, { type: [...REFUNDS, ...DISPUTES, INVOICE_PAID] }]);
}

/**
 * What crosses from Stripe's partner bus to ours: every event some task reacts to. No task
 * reacts to more than what makes the history of a payment.
 */
export function forwardedFromPartner(stage: Stage): EventPattern {
  return { ...paymentHistory(stage), source: PARTNER_SOURCE };
}

/** Events of any of these kinds, from any source, of the stage's half of Stripe. */
function pattern(stage: Stage, kinds: readonly Kind[]): EventPattern {
  const [only, ...others] = kinds;
  return {
    source: SOURCES,
    detailType: [...new Set(kinds.flatMap(({ type }) => type))],
    // EventBridge asks for two alternatives at least.
    detail: { livemode: [stage.livemode], account: OWN_ACCOUNT, ...(others.length > 0 ? { $or: [...kinds] } : only) },
  };
}

/**
 * Files that are put into a bucket or taken out of it, as S3 says on the account's default bus.
 *
 * A version that was replaced long ago and is deleted for good, as the bucket's lifecycle does, changes no template.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
 */
export function changesOf(bucketName: string): EventPattern {
  return {
    source: ['aws.s3'],
    detailType: ['Object Created', 'Object Deleted'],
    detail: { bucket: { name: [bucketName] }, 'deletion-type': [{ exists: false }, 'Delete Marker Created'] },
  };
}

/** Everything we publish for analysts. */
export function acquisitions(): EventPattern {
  return { source: ['afterlink'], detailType: ['AcquisitionEvent'] };
}
