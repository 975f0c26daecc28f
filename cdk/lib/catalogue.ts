import { readFileSync } from 'node:fs';

/** What starts a function. */
export type Trigger = 'events' | 'webhook' | 'page' | 'schedule' | 'upload';

interface FunctionEntry {
  readonly name: string;
  readonly trigger: Trigger;
  /** Whether what starts it waits in a queue of its own. */
  readonly queued: boolean;
  readonly purpose: string;
}

interface TaskEntry {
  readonly name: string;
  /** The construct, and the start of the names of its outputs. */
  readonly id: string;
  /** Whether a claim that expires leaves it unknown if the effect happened, as with a mail. */
  readonly atMostOnce: boolean;
  /** The types of the events that the task reacts to. */
  readonly reactsTo: readonly string[];
}

/** Every function, as `shared/domain/catalogue` declares it; `cargo xtask catalogue` writes the file. */
const catalogue: { readonly functions: readonly FunctionEntry[]; readonly tasks: readonly TaskEntry[] } = JSON.parse(
  readFileSync(new URL('catalogue.json', import.meta.url), 'utf8'),
);

export const functionNames: readonly string[] = catalogue.functions.map(({ name }) => name);
export const taskNames: readonly string[] = catalogue.tasks.map(({ name }) => name);
/** The tasks, and the functions behind a queue whose messages are no events of Stripe's. */
export const queuedNames: readonly string[] = catalogue.functions.filter(({ queued }) => queued).map(({ name }) => name);

/** What the catalogue says of a function. */
export function catalogued(name: string): FunctionEntry {
  return found(catalogue.functions, name);
}

/** What the catalogue says of a task; nothing of a function that is none. */
export function cataloguedTask(name: string): TaskEntry | undefined {
  return catalogue.tasks.find((entry) => entry.name === name);
}

function found<T extends { readonly name: string }>(entries: readonly T[], name: string): T {
  const entry = entries.find((entry) => entry.name === name);
  if (!entry) {
    throw new Error(
      `${name} is not in the catalogue: declare it in shared/domain/catalogue/src/functions.rs and run \`cargo xtask catalogue\``,
    );
  }
  return entry;
}

/** Refuses an app that lacks a function of the catalogue. */
export function assertComplete(made: readonly string[]): void {
  const missing = functionNames.filter((name) => !made.includes(name));
  if (missing.length > 0) {
    throw new Error(`the catalogue declares ${missing.join(', ')}, and no stack makes it: add it to cdk/lib/stacks/pipeline.ts`);
  }
}
