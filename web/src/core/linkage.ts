/** How many limit sets there are if those that are nearer to each other than a radius count as one (single linkage): exact at every radius. */
import { distance } from "./plane";

const POINTS = 32; // of each set that are compared
const PATIENCE = 30; // milliseconds at a time

/** The edges of the minimum spanning tree, shortest first: each joins two groups at its length. */
export interface Edge {
  readonly a: number;
  readonly b: number;
  readonly length: number;
}

/** Prim's algorithm over the sets, which are as far apart as their nearest points. */
export async function spanningTree(traces: readonly (readonly Float32Array[])[]): Promise<Edge[]> {
  const some = traces.map((trace) => trace.filter((_, i) => i % Math.ceil(trace.length / POINTS) === 0));
  const apart = (a: number, b: number) => {
    let least = Infinity;
    for (const p of some[a]!) for (const q of some[b]!) least = Math.min(least, distance(p, q));
    return least;
  };
  const rest = new Map<number, { to: number; length: number }>();
  for (let i = 1; i < some.length; i++) rest.set(i, { to: 0, length: apart(0, i) });
  const made: Edge[] = [];
  let began = performance.now();
  while (rest.size) {
    let next = -1;
    for (const [i, { length }] of rest) if (next < 0 || length < rest.get(next)!.length) next = i;
    const { to, length } = rest.get(next)!;
    rest.delete(next);
    made.push({ a: to, b: next, length });
    for (const [i, best] of rest) {
      const d = apart(next, i);
      if (d < best.length) rest.set(i, { to: next, length: d });
    }
    if (performance.now() - began > PATIENCE) {
      await new Promise((resolve) => setTimeout(resolve));
      began = performance.now();
    }
  }
  return made.sort((x, y) => x.length - y.length);
}

export interface Plateau {
  readonly count: number;
  /** The count is the same from here … */
  readonly from: number;
  /** … to here; ∞ for a single set. */
  readonly to: number;
}

/** The steps of the count, at growing radius. */
export function plateaus(edges: readonly Edge[], from: number): Plateau[] {
  const made: Plateau[] = [];
  let low = from;
  edges.forEach(({ length }, i) => {
    if (length > low) {
      made.push({ count: edges.length + 1 - i, from: low, to: length });
      low = length;
    }
  });
  made.push({ count: 1, from: low, to: Infinity });
  return made;
}

/** Per set, the first of those with which it counts as one. */
export function joined(edges: readonly Edge[], sets: number, radius: number): Int32Array {
  const first = Int32Array.from({ length: sets }, (_, i) => i);
  const root = (i: number): number => (first[i] === i ? i : (first[i] = root(first[i]!)));
  for (const { a, b, length } of edges) {
    if (length > radius) break;
    const [x, y] = [root(a), root(b)];
    first[Math.max(x, y)] = Math.min(x, y);
  }
  return first.map((_, i) => root(i));
}
