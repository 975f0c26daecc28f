/**
 * Whether an event matches an EventBridge pattern, for the operators that our patterns use.
 *
 * It throws on every other operator, so that a new one in a pattern cannot pass unnoticed.
 * EventBridge itself has the last word: the end-to-end suite asks its TestEventPattern.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */
export function matches(pattern: Json, event: Json): boolean {
  return Object.entries(objectOf(pattern)).every(([field, expected]) => {
    if (field === '$or') return (expected as Json[]).some((alternative) => matches(alternative, event));
    const actual = objectOf(event)[field];
    if (Array.isArray(expected)) return expected.some((one) => matchesValue(one, actual));
    return matches(expected, actual ?? {});
  });
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json } | undefined;

function matchesValue(expected: Json, actual: Json): boolean {
  if (expected === null || typeof expected !== 'object') return actual === expected;
  const [operator, operand, ...more] = Object.entries(objectOf(expected)).flat();
  if (more.length > 0) throw new Error(`one operator at a time, not ${JSON.stringify(expected)}`);
  switch (operator) {
    case 'prefix':
      return typeof actual === 'string' && actual.startsWith(operand as string);
    case 'anything-but':
      // A value there must be, null among them; a list of values is not asked for.
      if (typeof operand !== 'string') throw new Error('the matcher knows anything-but of one text only');
      return isLeaf(actual) && actual !== operand;
    case 'exists':
      // Only leaves exist: an object or an array is a path to them.
      return isLeaf(actual) === operand;
    default:
      throw new Error(`the matcher does not know the operator ${operator}`);
  }
}

function isLeaf(actual: Json): boolean {
  return actual !== undefined && (actual === null || typeof actual !== 'object');
}

function objectOf(value: Json): { [key: string]: Json } {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}
