import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { cataloguedTask } from '../lib/catalogue.ts';
import { STAGE_NAMES, type StageName, stages } from '../lib/stages.ts';
import { type Json, matches } from './event-pattern-matcher.ts';
import { type Synthesized, synthesize, synthesizedStage, TASKS } from './synthesized.ts';

const FIXTURES = new URL('../../verification/testkit/fixtures/', import.meta.url);
const WEBHOOK = 'afterlink.webhook';
const PARTNER_TEST = 'aws.partner/stripe.com/ed_test_61Fixture';
const PARTNER_LIVE = 'aws.partner/stripe.com/ed_61Fixture';

type Event = { [key: string]: Json };

function fixture(name: string): Event {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FIXTURES), 'utf8'));
}

/** A Stripe event as it is on the bus: the type of Stripe's event outside, the event inside. */
function envelope(detail: Event, source: string): Event {
  return {
    version: '0',
    id: '17e8dff5-0000-4000-8000-aeac02b6ac3f',
    'detail-type': detail.type,
    source,
    account: '123456789012',
    time: '2026-11-18T11:06:40Z',
    region: 'eu-west-1',
    resources: [],
    detail,
  };
}

function session(event: Event): Event {
  return (event.data as Event).object as Event;
}

function patternOf(task: string, synthesized: Synthesized): Json {
  const name = `afterlink-${synthesized.stage.name}-${task}`;
  return synthesized.one('AWS::Events::Rule', 'Name', name).Properties.EventPattern;
}

/** The tasks whose rule an event passes in a stage. */
function passed(stage: StageName, event: Event, synthesized = synthesizedStage(stage)): string[] {
  return TASKS.filter((task) => matches(patternOf(task, synthesized), event));
}

/** Stage `test` where members are thanked for renewals. */
const thanking = synthesize({ ...stages.test, thanksRenewals: true });

const ALL = [...TASKS];
const ON_EVERY_OUTCOME = ['thank-you-email', 'contribution-records'];
const ON_MOVED_MONEY = ['contribution-records', 'acquisition-events'];

