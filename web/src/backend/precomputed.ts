/** Orbits that were computed beforehand from the nodes of a grid. A start snaps to the nearest node; nothing between nodes is made up. */
import type { Fate } from "../core/fate";
import type { Plane } from "../core/plane";
import type { Scene } from "../core/scene";
import type { Backend, Next } from "./backend";

export class Precomputed implements Backend {
  readonly anywhere = false;
  readonly words: string;
  private readonly times: number;
  private readonly count: number;
  private images: Promise<void> | undefined;

  constructor(
    private readonly scene: Scene,
    private readonly plane: Plane,
    why: string,
    /** Brings the pictures of the nodes into the scene. */
    private readonly unpack: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.count = scene.has("node_xy") ? scene.ints("node_end").length : 0;
    this.times = this.count ? scene.ints("node_t").length / this.count : 0;
    const said = this.count
      ? `This page plays ${this.count} orbits that were computed beforehand; a click goes to the nearest of their starts.`
      : "This page holds no orbits.";
    this.words = `${why} ${said}`;
  }

  snap(z: Float32Array): Float32Array {
    if (!this.count) return z;
    const [x, y] = this.plane.coordinates(z);
    const xy = this.scene.floats("node_xy");
    let [best, least] = [0, Infinity];
    for (let i = 0; i < this.count; i++) {
      const d = Math.hypot(xy[2 * i]! - x, xy[2 * i + 1]! - y);
      if (d < least) [best, least] = [i, d];
    }
    return this.point(best, 0);
  }

  step(z: Float32Array, times: number): Promise<Next[]> {
    const place = this.find(z);
    const made: Next[] = [];
    if (place !== undefined) {
      const [node, index] = place;
      const from = this.time(node, index);
      for (let i = index + 1; i < this.times && made.length < times; i++) {
        if (this.time(node, i) > this.time(node, i - 1)) made.push({ advanced: this.time(node, i) - from, z: this.point(node, i) });
      }
    }
    return Promise.resolve(made);
  }

  async decode(z: Float32Array): Promise<ImageData | undefined> {
    const place = this.find(z);
    if (place === undefined || !this.scene.has("node_frames")) return undefined;
    const frames = this.scene.ints("node_frames");
    const frame = frames.indexOf(place[1]);
    if (frame < 0) return undefined;
    await (this.images ??= this.unpack());
    return this.scene.picture("node_images", place[0] * frames.length + frame);
  }

  encode(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  field(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** What the library found of the orbit to which a point belongs. */
  ending(z: Float32Array): Fate {
    const place = this.find(z);
    const set = place === undefined ? -1 : this.scene.ints("node_end")[place[0]]!;
    if (set < 0) return { kind: "budget" };
    return { kind: "known", set, steps: this.scene.ints("node_steps")[place![0]]! };
  }

  private time(node: number, index: number): number {
    return this.scene.ints("node_t")[node * this.times + index]!;
  }

  private point(node: number, index: number): Float32Array {
    const at = (node * this.times + index) * this.scene.k;
    return this.scene.floats("node_z").subarray(at, at + this.scene.k);
  }

  /** The node and the index of a point that this backend gave. */
  private find(z: Float32Array): [number, number] | undefined {
    const every = this.scene.has("node_z") ? this.scene.floats("node_z") : undefined;
    if (every === undefined || z.buffer !== every.buffer) return undefined;
    const at = (z.byteOffset - every.byteOffset) / (4 * this.scene.k);
    return [Math.floor(at / this.times), at % this.times];
  }
}
