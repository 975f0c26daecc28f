import { readFileSync } from 'node:fs';

/** The business's decisions, which the functions are built with. */
export function policyFile(): string {
  return readFileSync(new URL('../../policy.toml', import.meta.url), 'utf8');
}

/**
 * Whether any kind of subscription is thanked for its renewals. Only then the mails' rule lets
 * renewals through, because a renewal does not say what its subscription sells.
 *
 * The one question that the infrastructure has of the file; its build and its tests check the rest.
 * In TOML a key and its boolean stand on one line, wherever the table begins: https://toml.io/en/v1.0.0
 */
export function thanksRenewals(policy: string): boolean {
  return policy.split('\n').some((line) => /\bthank_renewals["']?\s*=\s*true\b/.test(withoutComment(line)));
}

function withoutComment(line: string): string {
  return /^(?:[^"'#]|"(?:[^"\\]|\\.)*"|'[^']*')*/.exec(line)?.[0] ?? '';
}