describe('the rules', () => {
  it('let through what the catalogue says each task reacts to', () => {
    for (const task of TASKS) {
      const { 'detail-type': types } = patternOf(task, thanking) as { 'detail-type': string[] };
      assert.deepEqual([...types].sort(), [...(cataloguedTask(task)?.reactsTo ?? [])].sort(), task);
    }
  });

  const check = (name: string, expected: string[]) => {
    assert.deepEqual(passed('test', envelope(fixture(name), WEBHOOK)), expected, name);
  };

  it('pass a session of ours that is paid, or has nothing to pay, to every task', () => {
    check('session_completed_paid', ALL);
    check('session_no_payment_required', ALL);
    check('session_subscription', ALL);
    check('session_adaptive_pricing', ALL);
    check('session_async_payment_succeeded', ALL);
  });

  it('pass a session that is unpaid, still or for good, to be recorded and written about', () => {
    check('session_async_payment_failed', ON_EVERY_OUTCOME);
  });

  it('pass what a customer answered, also before the money is there', () => {
    check('session_completed_unpaid', [...ON_EVERY_OUTCOME, 'soft-opt-ins']);
  });

  it('pass refunds, of whichever payment', () => {
    for (const type of ['refund.created', 'refund.updated', 'refund.failed']) {
      const event = { ...fixture('refund_created'), type };
      assert.deepEqual(passed('test', envelope(event, WEBHOOK)), ON_MOVED_MONEY, type);
    }
  });

  it('pass every event of a dispute to the records and to the analysts', () => {
    // Each carries the dispute's status and what it moved, so each can be the only one that shows a loss.
    for (const what of ['created', 'updated', 'closed', 'funds_withdrawn', 'funds_reinstated']) {
      const type = `charge.dispute.${what}`;
      const event = { ...fixture('dispute_closed_inquiry'), type };
      assert.deepEqual(passed('test', envelope(event, WEBHOOK)), ON_MOVED_MONEY, type);
    }
    check('dispute_prevented', ON_MOVED_MONEY);
    check('dispute_returned_in_part', ON_MOVED_MONEY);
    check('dispute_lost_at_once', ON_MOVED_MONEY);
  });

  it('pass paid invoices, of whichever subscription', () => {
    for (const name of ['invoice_paid_renewal', 'invoice_paid_first', 'invoice_2020_renewal']) {
      check(name, ON_MOVED_MONEY);
    }
    const failed = { ...fixture('invoice_paid_renewal'), type: 'invoice.payment_failed' };
    assert.deepEqual(passed('test', envelope(failed, WEBHOOK)), []);
  });

  it('pass renewals to the mails where any are thanked for, and first payments never', () => {
    const passes = (event: Event) => passed('test', envelope(event, WEBHOOK), thanking);
    for (const name of ['invoice_paid_renewal', 'invoice_2020_renewal']) {
      assert.deepEqual(passes(fixture(name)), ['thank-you-email', ...ON_MOVED_MONEY], name);
    }
    assert.deepEqual(passes(fixture('invoice_paid_first')), ON_MOVED_MONEY);
    assert.deepEqual(passes(fixture('session_completed_paid')), ALL);
    assert.deepEqual(passes(fixture('session_of_another_business')), []);
    for (const reason of ['subscription_update', 'a new one', '', null, undefined]) {
      const event = fixture('invoice_paid_renewal');
      session(event).billing_reason = reason;
      assert.equal(passes(event)[0], 'thank-you-email', String(reason));
    }
  });

  it('pass to the records alone what moves no money', () => {
    check('invoice_payment_paid', ['contribution-records']);
    check('early_fraud_warning_created', ['contribution-records']);
  });

  it('pass every age of session', () => {
    check('session_2020_sparse', ALL);
    check('session_2024_currency_conversion', ALL);
  });

  it('do not pass a session of another business', () => {
    check('session_of_another_business', []);
    const bare = fixture('session_completed_paid');
    session(bare).metadata = null;
    assert.deepEqual(passed('test', envelope(bare, WEBHOOK)), []);
  });

  it('do not pass a session that sells nothing', () => {
    check('session_setup', []);
  });

  it('pass a late success that is not paid to those who park it', () => {
    const event = fixture('session_async_payment_succeeded');
    session(event).payment_status = 'unpaid';
    assert.deepEqual(passed('test', envelope(event, WEBHOOK)), [...ON_EVERY_OUTCOME, 'soft-opt-ins']);
  });

  it('pass a mode or a payment status that is unknown, null or missing', () => {
    for (const field of ['mode', 'payment_status']) {
      for (const value of ['rental', '', null, undefined]) {
        const event = fixture('session_completed_paid');
        session(event)[field] = value;
        assert.deepEqual(passed('test', envelope(event, WEBHOOK)), ALL, `${field} ${value}`);
      }
    }
  });

  it('pass a session of ours in each spelling of the key that the code reads', () => {
    const spellings = ['fulfilment', 'fulfillment', 'Fulfilment', 'FULFILLMENT', 'fulfillment ', ' fulfilment'];
    for (const key of spellings) {
      const event = fixture('session_completed_paid');
      session(event).metadata = { [key]: 'contribution' };
      assert.deepEqual(passed('test', envelope(event, WEBHOOK)), ALL, key);
    }
    for (const key of ['fulfilment_type', 'fullfilment', 'order']) {
      const event = fixture('session_completed_paid');
      session(event).metadata = { [key]: 'contribution' };
      assert.deepEqual(passed('test', envelope(event, WEBHOOK)), [], key);
    }
  });

  it('do not pass an event of a connected account', () => {
    for (const name of ['session_completed_paid', 'refund_created', 'dispute_funds_withdrawn']) {
      for (const source of [PARTNER_TEST, WEBHOOK, 'afterlink.reconcile']) {
        assert.deepEqual(passed('test', envelope({ ...fixture(name), account: 'acct_1' }, source)), [], name);
        for (const account of [null, '', undefined]) {
          const event = { ...fixture(name), account };
          assert.ok(passed('test', envelope(event, source)).length > 1, `${name} of our own account`);
        }
      }
    }
  });

  it('do not pass what no task reacts to', () => {
    check('thin_session_completed', []);
    assert.deepEqual(passed('test', envelope({ ...fixture('refund_created'), type: 'charge.refunded' }, WEBHOOK)), []);
    assert.deepEqual(
      passed('test', envelope({ ...fixture('session_completed_paid'), type: 'checkout.session.expired' }, WEBHOOK)),
      [],
    );
  });

  it('keep live and test payments apart', () => {
    const live = envelope(fixture('session_livemode'), WEBHOOK);
    const test = envelope(fixture('session_completed_paid'), WEBHOOK);
    assert.deepEqual([passed('live', live), passed('live', test)], [ALL, []]);
    assert.deepEqual([passed('test', live), passed('test', test)], [[], ALL]);
    assert.deepEqual([passed('local', live), passed('local', test)], [[], ALL]);
    const refund = envelope(fixture('refund_created'), WEBHOOK);
    assert.deepEqual([passed('live', refund), passed('test', refund)], [[], ON_MOVED_MONEY]);
  });

  it('know the three sources and no other', () => {
    const event = fixture('session_completed_paid');
    for (const source of [PARTNER_TEST, WEBHOOK, 'afterlink.reconcile']) {
      assert.deepEqual(passed('test', envelope(event, source)), ALL, source);
    }
    for (const source of ['afterlink', 'afterlink.webhooks', 'stripe.com', 'aws.partner/example.org/ed_1']) {
      assert.deepEqual(passed('test', envelope(event, source)), [], source);
    }
  });

  it('do not pass the daily proof, which is on the same bus', () => {
    const proof = { ...envelope({ day: '2026-11-18', livemode: false, paid: 1 }, 'afterlink'), 'detail-type': 'DailyProof' };
    assert.deepEqual(passed('test', proof), []);
  });

  it('pass an envelope as Stripe sends it', () => {
    assert.deepEqual(passed('test', fixture('envelope_partner')), ALL);
  });
});

