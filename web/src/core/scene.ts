/** What Python put into the page (separatrix.explorer._scene), with names and types. */
import type { Graph } from "../engine/graph";
import { parseSafetensors, type Tensor } from "../engine/safetensors";

export interface Nearest {
  which: string;
  coefficient: number;
  ratio: number | null;
  p: number | null;
  called: string;
}

export interface SetRow {
  name: string;
  hue: string;
  kind: string;
  moving: boolean;
  stable: number;
  period: number;
  rho: number | null;
  norm: number | null;
  residual: number | null;
  share: number | null;
  interval: [number, number] | null;
  area: number;
  steps: number | null;
  nearest?: Nearest;
}

export interface About {
  title: string;
  origin: string;
  latent_shape: number[];
  plane: { labels: [string, string]; description: string; extent: [number, number, number, number] };
  field_side: number;
  grid: [number, number];
  sets: SetRow[];
  spread: number;
  tolerance: number;
  max_steps: number;
  protocol: { merge: string; merge_tolerance: number };
  range: [number, number];
  image: [number, number, number] | null;
  noun: string;
  examples: string[];
  nulls: { measure: string; unseen: number } | null;
  graph: { decode: Graph; encode: Graph } | null;
  why_no_model: string;
  agreement: number;
  fates: string;
  training?: { at: number; checkpoints: { name: string; words: string }[] };
}

export class Scene {
  readonly k: number;
  private traces: Float32Array[][] | undefined;

  constructor(
    public about: About,
    private tensors: ReadonlyMap<string, Tensor>,
  ) {
    this.k = about.latent_shape.reduce((a, b) => a * b, 1);
  }

  static parse(bytes: Uint8Array): Scene {
    const { tensors, metadata } = parseSafetensors(bytes);
    return new Scene(JSON.parse(metadata["scene"]!) as About, tensors);
  }

  /** Take more arrays in, of an archive of their own. */
  add(bytes: Uint8Array): void {
    this.tensors = new Map([...this.tensors, ...parseSafetensors(bytes).tensors]);
  }

  /** Become the scene of another checkpoint of the same training. */
  turn(other: Scene): void {
    [this.about, this.tensors, this.traces] = [other.about, other.tensors, undefined];
  }

  /** Every known point of every limit set. */
  get points(): Float32Array[] {
    return this.about.sets.flatMap((_, set) => this.trace(set));
  }

  /** The known points of one limit set. */
  trace(set: number): Float32Array[] {
    this.traces ??= this.grouped();
    return this.traces[set]!;
  }

  private grouped(): Float32Array[][] {
    const made: Float32Array[][] = this.about.sets.map(() => []);
    if (this.has("set_owner")) {
      const z = this.floats("set_z");
      this.ints("set_owner").forEach((set, i) => made[set]!.push(z.subarray(i * this.k, (i + 1) * this.k)));
    }
    return made;
  }

  has(name: string): boolean {
    return (this.tensors.get(name)?.data.length ?? 0) > 0;
  }

  floats(name: string): Float32Array {
    return this.read(name).data as Float32Array;
  }

  ints(name: string): Int32Array {
    return this.read(name).data as Int32Array;
  }

  /** The bytes (h, w, c) of one picture of an array of pictures. */
  bytes(name: string, index: number): ArrayLike<number> | undefined {
    if (!this.has(name)) return undefined;
    const { data, shape } = this.read(name);
    const size = shape.slice(1).reduce((a, b) => a * b, 1);
    return Array.from({ length: size }, (_, i) => Number(data[index * size + i]));
  }

  /** The picture of number `index` in an array of pictures (n, h, w, c) of bytes. */
  picture(name: string, index: number): ImageData | undefined {
    if (!this.has(name)) return undefined;
    const { data, shape } = this.read(name);
    const [, h, w, c] = shape as [number, number, number, number];
    const size = h * w * c;
    return pixels(h, w, (place, channel) => data[index * size + place * c + (c === 1 ? 0 : channel)]!);
  }

  private read(name: string): Tensor {
    const found = this.tensors.get(name);
    if (found === undefined) throw new Error(`The page holds no array ${name}.`);
    return found;
  }
}

function pixels(h: number, w: number, at: (place: number, channel: number) => number): ImageData {
  const made = new ImageData(w, h);
  for (let i = 0; i < h * w; i++) {
    for (let channel = 0; channel < 3; channel++) made.data[4 * i + channel] = at(i, channel);
    made.data[4 * i + 3] = 255;
  }
  return made;
}

/** A decoded image (c, h, w) in the shades of the page. */
export function toPicture(data: Float32Array, shape: readonly [number, number, number], [low, high]: readonly [number, number]): ImageData {
  const [c, h, w] = shape;
  return pixels(h, w, (place, channel) => {
    const value = data[(c === 1 ? 0 : channel) * h * w + place]!;
    return Math.round((255 * (value - low)) / (high - low)); // clamped by the array itself; NaN is black
  });
}
