import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { extract, written } from './extract.mjs';

const published = extract();

test('types.json is what the pinned package publishes', () => {
  const kept = readFileSync(new URL('types.json', import.meta.url), 'utf8');
  assert.ok(
    kept === written(published),
    'types.json differs from the package `stripe` of package.json. Run `npm run extract` in this folder, read the ' +
      'difference in git, and run `cargo nextest run -p stripe-api-fake`: it names what no longer fits',
  );
});

test('the extraction sees what it is for', () => {
  const { types, endpoints, events } = published;
  const field = (type, name) => types[type].fields[name];
  assert.deepEqual(field('Checkout.Session', 'payment_status').shape, {
    values: ['no_payment_required', 'paid', 'unpaid'],
    open: true,
  });
  assert.deepEqual(field('Checkout.Session', 'payment_intent').shape, {
    any_of: [{ id: ['PaymentIntent'] }, 'null'],
  });
  assert.deepEqual(
    [field('Refund', 'failure_reason').shape, field('Refund', 'failure_reason').optional],
    ['string', true],
  );
  assert.deepEqual(field('Refund', 'status').documented, [
    'canceled',
    'failed',
    'pending',
    'requires_action',
    'succeeded',
  ]);
  assert.deepEqual(field('Price', 'unit_amount_decimal').shape, { any_of: ['null', 'string'] });
  assert.deepEqual(field('Refund', 'metadata').shape, { any_of: ['null', { map: 'string' }] });
  assert.equal(field('Refund', 'colour'), undefined);
  assert.ok(field(endpoints['GET /v1/prices'], 'active'));
  assert.ok(field(endpoints['POST /v1/payment_links'], 'line_items'));
  assert.equal(field(endpoints['POST /v1/payment_links/{id}'], 'currency'), undefined);
  assert.ok(events.includes('invoice_payment.paid') && !events.includes('invoice_payment.refunded'));
});