describe('the patterns', () => {
  // The Rust tests read this file: every effect that an event calls for under any policy passes the rule of its task.
  it('are those that the Rust tests know', () => {
    const file = new URL('golden/patterns-test.json', import.meta.url);
    const patterns = TASKS.map((task) => [task, patternOf(task, thanking)]);
    const text = JSON.stringify(Object.fromEntries(patterns), null, 2);
    if (process.env.UPDATE_SNAPSHOTS) writeFileSync(file, `${text}\n`);
    assert.deepEqual(JSON.parse(text), JSON.parse(readFileSync(file, 'utf8')), 'if this is meant: npm run test:update');
  });

  // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
  it('stay within the 2048 characters that EventBridge allows', () => {
    for (const synthesized of [...STAGE_NAMES.map(synthesizedStage), thanking]) {
      for (const { Properties } of synthesized.all('AWS::Events::Rule')) {
        const size = JSON.stringify(Properties.EventPattern ?? {}).length;
        assert.ok(size < 2048, `${Properties.Name}: ${size}`);
      }
    }
  });
});

describe('the forward rule', () => {
  const forwards = (event: Event) => {
    const rule = synthesizedStage('live').one('AWS::Events::Rule', 'Name', 'afterlink-live-forward');
    return matches(rule.Properties.EventPattern, event);
  };

  it("passes exactly what some task's rule would pass", () => {
    const names = [
      'completed_paid',
      'completed_unpaid',
      'async_payment_succeeded',
      'async_payment_failed',
      'of_another_business',
      'setup',
      'subscription',
    ];
    const types = ['refund.created', 'charge.dispute.created', 'charge.dispute.funds_withdrawn', 'charge.updated'];
    const events = [
      ...names.map((name) => fixture(`session_${name}`)),
      ...types.map((type) => ({ ...fixture('refund_created'), type })),
      ...['invoice_paid_renewal', 'invoice_payment_paid', 'early_fraud_warning_created'].map(fixture),
    ];
    for (const stripes of events) {
      for (const livemode of [true, false]) {
        const event = envelope({ ...stripes, livemode }, PARTNER_LIVE);
        assert.equal(forwards(event), passed('live', event).length > 0, `${stripes.type}, livemode ${livemode}`);
      }
    }
  });

  it('passes nothing that does not come from Stripe', () => {
    assert.equal(forwards(envelope(fixture('session_livemode'), PARTNER_LIVE)), true);
    assert.equal(forwards(envelope(fixture('session_livemode'), WEBHOOK)), false);
  });
});

describe('the matcher of these tests', () => {
  it('refuses an operator that it does not know', () => {
    assert.throws(() => matches({ a: [{ suffix: 'b' }] }, { a: 'ab' }), /does not know the operator suffix/);
    assert.throws(() => matches({ a: [{ 'anything-but': ['b'] }] }, { a: 'ab' }), /anything-but of one text/);
  });

  it('asks for a value, null included, where it may be anything but one', () => {
    const pattern = { a: [{ 'anything-but': 'setup' }] };
    for (const [value, expected] of [['x', true], [7, true], [null, true], ['setup', false], [{}, false]] as const) {
      assert.equal(matches(pattern, { a: value }), expected, String(value));
    }
    assert.equal(matches(pattern, {}), false);
  });

  it('asks for one of several alternatives beside everything else', () => {
    const pattern = { a: ['1'], $or: [{ b: ['2'] }, { c: ['3'] }] };
    assert.equal(matches(pattern, { a: '1', b: '2' }), true);
    assert.equal(matches(pattern, { a: '1', c: '3' }), true);
    assert.equal(matches(pattern, { a: '1' }), false);
    assert.equal(matches(pattern, { a: '0', b: '2' }), false);
  });

  it('asks for nothing to be there only where the pattern says so', () => {
    assert.equal(matches({ a: [{ exists: false }] }, {}), true);
    assert.equal(matches({ a: [{ exists: true }] }, {}), false);
    assert.equal(matches({ a: { b: [{ exists: true }] } }, { a: null }), false);
  });
});
