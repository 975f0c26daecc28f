// Reads Stripe's published types (the npm package `stripe`) and writes down, as JSON, what of them matters here.
//
//   node extract.mjs            writes types.json
//
// A shape is one of
//   "string" "number" "boolean" "any" "null"      a primitive; "any" is not looked into
//   { "values": ["a", …], "open": true }          an enumeration; open: Stripe may add values
//   { "list": shape }                             an array
//   { "map": shape }                              any keys: metadata
//   { "type": "Checkout.Session" }                a named type of "types" below
//   { "id": ["Customer", …] }                     an id, or one of these objects when it is expanded
//   { "any_of": [shape, …] }                      one of several
// and a type is { "fields": { name: { "shape": …, "optional": true, "documented": ["a", …] } } }; a field whose value may
// be null has "null" among its shapes. "documented" are the values that Stripe names in its text on a field that is typed
// as plain text.

import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

// What the client and the fake know. A name here is one of the namespace `Stripe`. Objects that are only reached over
// an id (`customer: string | Customer`) stay names.
const OBJECTS = [
  'BalanceTransaction',
  'Charge',
  'Checkout.Session',
  'Dispute',
  'EventBase',
  'File',
  'FileLink',
  'Invoice',
  'InvoiceLineItem',
  'InvoicePayment',
  'LineItem',
  'PaymentIntent',
  'PaymentLink',
  'Price',
  'Product',
  'Radar.EarlyFraudWarning',
  'Refund',
  'Subscription',
  'SubscriptionItem',
  'V2.Core.EventDestination',
];

// Endpoints, and the type of their parameters.
const ENDPOINTS = {
  'GET /v1/charges': 'ChargeListParams',
  'GET /v1/charges/{id}': 'ChargeRetrieveParams',
  'GET /v1/checkout/sessions': 'Checkout.SessionListParams',
  'GET /v1/checkout/sessions/{id}': 'Checkout.SessionRetrieveParams',
  'GET /v1/checkout/sessions/{id}/line_items': 'Checkout.SessionListLineItemsParams',
  'GET /v1/disputes': 'DisputeListParams',
  'GET /v1/disputes/{id}': 'DisputeRetrieveParams',
  'GET /v1/events': 'EventListParams',
  'GET /v1/events/{id}': 'EventRetrieveParams',
  'GET /v1/invoice_payments': 'InvoicePaymentListParams',
  'GET /v1/invoice_payments/{id}': 'InvoicePaymentRetrieveParams',
  'GET /v1/invoices': 'InvoiceListParams',
  'GET /v1/invoices/{id}': 'InvoiceRetrieveParams',
  'GET /v1/payment_intents': 'PaymentIntentListParams',
  'GET /v1/payment_intents/{id}': 'PaymentIntentRetrieveParams',
  'GET /v1/payment_links': 'PaymentLinkListParams',
  'GET /v1/payment_links/{id}': 'PaymentLinkRetrieveParams',
  'GET /v1/payment_links/{id}/line_items': 'PaymentLinkListLineItemsParams',
  'GET /v1/prices': 'PriceListParams',
  'GET /v1/prices/{id}': 'PriceRetrieveParams',
  'GET /v1/products': 'ProductListParams',
  'GET /v1/products/{id}': 'ProductRetrieveParams',
  'GET /v1/radar/early_fraud_warnings': 'Radar.EarlyFraudWarningListParams',
  'GET /v1/radar/early_fraud_warnings/{id}': 'Radar.EarlyFraudWarningRetrieveParams',
  'GET /v1/refunds': 'RefundListParams',
  'GET /v1/refunds/{id}': 'RefundRetrieveParams',
  'GET /v1/subscriptions': 'SubscriptionListParams',
  'GET /v1/subscriptions/{id}': 'SubscriptionRetrieveParams',
  'GET /v2/core/event_destinations': 'V2.Core.EventDestinationListParams',
  'POST /v1/checkout/sessions/{id}': 'Checkout.SessionUpdateParams',
  'POST /v1/files': 'FileCreateParams',
  'POST /v1/payment_intents/{id}/cancel': 'PaymentIntentCancelParams',
  'POST /v1/payment_intents/{id}/capture': 'PaymentIntentCaptureParams',
  'POST /v1/payment_links': 'PaymentLinkCreateParams',
  'POST /v1/payment_links/{id}': 'PaymentLinkUpdateParams',
  'POST /v1/prices': 'PriceCreateParams',
  'POST /v1/prices/{id}': 'PriceUpdateParams',
  'POST /v1/products': 'ProductCreateParams',
  'POST /v1/products/{id}': 'ProductUpdateParams',
  'POST /v1/refunds': 'RefundCreateParams',
};

