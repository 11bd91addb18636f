/** Which plane of the latent space is shown: the library's, two coordinates, through three limit sets, or the principal plane of some points. */
import type { Extent } from "./flow";
import { Plane } from "./plane";
import type { Scene } from "./scene";
import { Sheet } from "./sheet";

export type PlaneChoice =
  | { readonly kind: "own" }
  | { readonly kind: "coordinates"; readonly of: readonly [number, number] }
  | { readonly kind: "sets"; readonly of: readonly [number, number, number] }
  | { readonly kind: "pca"; readonly of: number };

/** Nodes a side of a plane that is computed here, both of the form 8n + 1, so that coarse grids are part of fine ones. */
export const [FIELD_NODES, BASIN_NODES] = [57, 41] as const;

/** Throws, in words, where the choice spans no plane. */
export function sheetOf(choice: PlaneChoice, scene: Scene): Sheet {
  if (choice.kind === "own") return Sheet.own(scene);
  const { points } = scene;
  const centre = points.length ? mean(points, scene.k) : scene.floats("origin_z");
  let made: { plane: Plane; labels: [string, string]; words: string };
  if (choice.kind === "coordinates") {
    const axes = choice.of.map((i) => Float32Array.from({ length: scene.k }, (_, j) => (i === j ? 1 : 0)));
    made = {
      plane: spanned(centre, axes[0]!, axes[1]!),
      labels: choice.of.map((i) => `latent coordinate ${i + 1}`) as [string, string],
      words: `coordinates ${choice.of[0] + 1} and ${choice.of[1] + 1}, through ${points.length ? "the mean of the limit sets" : "the middle of the plane as it was found"}`,
    };
  } else if (choice.kind === "sets") {
    const [a, b, c] = choice.of.map((set) => scene.trace(set)[0]!) as [Float32Array, Float32Array, Float32Array];
    const names = choice.of.map((set) => scene.about.sets[set]!.name);
    made = {
      plane: spanned(a, minus(b, a), minus(c, a)),
      labels: [`from ${names[0]} to ${names[1]}`, `across, to ${names[2]}`],
      words: `the plane through ${names[0]}, ${names[1]} and ${names[2]}`,
    };
  } else {
    const trace = scene.trace(choice.of);
    const { centre: middle, axes, share } = principal(trace, scene.k);
    made = {
      plane: spanned(middle, ...axes),
      labels: ["principal direction 1", "principal direction 2"],
      words: `the principal plane of ${scene.about.sets[choice.of]!.name}, which holds ${Math.round(100 * share)} % of the variance of its points`,
    };
  }
  // Around what spans the plane; of the others what is not much farther away.
  const focus = choice.kind === "pca" ? scene.trace(choice.of) : choice.kind === "sets" ? choice.of.flatMap((set) => scene.trace(set)) : points;
  const [left, right, bottom, top] = scene.about.plane.extent;
  const [across, along] = [(right - left) / 2, (top - bottom) / 2]; // where nothing settles: as far as the library looked
  const extent = focus.length ? around(focus.map((z) => made.plane.coordinates(z)), choice.kind === "pca" ? 0.9 : 0.6) : ([-across, across, -along, along] as const);
  return new Sheet(made.plane, extent, made.labels, made.words, FIELD_NODES, [BASIN_NODES, BASIN_NODES]);
}

/** As `separatrix.plots.Plane.extent`: no slivers, and a margin. */
export function around(points: readonly [number, number][], margin: number): Extent {
  const sides = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]!);
    return [Math.min(...values), Math.max(...values)] as const;
  });
  const widest = Math.max(...sides.map(([low, high]) => high - low));
  const [[left, right], [bottom, top]] = sides.map(([low, high]) => {
    const half = margin * (Math.max(high - low, 0.8 * widest) || 1);
    return [(low + high) / 2 - half, (low + high) / 2 + half];
  }) as [[number, number], [number, number]];
  return [left, right, bottom, top];
}

function spanned(origin: Float32Array, a: Float32Array, b: Float32Array): Plane {
  const k = origin.length;
  const first = scaled(a, 1 / norm(a));
  const along = dot(b, first);
  const rest = b.map((value, i) => value - along * first[i]!);
  if (!(norm(a) > 0) || !(norm(rest) > 1e-6 * norm(b))) throw new Error("These span no plane; choose others.");
  const axes = new Float32Array(2 * k);
  axes.set(first);
  axes.set(scaled(rest, 1 / norm(rest)), k);
  return new Plane(origin, axes, k);
}

/** The two directions of largest variance, by orthogonal iteration; and the share of the variance that they hold. */
export function principal(points: readonly Float32Array[], k: number): { centre: Float32Array; axes: [Float32Array, Float32Array]; share: number } {
  const centre = mean(points, k);
  const away = points.map((z) => minus(z, centre));
  const total = away.reduce((sum, z) => sum + dot(z, z), 0);
  const sized = [...away].sort((x, y) => dot(y, y) - dot(x, x));
  let axes = [sized[0]!, sized[Math.floor(sized.length / 3)] ?? sized[0]!].map((z) => z.slice()) as [Float32Array, Float32Array];
  for (let round = 0; round < 60; round++) {
    axes = axes.map((axis) => {
      const next = new Float32Array(k);
      for (const z of away) {
        const weight = dot(z, axis);
        for (let i = 0; i < k; i++) next[i]! += weight * z[i]!;
      }
      return scaled(next, 1 / (norm(next) || 1));
    }) as [Float32Array, Float32Array];
    const overlap = dot(axes[0], axes[1]);
    axes[1] = axes[1].map((value, i) => value - overlap * axes[0][i]!);
    const size = norm(axes[1]);
    if (!(size > 1e-6)) throw new Error("Its points span no plane; choose another set.");
    axes[1] = scaled(axes[1], 1 / size);
  }
  const held = away.reduce((sum, z) => sum + dot(z, axes[0]) ** 2 + dot(z, axes[1]) ** 2, 0);
  return { centre, axes, share: total > 0 ? held / total : 1 };
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const norm = (a: Float32Array) => Math.sqrt(dot(a, a));
const scaled = (a: Float32Array, by: number) => a.map((value) => value * by);
const minus = (a: Float32Array, b: Float32Array) => a.map((value, i) => value - b[i]!);

function mean(points: readonly Float32Array[], k: number): Float32Array {
  const sum = new Float64Array(k);
  for (const z of points) for (let i = 0; i < k; i++) sum[i]! += z[i]! / points.length;
  return Float32Array.from(sum);
}
