/**
 * What is shown of one plane: the field and the basins at nodes of a grid. Each node was computed, or is not known yet; nothing stands between
 * nodes. A grid is filled coarse to fine, and a cell has the colour of the known node nearest to it.
 */
import { type Extent, Flow } from "./flow";
import { Plane } from "./plane";
import type { Scene } from "./scene";

/** Every 8th node of a grid, then every 4th, every 2nd, all. */
export const STRIDES = [8, 4, 2, 1] as const;
const FINEST_FIRST = [...STRIDES].reverse();

/** Values at h × w nodes, the first row at the bottom. */
export class Grid {
  readonly known: Uint8Array;

  constructor(
    readonly h: number,
    readonly w: number,
    known = false,
  ) {
    this.known = new Uint8Array(h * w).fill(known ? 1 : 0);
  }

  get count(): number {
    return this.known.reduce((sum, one) => sum + one, 0);
  }

  /** The known node nearest to row i and column j that the coarse grids have; −1 if there is none. */
  nearest(i: number, j: number): number {
    for (const stride of FINEST_FIRST) {
      const [r, c] = [Math.round(i / stride) * stride, Math.round(j / stride) * stride];
      if (r < this.h && c < this.w && this.known[r * this.w + c]) return r * this.w + c;
    }
    return -1;
  }

  /** The known node nearest to a place of the plane. */
  at([left, right, bottom, top]: Extent, x: number, y: number): number {
    if (x < left || x > right || y < bottom || y > top) return -1;
    return this.nearest(Math.round(((y - bottom) / (top - bottom)) * (this.h - 1)), Math.round(((x - left) / (right - left)) * (this.w - 1)));
  }

  /** Where node n lies. */
  place([left, right, bottom, top]: Extent, n: number): [number, number] {
    const [i, j] = [Math.floor(n / this.w), n % this.w];
    return [left + (j / (this.w - 1)) * (right - left), bottom + (i / (this.h - 1)) * (top - bottom)];
  }
}

export class Sheet {
  readonly field: Grid;
  readonly basins: Grid;
  /** Per node of the field, in the plane. */
  readonly velocity: Float32Array;
  readonly speed: Float32Array;
  /** Share of the squared length of each arrow that points out of the plane; undefined where the plane is all there is. */
  readonly out: Float32Array | undefined;
  /** Per node of the basins: the limit set to which it goes, −1 for none; and after how many steps. */
  readonly basin: Int32Array;
  readonly steps: Int32Array;

  constructor(
    readonly plane: Plane,
    readonly extent: Extent,
    readonly labels: readonly [string, string],
    /** Which slice this is; empty if it is the whole latent space. */
    readonly words: string,
    side: number,
    [h, w]: readonly [number, number],
    own?: Scene,
  ) {
    this.field = new Grid(side, side, own !== undefined);
    this.basins = new Grid(h, w, own !== undefined);
    const n = side * side;
    this.velocity = own ? own.floats("velocity") : new Float32Array(2 * n);
    this.speed = own ? own.floats("speed") : new Float32Array(n);
    this.out = own ? (own.has("off_plane") ? own.floats("off_plane") : undefined) : plane.k > 2 ? new Float32Array(n) : undefined;
    this.basin = own ? own.ints("basin") : new Int32Array(h * w).fill(-1);
    this.steps = own ? own.ints("basin_steps") : new Int32Array(h * w);
  }

  /** The plane that Python chose, with all its nodes; without them where that would have taken long, and the page computes them. */
  static own(scene: Scene): Sheet {
    const { extent, labels, description } = scene.about.plane;
    const plane = new Plane(scene.floats("origin_z"), scene.floats("axes_z"), scene.k);
    return new Sheet(plane, extent, labels, description, scene.about.field_side, scene.about.grid, scene.has("speed") ? scene : undefined);
  }

  /** Put f(z) of one node in. */
  set(n: number, z: Float32Array, f: Float32Array): void {
    let [total, x, y] = [0, 0, 0];
    for (let i = 0; i < z.length; i++) {
      const v = f[i]! - z[i]!;
      total += v * v;
      x += v * this.plane.axes[i]!;
      y += v * this.plane.axes[this.plane.k + i]!;
    }
    this.velocity.set([x, y], 2 * n);
    this.speed[n] = Math.sqrt(total);
    if (this.out) this.out[n] = total > 0 ? Math.min(1, Math.max(0, 1 - (x * x + y * y) / total)) : 0;
    this.field.known[n] = 1;
  }

  /** What the eye follows between the nodes of the finest grid that is complete; undefined before there is one. */
  flow(): Flow | undefined {
    const side = this.field.w;
    const stride = this.field.count === side * side ? 1 : FINEST_FIRST.find((s) => this.complete(s));
    if (stride === undefined) return undefined;
    const n = (side - 1) / stride + 1;
    if (stride === 1) return new Flow(this.velocity, side, this.extent);
    const velocity = new Float32Array(2 * n * n);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) velocity.set(this.velocity.subarray(2 * stride * (i * side + j), 2 * stride * (i * side + j) + 2), 2 * (i * n + j));
    return new Flow(velocity, n, this.extent);
  }

  /** A speed that nine tenths of the known nodes have at most. */
  get fast(): number {
    return this.quantile(this.speed, 0.9) || 1;
  }

  /** The median share of an arrow that points out of the plane. */
  get typicalOut(): number | undefined {
    return this.out && this.quantile(this.out, 0.5);
  }

  private quantile(values: Float32Array, share: number): number {
    const sorted = values.filter((_, n) => this.field.known[n]).sort();
    return sorted[Math.floor(sorted.length * share)] ?? 0;
  }

  private complete(stride: number): boolean {
    const { h, w, known } = this.field;
    if ((w - 1) % stride || (h - 1) % stride) return false;
    for (let i = 0; i < h; i += stride) for (let j = 0; j < w; j += stride) if (!known[i * w + j]) return false;
    return true;
  }
}
