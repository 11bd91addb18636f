/** One orbit, as far as it was followed: z₀, f(z₀), f²(z₀), … in the full latent space. */
import type { Backend, Next } from "../backend/backend";
import { type Fate, Fates } from "./fate";
import { distance } from "./plane";

/** The cascade z, f(z), f(f(z)) …, or the flow dz/dt = f(z) − z, of which the cascade is the Euler step of length 1. */
export type Motion = "cascade" | "flow";

/** Length of the Euler steps in which the flow is followed. */
export const FLOW_STEP = 0.1;

export interface Point {
  /** Number of steps from the start. */
  readonly t: number;
  readonly z: Float32Array;
}

/**
 * Points are asked for in growing portions: the first are seen at once, long orbits do not wait for single messages. Where a step takes long the
 * portions stay small, because pictures wait for them.
 */
const [MOST_AT_ONCE, LONGEST] = [64, 40];

/** Steps that an orbit is followed beyond its arrival at a set that moves: once around most of them; while it plays there are always more. */
export const AROUND = 200;

export class Orbit {
  readonly points: Point[];
  /** ‖z_{t+1} − z_t‖ per step, from every point but the last; of the flow ‖f(z) − z‖, its speed. */
  readonly residuals: number[] = [];
  fate: Fate;
  /** Number of the point at which it arrived at a set that moves, as cycles and closed curves do; from there on it goes round. */
  arrived: number | undefined;
  private portion = 1;
  private over = false;
  private readonly stop = new AbortController();

  constructor(
    start: Float32Array,
    private readonly backend: Backend,
    private readonly fates: Fates,
    readonly motion: Motion = "cascade",
  ) {
    this.points = [{ t: 0, z: start }];
    this.fate = fates.of(start, 0, Infinity, motion);
    if (fates.moves(this.fate)) this.arrived = 0;
  }

  get last(): Point {
    return this.points[this.points.length - 1]!;
  }

  get done(): boolean {
    return this.over || this.stopped || (this.arrived !== undefined ? this.points.length > this.arrived + AROUND : this.fate.kind !== "moving");
  }

  private get stopped(): boolean {
    return this.stop.signal.aborted;
  }

  cancel(): void {
    this.stop.abort();
  }

  /** Ask for the next points; false if there are none. */
  async advance(): Promise<boolean> {
    return !this.done && this.further();
  }

  /** More points, also of one that goes round on what it arrived at. */
  async further(): Promise<boolean> {
    const { z, t } = this.last;
    const began = performance.now();
    const more = this.motion === "flow" ? await this.flow(z, this.portion) : await this.backend.step(z, this.portion, this.stop.signal);
    if (this.stopped) return false;
    const each = (performance.now() - began) / this.portion;
    this.portion = Math.max(1, Math.min(2 * this.portion, MOST_AT_ONCE, Math.floor(LONGEST / each)));
    for (const next of more) {
      const length = distance(next.z, this.last.z) / (this.motion === "flow" ? FLOW_STEP : Math.max(1, t + next.advanced - this.last.t));
      this.residuals.push(length);
      this.points.push({ t: t + next.advanced, z: next.z });
      if (this.arrived !== undefined) continue;
      this.fate = this.fates.of(next.z, this.last.t, length, this.motion);
      if (this.fates.moves(this.fate)) this.arrived = this.points.length - 1;
      else if (this.done) break;
    }
    if (more.length === 0) {
      this.over = true;
      if (this.arrived === undefined) this.fate = this.backend.ending?.(z) ?? { kind: "budget" };
    }
    return !this.done;
  }

  private async flow(z: Float32Array, times: number): Promise<Next[]> {
    const made: Next[] = [];
    for (let i = 1; i <= times && !this.stopped; i++) {
      const f = await this.backend.field(z, { signal: this.stop.signal });
      if (f === undefined) break;
      z = z.map((value, j) => value + FLOW_STEP * (f[j]! - value));
      made.push({ advanced: i, z });
    }
    return made;
  }

  /** Follow it to its end. */
  async finish(): Promise<void> {
    while (await this.advance());
  }
}