// Large, and read or sent nowhere: what is in them is "any". Take a name out when something in it is read.
const NOT_LOOKED_INTO = new Set([
  'payment_method_options',
  'payment_settings',
  'payment_method_configuration_details',
  'next_action',
  'last_payment_error',
  'excluded_payment_method_types',
  'payment_method_types',
  'allowed_countries',
  'shipping_options',
  'evidence',
  'last_finalization_error',
  'threshold_reason',
]);

// Of a payment method's details only cards are looked into.
const ONLY_CARDS = new Set(['payment_method_details']);

// Fields of plain text whose values Stripe lists in words.
const VALUES_IN_TEXT = new Set(['failure_reason', 'fraud_type', 'reason', 'status', 'type']);

const here = fileURLToPath(new URL('.', import.meta.url));

export function extract() {
  const entry = realpathSync(`${here}node_modules/stripe/esm/stripe.esm.node.d.ts`);
  const program = ts.createProgram([entry], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    noLib: false,
    types: [],
    skipLibCheck: true,
  });
  const checker = program.getTypeChecker();
  const moduleSymbol = checker.getSymbolAtLocation(program.getSourceFile(entry));
  const stripe = checker.getExportsOfModule(moduleSymbol).find((symbol) => symbol.name === 'Stripe');
  const unaliased = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);

  const symbolOf = (name) => {
    let symbol = unaliased(stripe);
    for (const part of name.split('.')) {
      const found = checker.getExportsOfModule(symbol).find((child) => child.name === part);
      if (!found) throw new Error(`the package \`stripe\` has no type ${name} any more: change extract.mjs`);
      symbol = unaliased(found);
    }
    return symbol;
  };

  const types = {};
  const names = new Map();
  const objects = new Map(OBJECTS.map((name) => [symbolOf(name), name]));

  const nameOf = (type, path) => {
    const known = objects.get(type.symbol);
    if (known) return known;
    const declared = type.symbol && type.symbol.name !== '__type' ? checker.getFullyQualifiedName(type.symbol) : '';
    return declared.replace(/^"[^"]*"\./, '') || path;
  };

  const isObject = (type) => (type.flags & ts.TypeFlags.Object) !== 0;

  // Stripe's own objects have an id and say what they are.
  const isApiObject = (type) =>
    isObject(type) && type.getProperty('object') !== undefined && type.getProperty('id') !== undefined;

  const shapeOf = (type, path, key) => {
    if (NOT_LOOKED_INTO.has(key)) return 'any';
    if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return 'any';
    if (type.isUnion()) return unionOf(type.types, path, key);
    if (type.isStringLiteral()) return { values: [type.value] };
    if (type.flags & ts.TypeFlags.String) return 'string';
    if (type.flags & (ts.TypeFlags.Number | ts.TypeFlags.NumberLiteral)) return 'number';
    if (type.flags & (ts.TypeFlags.Boolean | ts.TypeFlags.BooleanLiteral)) return 'boolean';
    if (type.flags & ts.TypeFlags.Null) return 'null';
    if (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void)) return 'undefined';
    if (type.isIntersection()) {
      // A number that is written as text.
      if (type.aliasSymbol?.name === 'Decimal') return 'string';
      // `OtherString`: any further value.
      return type.types.some((part) => part.flags & ts.TypeFlags.String) ? 'string' : objectOf(type, path, key);
    }
    if (!isObject(type)) return 'any';
    if (type.symbol?.name === 'Uint8Array') return 'any';
    if (type.symbol?.name === 'ApiList') {
      const element = checker.getTypeArguments(type)[0];
      return { type: listOf(element, path) };
    }
    if (checker.isArrayType(type)) return { list: shapeOf(checker.getTypeArguments(type)[0], `${path}[]`, '') };
    const index = checker.getIndexInfoOfType(type, ts.IndexKind.String);
    if (index) return { map: shapeOf(index.type, `${path}{}`, '') };
    // Another of Stripe's objects, which nothing here reads.
    if (isApiObject(type) && !objects.has(type.symbol)) return 'any';
    return objectOf(type, path, key);
  };

  // A list inside an object.
  const listOf = (element, path) => {
    const name = `ListOf.${nameOf(element, path)}`;
    types[name] ??= {
      fields: {
        object: { shape: { values: ['list'] } },
        data: { shape: { list: shapeOf(element, `${path}[]`, '') } },
        has_more: { shape: 'boolean' },
        url: { shape: 'string' },
        total_count: { shape: 'number', optional: true },
      },
    };
    return name;
  };

  const unionOf = (members, path, key) => {
    const ids = members.some((member) => member.flags & ts.TypeFlags.String);
    const expanded = members.filter(isApiObject);
    const rest = members.filter((member) => !(ids && expanded.includes(member)));
    const values = rest.filter((member) => member.isStringLiteral()).map((member) => member.value);
    const shapes = [];
    if (ids && expanded.length > 0) {
      shapes.push({ id: [...new Set(expanded.map((member) => nameOf(member, path)))].sort() });
    } else if (values.length > 0) {
      const open = rest.some((member) => shapeOf(member, path, key) === 'string');
      shapes.push({ values: values.sort(), ...(open ? { open } : {}) });
    }
    for (const member of rest) {
      const shape = member.isStringLiteral() ? undefined : shapeOf(member, path, key);
      // A string beside ids or values is one of them.
      const covered = shape === 'string' && shapes.some((known) => known.id || known.values);
      if (shape && shape !== 'undefined' && !covered) shapes.push(shape);
    }
    const distinct = [...new Map(shapes.map((shape) => [JSON.stringify(shape), shape])).values()];
    return distinct.length === 1 ? distinct[0] : { any_of: distinct };
  };

  // "Status of the refund. This can be `pending`, …"
  const documentedValues = (property, shape) => {
    const text = shape === 'string' || (shape.any_of ?? []).includes('string');
    if (!text || !VALUES_IN_TEXT.has(property.name)) return undefined;
    const words = ts.displayPartsToString(property.getDocumentationComment(checker)).match(/`[a-z_]+`/g) ?? [];
    return words.length > 0 ? [...new Set(words.map((word) => word.slice(1, -1)))].sort() : undefined;
  };

  const objectOf = (type, path, key) => {
    if (names.has(type)) return { type: names.get(type) };
    let name = nameOf(type, path);
    while (types[name]) name += '_';
    names.set(type, name);
    const fields = {};
    types[name] = { fields };
    for (const property of checker.getPropertiesOfType(type)) {
      if (ONLY_CARDS.has(key) && !['card', 'type'].includes(property.name)) continue;
      // Types for promises and deleted objects.
      if (property.name === 'lastResponse' || property.name === 'deleted') continue;
      const shape = shapeOf(checker.getTypeOfSymbol(property), `${name}.${property.name}`, property.name);
      const optional = (property.flags & ts.SymbolFlags.Optional) !== 0;
      const documented = documentedValues(property, shape);
      fields[property.name] = { shape, ...(optional ? { optional } : {}), ...(documented ? { documented } : {}) };
    }
    if (ONLY_CARDS.has(key)) types[name].incomplete = true;
    return { type: name };
  };

  const typeNamed = (name) => checker.getDeclaredTypeOfSymbol(symbolOf(name));
  const objectNames = Object.fromEntries(OBJECTS.map((name) => [name, objectOf(typeNamed(name), name, '').type]));
  const endpoints = Object.fromEntries(
    Object.entries(ENDPOINTS).map(([endpoint, name]) => [endpoint, objectOf(typeNamed(name), name, '').type]),
  );
  const events = typeNamed('Event')
    .types.map((event) => checker.getTypeOfSymbol(event.getProperty('type')))
    .map((type) => type.value)
    .filter((value) => value !== undefined)
    .sort();
  const version = JSON.parse(readFileSync(`${here}node_modules/stripe/package.json`, 'utf8')).version;
  const apiVersion = readFileSync(`${here}node_modules/stripe/esm/apiVersion.js`, 'utf8').match(/'(\d{4}-[^']+)'/)[1];
  return {
    from: `npm package stripe ${version}, MIT licence; written by extract.mjs, never by hand`,
    api_version: apiVersion,
    objects: objectNames,
    endpoints,
    events,
    types: Object.fromEntries(Object.entries(types).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

// A line for each type, so that a change is seen in a diff.
export function written({ types, events, ...rest }) {
  const lines = (object) => Object.entries(object).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  const head = Object.entries(rest).map(([key, value]) => ` ${JSON.stringify(key)}: ${JSON.stringify(value)},`);
  return [
    '{',
    ...head,
    ` "events": ${JSON.stringify(events)},`,
    ' "types": {',
    lines(types).join(',\n'),
    ' }',
    '}',
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(`${here}types.json`, written(extract()));
}
