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

/** Whatever happens to a session of ours: paid, still unpaid, paid later, failed later. */
export function sessionOutcome(stage: Stage): EventPattern {
  return {
    source: SOURCES,
    detailType: [SESSION_COMPLETED, SESSION_ASYNC_SUCCEEDED, SESSION_ASYNC_FAILED],
    detail: {
      livemode: [stage.livemode],
      data: {
        object: {
          metadata: OUR_MARKER,
          // A session in `setup` mode sells nothing.
          mode: ['payment', 'subscription'],
        },
      },
      // "Succeeded" and unpaid contradict each other: such an event is not believed.
      $or: [
        { type: [SESSION_COMPLETED, SESSION_ASYNC_FAILED] },
        {
          type: [SESSION_ASYNC_SUCCEEDED],
          data: { object: { payment_status: ['paid', 'no_payment_required'] } },
        },
      ],
    },
  };
}

/**
 * What crosses from Stripe's partner bus to ours: every event some task reacts to, and
 * nothing of another business on the same Stripe account.
 */
export function forwardedFromPartner(stage: Stage): EventPattern {
  return { ...sessionOutcome(stage), source: PARTNER_SOURCE };
}

/** Every event that crosses a bus of this account, for the archive. */
export function everyEventOf(account: string): EventPattern {
  return { account: [account] };
}
