/**
 * What can be said of an orbit from where it is. A page decides nothing that the library did not: limit sets, their stability and the tolerance
 * are those of the search. An orbit has arrived when it is as near to a set as the search's own tolerance asks, and does not leave at once.
 */
import { FLOW_STEP, type Motion } from "./orbit";
import { distance } from "./plane";
import type { Scene, SetRow } from "./scene";

export type Fate =
  | { kind: "moving"; near: number; distance: number }
  | { kind: "arrived"; set: number; distance: number }
  | { kind: "rests"; near: number; distance: number }
  | { kind: "known"; set: number; steps: number }
  | { kind: "left" }
  | { kind: "lost"; why: string }
  | { kind: "budget" };

/** Sets known by samples of their points (closed curves, chaos) are reached within a share of the spread, as in the library. */
const OF_SAMPLES = 2e-2;
/** Shares of the largest numbers: what rounding in float32 leaves between an orbit and its limit, and the step that is no longer one. */
const [NEAR, STILL] = [2 ** -19, 2 ** -23];

export class Fates {
  private points: Float32Array[] = [];
  private owner: Int32Array = new Int32Array();
  private reach = 0;
  private size = 0;

  constructor(private readonly scene: Scene) {
    this.renew();
  }

  /** The limit sets are those of another checkpoint. */
  renew(): void {
    const { scene } = this;
    this.points = [];
    this.owner = scene.has("set_owner") ? scene.ints("set_owner") : new Int32Array();
    const z = scene.has("set_z") ? scene.floats("set_z") : new Float32Array();
    for (let i = 0; i < this.owner.length; i++) this.points.push(z.subarray(i * scene.k, (i + 1) * scene.k));
    this.size = Math.max(scene.about.spread, ...this.points.slice(0, 4096).map((point) => Math.hypot(...point)));
    this.reach = Math.max(scene.about.tolerance * scene.about.spread, NEAR * this.size);
  }

  /** The set of which a point is nearest, and how far it is; −1 if no set is known. */
  nearest(z: Float32Array): { set: number; distance: number } {
    let [best, least] = [-1, Infinity];
    this.points.forEach((point, i) => {
      const d = distance(point, z);
      if (d < least) [best, least] = [this.owner[i]!, d];
    });
    return { set: best, distance: least };
  }

  /** Of an orbit at z after t steps, the last of which had this length. */
  of(z: Float32Array, t: number, step: number, motion: Motion = "cascade"): Fate {
    if (!z.every(Number.isFinite)) return { kind: "left" };
    const { set, distance: d } = this.nearest(z);
    if (set >= 0) {
      const row = this.scene.about.sets[set]!;
      // What moves under f is no limit of the flow, which stands still at fixed points alone.
      if (motion === "flow" && row.moving) return this.going(t, set, d);
      const sampled = row.moving && row.kind.startsWith("c") && row.period === 0;
      // Near a saddle an orbit is slow and goes on: only what attracts is a place to arrive at before it rests.
      if (row.stable === 1 && d <= (sampled ? OF_SAMPLES * this.scene.about.spread : this.reach) && (row.moving || step <= this.reach))
        return { kind: "arrived", set, distance: d };
    }
    if (step <= STILL * Math.max(this.size, Math.hypot(...z))) return set >= 0 && d <= this.reach ? { kind: "arrived", set, distance: d } : { kind: "rests", near: set, distance: d };
    return this.going(t, set, d);
  }

  /** Has it arrived at a set on which it goes on moving? */
  moves(fate: Fate): boolean {
    return fate.kind === "arrived" && this.scene.about.sets[fate.set]!.moving;
  }

  private going(t: number, near: number, d: number): Fate {
    return t >= this.scene.about.max_steps ? { kind: "budget" } : { kind: "moving", near, distance: d };
  }

  words(fate: Fate, t: number, motion: Motion = "cascade"): string {
    const unit = (d: number) => `${scientific(d / this.scene.about.spread)} spreads`;
    const row = (set: number) => this.scene.about.sets[set];
    const steps = motion === "flow" ? `a time of ${(FLOW_STEP * t).toFixed(1)}` : t === 1 ? "1 step" : `${grouped(t)} steps`;
    switch (fate.kind) {
      case "arrived":
        return `After ${steps} it has arrived at ${set_words(row(fate.set)!)}: it is ${unit(fate.distance)} away${row(fate.set)!.moving ? ", and goes round on it for ever" : ""}.`;
      case "rests":
        return `After ${steps} its steps are no longer than rounding, and no known limit set is there${fate.near >= 0 ? `: ${row(fate.near)!.name} is ${unit(fate.distance)} away` : ""}.`;
      case "known":
        return `Followed in Python, it goes to ${set_words(row(fate.set)!)} in ${grouped(fate.steps)} steps.`;
      case "left":
        return `After ${steps} its numbers have left every bound.`;
      case "lost":
        return `Followed for ${steps}. ${fate.why}`;
      case "budget":
        return `After ${steps}, the whole budget of the search, it is still moving.`;
      case "moving":
        return t === 0 ? "It starts here." : `After ${steps} it is still moving${fate.near >= 0 ? `, ${unit(fate.distance)} from ${row(fate.near)!.name}` : ""}.`;
    }
  }
}

export function set_words(row: SetRow): string {
  const what = row.stable === 1 ? (row.kind === "fixed point" ? "attractor" : `attracting ${row.kind}`) : row.stable === 0 ? `unstable ${row.kind}` : row.kind;
  return `${what} ${row.name}`;
}

/** 12,345. (The browser's own way loads a library of all languages, which takes longer than drawing the plane.) */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** −7.46: a hyphen is no minus sign. */
export function signed(written: string): string {
  return written.replace(/^-/, "−");
}

/** A number for people: 0.012 or 3·10⁻⁶. */
export function scientific(value: number): string {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return "∞";
  if (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4) return String(Number(value.toPrecision(2)));
  const [mantissa, exponent] = value.toExponential(1).split("e") as [string, string];
  const raised = [...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
  return `${Number(mantissa)}·10${raised}`;
}
