import type { Resource } from './synthesized.ts';

/** What was counted in each period, oldest first: the single values, or nothing at all. */
export type Series = readonly (readonly number[])[];

export type AlarmState = 'OK' | 'ALARM';

/** One value a period; `undefined` where there is none. */
type Points = readonly (number | undefined)[];

interface Metric {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, unknown>>;
  readonly statistic: string;
  /** In seconds. */
  readonly period: number;
}

/** The metrics an alarm looks at, with or without an expression over them. */
export function metricsOf({ Properties }: Resource): Metric[] {
  const one = (id: string, metric: any, statistic: string, period: number): Metric => ({
    id,
    namespace: metric.Namespace,
    name: metric.MetricName,
    dimensions: Object.fromEntries((metric.Dimensions ?? []).map(({ Name, Value }: any) => [Name, Value])),
    statistic,
    period,
  });
  if (Properties.MetricName) return [one('', Properties, Properties.Statistic, Properties.Period)];
  return Properties.Metrics.filter((query: any) => query.MetricStat).map(({ Id, MetricStat }: any) =>
    one(Id, MetricStat.Metric, MetricStat.Stat, MetricStat.Period),
  );
}

/**
 * How many periods more than it needs CloudWatch looks at, to find real values where some are
 * missing. Its own number varies; two is what its page shows.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
 */
const LOOKED_BACK = 2;

/**
 * Whether an alarm is ever in ALARM while these periods pass, when their values show so many
 * periods late, under the time they are for.
 */
export function everInAlarm(alarm: Resource, series: Series, late: number): boolean {
  return series.some((_, now) => {
    const known = series.slice(0, now + 1).map((values, at) => (at <= now - late ? values : []));
    return stateOf(alarm, () => known) === 'ALARM';
  });
}

/**
 * The state an alarm is in after these periods, as CloudWatch evaluates it, for what our alarms use.
 *
 * It throws on every statistic, comparison and function that it does not know, so that a new one
 * in an alarm cannot pass unnoticed.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
 */
export function stateOf(alarm: Resource, counted: (metric: Metric) => Series): AlarmState {
  const { Properties } = alarm;
  const points = new Map(metricsOf(alarm).map((metric) => [metric.id, statistics(metric.statistic, counted(metric))]));
  const [query] = (Properties.Metrics ?? []).filter(({ Expression }: any) => Expression);
  const watched = query ? evaluated(query.Expression, points) : (points.get('') ?? []);
  const wanted = Properties.EvaluationPeriods;
  const real = watched.slice(-wanted - LOOKED_BACK).filter((value) => value !== undefined);
  // Where there are not enough real values, the rest is judged as the alarm says.
  const judged = [...Array<undefined>(Math.max(0, wanted - real.length)).fill(undefined), ...real].slice(-wanted);
  const breaching = judged.filter((value) =>
    value === undefined ? missingIsBad(Properties) : isBad(Properties, value),
  );
  return breaching.length >= (Properties.DatapointsToAlarm ?? Properties.EvaluationPeriods) ? 'ALARM' : 'OK';
}

function isBad({ ComparisonOperator, Threshold }: any, value: number): boolean {
  switch (ComparisonOperator) {
    case 'GreaterThanThreshold':
      return value > Threshold;
    case 'LessThanThreshold':
      return value < Threshold;
    default:
      throw new Error(`the evaluation does not know ${ComparisonOperator}`);
  }
}

function missingIsBad({ TreatMissingData }: any): boolean {
  switch (TreatMissingData) {
    case 'breaching':
      return true;
    case 'notBreaching':
      return false;
    default:
      throw new Error(`the evaluation does not know missing data that is ${TreatMissingData}`);
  }
}

function statistics(statistic: string, series: Series): Points {
  return series.map((values) => {
    if (values.length === 0) return undefined;
    switch (statistic) {
      case 'Sum':
        return values.reduce((sum, value) => sum + value, 0);
      case 'Maximum':
        return Math.max(...values);
      case 'Minimum':
        return Math.min(...values);
      case 'Average':
        return values.reduce((sum, value) => sum + value, 0) / values.length;
      default:
        throw new Error(`the evaluation does not know the statistic ${statistic}`);
    }
  });
}

/**
 * Metric math: sums of ids, `DIFF(…)`, `FILL(…, number)` and `IF(…, number, …)`, whose condition is met
 * where it is not zero.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
 */
function evaluated(expression: string, points: ReadonlyMap<string, Points>): Points {
  const tokens = expression.match(/\w+|[^\s\w]/g) ?? [];
  const take = (wanted?: string): string => {
    const token = tokens.shift();
    if (token === undefined || (wanted !== undefined && token !== wanted)) {
      throw new Error(`the evaluation does not understand "${expression}" before ${token}`);
    }
    return token;
  };
  const sum = (): Points => {
    let left = term();
    while (tokens[0] === '+') {
      take();
      const right = term();
      left = left.map((value, at) => plus(value, right[at]));
    }
    return left;
  };
  const term = (): Points => {
    const name = take();
    if (tokens[0] !== '(') return points.get(name) ?? unknown(name);
    take('(');
    const inner = sum();
    let result: Points;
    if (name === 'IF') {
      take(',');
      const met = Number(take());
      take(',');
      const otherwise = sum();
      result = inner.map((value, at) => (value === undefined ? undefined : value !== 0 ? met : otherwise[at]));
    } else if (name === 'DIFF') {
      result = inner.map((value, at) => (at === 0 ? undefined : plus(value, negative(inner[at - 1]))));
    } else if (name === 'FILL') {
      take(',');
      const filling = Number(take());
      result = inner.map((value) => value ?? filling);
    } else {
      return unknown(name);
    }
    take(')');
    return result;
  };
  const unknown = (name: string): never => {
    throw new Error(`the evaluation does not know ${name} of "${expression}"`);
  };
  const result = sum();
  if (tokens.length > 0) unknown(tokens.join(''));
  return result;
}

function plus(left?: number, right?: number): number | undefined {
  return left === undefined || right === undefined ? undefined : left + right;
}

function negative(value?: number): number | undefined {
  return value === undefined ? undefined : -value;
}
