import { type EventPattern, Match } from 'aws-cdk-lib/aws-events';
import type { Stage } from './stages.ts';

const PARTNER_SOURCE = Match.prefix('aws.partner/stripe.com/');

/** The three doors through which an event may reach the fulfilment bus. */
const SOURCES = Match.anyOf(PARTNER_SOURCE, 'afterlink.webhook', 'afterlink.reconcile');

/**
 * A link's metadata is copied to its sessions. One Stripe account often serves several
 * businesses, and only our links carry this key.
 */
const OUR_MARKER = { fulfilment: Match.exists() };

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

const PAID = { payment_status: ['paid', 'no_payment_required'] };

/** One kind of Stripe event, as it lies inside the envelope. */
interface Kind {
  readonly type: string[];
  readonly data?: { readonly object: Readonly<Record<string, unknown>> };
}

/** A session of ours that sells something: one in `setup` mode sells nothing. */
function session(type: string[], and: Readonly<Record<string, unknown>> = {}): Kind {
  return { type, data: { object: { metadata: OUR_MARKER, mode: ['payment', 'subscription'], ...and } } };
}

const SESSION_OUTCOMES = [
  session([SESSION_COMPLETED, SESSION_ASYNC_FAILED]),
  // "Succeeded" and unpaid contradict each other: such an event is not believed.
  session([SESSION_ASYNC_SUCCEEDED], PAID),
];
const SESSION_PAID = session([SESSION_COMPLETED, SESSION_ASYNC_SUCCEEDED], PAID);

/** Whatever happens to a session of ours: paid, still unpaid, paid later, failed later. */
export function sessionOutcome(stage: Stage): EventPattern {
  return pattern(stage, SESSION_OUTCOMES);
}

/**
 * A session of ours whose customer has finished, whatever becomes of the money, or whose money
 * came later. An answer about marketing counts from the moment it is given.
 */
export function sessionAnswered(stage: Stage): EventPattern {
  return pattern(stage, [session([SESSION_COMPLETED]), session([SESSION_ASYNC_SUCCEEDED], PAID)]);
}

/**
 * Everything a record tells of a payment: its sessions, invoices, refunds, disputes, and warnings
 * of fraud.
 *
 * Only sessions carry our marker. The others of every business on the Stripe account pass, and it
 * is for the task to tell which are of a payment or a subscription of ours.
 */
export function paymentHistory(stage: Stage): EventPattern {
  return pattern(stage, [
    ...SESSION_OUTCOMES,
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
 * Money that comes, goes back, or comes again. Which events of a dispute show that money moved, the task tells
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

/** Events of any of these kinds, through any door, of the stage's half of Stripe. */
function pattern(stage: Stage, kinds: readonly Kind[]): EventPattern {
  const [only, ...others] = kinds;
  return {
    source: SOURCES,
    detailType: [...new Set(kinds.flatMap(({ type }) => type))],
    // EventBridge asks for two alternatives at least.
    detail: { livemode: [stage.livemode], ...(others.length > 0 ? { $or: [...kinds] } : only) },
  };
}

/** Everything we publish for analysts. */
export function acquisitions(): EventPattern {
  return { source: ['afterlink'], detailType: ['AcquisitionEvent'] };
}
