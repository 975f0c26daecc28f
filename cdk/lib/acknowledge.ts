import { type Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** Accepts findings of cdk-nag on a construct, each for a reason that a reviewer can judge. */
export function acknowledge(construct: IConstruct, reasons: Readonly<Record<string, string>>): void {
  const validations = Validations.of(construct);
  for (const [id, reason] of Object.entries(reasons)) {
    validations.acknowledge({ id, reason });
  }
}

/** What a stack calls a value when another stack imports it, as cdk-nag shows it. */
export function importedName(stack: Stack, value: string): string {
  return stack.resolve(stack.exportValue(value))['Fn::ImportValue'];
}
